/** Colours and marks of a run over its steps, painted into a `<canvas>`. */
import { binOf, bins, lensValue } from './figures.js';
import type { Mark, Timeline } from './fold.js';
import type { Lane } from './lane.js';
import { lens } from './state.js';

/** The part that is shown, and the size of its cells. */
export interface Grid {
  /** First position and first moment. */
  left: number;
  top: number;
  columns: number;
  rows: number;
  /** CSS pixels of a cell. */
  width: number;
  height: number;
}
export type Part = Pick<Grid, 'left' | 'top' | 'columns' | 'rows'>;

/** While a run goes on there is room for rows to come, so that those before stay where they are. */
export function whole(lane: Lane): Part {
  const rows = Math.max(1, lane.last);
  const room = Math.max(16, 2 ** Math.ceil(Math.log2(rows)));
  const columns = lane.timeline.last?.tokens.length ?? 1;
  return { left: 0, top: 1, columns, rows: lane.status.peek() === 'running' ? room : rows };
}

function gridOf(part: Part, box: HTMLElement): Grid {
  const width = Math.max(1, box.clientWidth / part.columns);
  return { ...part, width, height: Math.min(10, Math.max(2, 260 / part.rows)) };
}

const property = (name: string) =>
  getComputedStyle(document.documentElement).getPropertyValue(`--${name}`);

/** Colours and marks of one part; steps that come are painted under those before. */
export class Picture {
  readonly grid: Grid;
  readonly #context: CanvasRenderingContext2D;
  readonly #colours = Array.from({ length: bins }, (_, i) => property(`bin${i}`));
  readonly #ink = property('ink');
  readonly #ground = property('ground');
  readonly #lens = lens.peek() === 'none' ? 'confidence' : lens.peek();
  #next: number;

  constructor(canvas: HTMLCanvasElement, part: Part) {
    this.grid = gridOf(part, canvas.parentElement!);
    const { columns, rows, width, height, top } = this.grid;
    const ratio = devicePixelRatio;
    canvas.width = Math.round(columns * width * ratio);
    canvas.height = Math.round(rows * height * ratio);
    canvas.style.height = `${rows * height}px`;
    this.#context = canvas.getContext('2d')!;
    this.#context.scale(ratio, ratio);
    this.#context.fillStyle = this.#ground;
    this.#context.fillRect(0, 0, columns * width, rows * height);
    this.#next = top;
  }

  paint({ timeline }: Lane): void {
    const { top, rows } = this.grid;
    const end = Math.min(timeline.moments.length, top + rows);
    // The last one may have been a step whose whole picture came later.
    for (let i = Math.max(top, this.#next - 1); i < end; i++) this.#row(timeline, i);
    this.#next = Math.max(this.#next, end);
  }

  #row({ moments, mask }: Timeline, index: number): void {
    const { left, top, columns, rows, width, height } = this.grid;
    const moment = moments[index];
    const context = this.#context;
    const y = (index - top) * height;
    context.fillStyle = this.#ground;
    context.fillRect(0, y, columns * width, height);
    const end = Math.min(moment.tokens.length, left + columns);
    // Cells of one colour that lie side by side are one rectangle.
    let [from, last] = [left, -1];
    for (let x = left; x <= end; x++) {
      const value =
        x < end
          ? lensValue(this.#lens, moment, x, moment.tokens[x] !== mask, rows, index)
          : undefined;
      const bin = value === undefined ? -1 : binOf(value);
      if (bin === last && x < end) continue;
      if (last >= 0) {
        context.fillStyle = this.#colours[last];
        context.fillRect((from - left) * width, y, (x - from) * width + 0.5, height);
      }
      [from, last] = [x, bin];
    }
    context.fillStyle = context.strokeStyle = this.#ink;
    const size = Math.max(1, Math.min(width, height) / 3.2);
    for (const [x, kind] of moment.marks) {
      if (x < left || x >= end) continue;
      mark(context, kind, (x - left + 0.5) * width, y + height / 2, size);
    }
  }
}

/** Round: committed; a diamond: edited; a cross: taken back. */
function mark(
  context: CanvasRenderingContext2D,
  kind: Mark,
  x: number,
  y: number,
  size: number,
): void {
  context.beginPath();
  if (kind === 'commit') context.arc(x, y, size, 0, 7);
  else if (kind === 'edit') {
    context.moveTo(x, y - size);
    context.lineTo(x + size, y);
    context.lineTo(x, y + size);
    context.lineTo(x - size, y);
  } else {
    context.moveTo(x - size, y - size);
    context.lineTo(x + size, y + size);
    context.moveTo(x + size, y - size);
    context.lineTo(x - size, y + size);
    context.stroke();
    return;
  }
  context.fill();
}
