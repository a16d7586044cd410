/** Latin squares and sudoku. A grid is its cells row by row; a blank cell of a puzzle is `_`. */
import type { Draft, Family } from './family.js';
import type { Random } from './random.js';

interface Shape {
  side: number;
  /** Rows and columns of a box; none in a latin square. */
  box?: { rows: number; columns: number };
}

interface Puzzle {
  side: number;
  /** The cells that must differ from each cell. */
  peers: number[][];
}

/** Groups of cells of which no two may be equal. */
function groupsOf({ side, box }: Shape): number[][] {
  const along = Array.from({ length: side }, (_, i) => i);
  const rows = along.map((r) => along.map((c) => r * side + c));
  const columns = along.map((c) => along.map((r) => r * side + c));
  if (box === undefined) return [...rows, ...columns];
  const across = side / box.columns; // boxes beside each other
  const boxes = along.map((b) =>
    along.map((i) => {
      const row = Math.floor(b / across) * box.rows + Math.floor(i / box.columns);
      return row * side + (b % across) * box.columns + (i % box.columns);
    }),
  );
  return [...rows, ...columns, ...boxes];
}

function puzzle(shape: Shape): Puzzle {
  const groups = groupsOf(shape);
  const peers = Array.from({ length: shape.side ** 2 }, (_, cell) => {
    const shared = groups.filter((group) => group.includes(cell)).flat();
    return [...new Set(shared)].filter((other) => other !== cell);
  });
  return { side: shape.side, peers };
}

/**
 * Solutions of a grid by backtracking on the cell with the fewest candidates.
 * @param cells symbols from 1 to `side`, 0 where blank; working space, and each solution in turn
 * @param order in which candidates are tried
 */
function* solutions(
  cells: number[],
  peers: number[][],
  side: number,
  order: (candidates: number[]) => number[] = (candidates) => candidates,
): Generator<number[]> {
  let blank = -1;
  let fewest = side + 1;
  let free = 0;
  for (let cell = 0; cell < cells.length; cell++) {
    if (cells[cell] !== 0) continue;
    let taken = 0; // a bit for each symbol
    for (const peer of peers[cell]) taken |= 1 << cells[peer];
    let count = 0;
    for (let symbol = 1; symbol <= side; symbol++) count += ((taken >> symbol) & 1) ^ 1;
    if (count < fewest) [blank, fewest, free] = [cell, count, ~taken];
  }
  if (blank < 0) {
    yield cells;
    return;
  }
  const candidates = Array.from({ length: side }, (_, i) => i + 1).filter((s) => (free >> s) & 1);
  for (const symbol of order(candidates)) {
    cells[blank] = symbol;
    yield* solutions(cells, peers, side, order);
  }
  cells[blank] = 0;
}

/** A full grid, its symbols from 1 on. */
function randomGrid(random: Random, { side, peers }: Puzzle): number[] {
  const cells = new Array<number>(side ** 2).fill(0);
  const all = solutions(cells, peers, side, (some) => random.shuffle(some));
  return all.next().value as number[]; // an empty grid has solutions
}

/** How many solutions a sudoku has: 0, 1, or 2 for more than one. Its givens must not clash. */
export function solutionCount(cells: readonly string[], name: keyof typeof sudokus): number {
  return solved(
    cells.map((cell) => (cell === '_' ? 0 : Number(cell))),
    sudokus[name],
  );
}

function solved(cells: readonly number[], { side, peers }: Puzzle): number {
  const found = solutions([...cells], peers, side);
  let count = 0;
  while (count < 2 && !found.next().done) count++;
  return count;
}

const square = puzzle({ side: 4 });
const sudokus = {
  'sudoku-4': puzzle({ side: 4, box: { rows: 2, columns: 2 } }),
  'sudoku-6': puzzle({ side: 6, box: { rows: 2, columns: 3 } }),
} satisfies Record<string, Puzzle>;

const latin: Family = {
  about: 'any latin square of four symbols',
  size: { of: 'rows', min: 4, max: 4 },
  draw: (random): Draft => {
    const symbols = random.sample('123456789'.split(''), square.side);
    const written = (cells: number[]) => cells.map((i) => symbols[i - 1]);
    return {
      key: symbols.toSorted().join(' '), // symbols in another order are no new puzzle
      prompt: ['latin', ':', ...symbols, '='],
      answer: written(random.pick(latinSquares())),
      answers: () => latinSquares().map(written),
    };
  },
};

let squares: number[][] | undefined;

/** All 576. */
function latinSquares(): number[][] {
  const empty = new Array<number>(square.side ** 2).fill(0);
  squares ??= Array.from(solutions(empty, square.peers, square.side), (cells) => [...cells]);
  return squares;
}

function sudoku(name: keyof typeof sudokus, blanks: { min: number; max: number }): Family {
  const { side } = sudokus[name];
  return {
    about: `the one solution of a sudoku of ${side} × ${side} cells`,
    size: { of: 'blank cells', ...blanks },
    draw: (random, n): Draft => {
      for (;;) {
        const grid = randomGrid(random, sudokus[name]);
        const cells = blanked(random, grid, n, sudokus[name]);
        if (cells === undefined) continue;
        const answer = grid.map(String);
        return {
          key: answer.join(' '), // the same grid with other blanks is not held out
          prompt: ['sudoku', ':', ...cells.map((cell) => (cell === 0 ? '_' : String(cell))), '='],
          answer,
          answers: () => [answer],
        };
      }
    },
  };
}

/** With `n` blanks and still one solution; `undefined` if the cells it tries in turn do not allow that. */
function blanked(random: Random, grid: number[], n: number, puzzle: Puzzle): number[] | undefined {
  const cells = [...grid];
  let blanks = 0;
  for (const cell of random.shuffle([...grid.keys()])) {
    if (blanks === n) break;
    cells[cell] = 0;
    if (solved(cells, puzzle) === 1) blanks++;
    else cells[cell] = grid[cell];
  }
  return blanks === n ? cells : undefined;
}

export const grids = {
  latin,
  'sudoku-4': sudoku('sudoku-4', { min: 4, max: 10 }),
  'sudoku-6': sudoku('sudoku-6', { min: 6, max: 16 }),
} satisfies Record<string, Family>;
