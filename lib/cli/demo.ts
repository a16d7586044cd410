/** `lacuna demo`: the models in the package write a scene and solve a sudoku. */
import { Command } from 'commander';
import { threshold } from '../decoding/threshold.js';
import { wholeAnswer } from '../decoding/blocks.js';
import { taskInstance } from '../tasks/index.js';
import { generateOptions } from './decoders.js';
import { embeddedFlags, embeddedModel, loadOptions, tasksModel } from './options.js';
import { printSummary, show } from './show.js';
import { withNewline } from './run.js';

// Two speakers and a situation; the model goes on with the speeches. Not a line of Shakespeare's.
const prompt = `DUKE OF YORK:
My lord, the king is come, and with him all his men.

QUEEN MARGARET:
What news, my lord? Is he not dead?

`;

const blanks = 10; // of 16 cells: as many as the puzzles have
const side = 4;

export function demoCommand(): Command {
  return new Command('demo')
    .description(
      'A small model in the package goes on with a scene in the manner of Shakespeare: 7 million ' +
        'parameters, trained on his plays alone, so the words are his and the sense is not. Then ' +
        'another, trained on puzzles, fills in a sudoku, the cells that it is sure of first.',
    )
    .summary('watch the small models in the package write')
    .optionsGroup('Output:')
    .option('--no-live', 'do not draw, print the finished text')
    .option('--no-color', 'draw without colours (also: NO_COLOR)')
    .addHelpText(
      'after',
      `
The scene by hand:
  lacuna run -f scene.txt -n 96 --decode low-confidence --steps 64 -t 0.7 --seed 1`,
    )
    .action(demo);
}

interface DemoFlags {
  live: boolean;
  color: boolean;
}

async function demo(flags: DemoFlags): Promise<void> {
  await scene(flags);
  await sudoku(flags);
}

async function scene(flags: DemoFlags): Promise<void> {
  const generate = generateOptions({
    maxTokens: 96,
    ...embeddedFlags,
    decode: 'low-confidence',
    steps: 64,
    temperature: 0.7,
    seed: 1,
  });
  const options = { ...shared(flags), generate };
  const shown = await show(embeddedModel, prompt, prompt, options);
  if (!shown.drawn) process.stdout.write(prompt + withNewline(shown.result.text));
  printSummary(shown);
}

/** A puzzle that the model was not trained on; its answer is the whole grid. */
async function sudoku(flags: DemoFlags): Promise<void> {
  const { prompt, check } = taskInstance('sudoku-4', { n: blanks });
  const before = `\nA sudoku of ${side} × ${side}:\n\n${grid(prompt.split(' ').slice(2, -1))}\n\nsolved:\n\n`;
  const generate = {
    maxTokens: side ** 2,
    decode: threshold({ tau: 0.9 }),
    blocks: wholeAnswer(),
    stopAtEos: false,
  };
  const options = { ...shared(flags), generate, lineLength: side };
  const shown = await show(tasksModel, prompt, `${before} `, options);
  const { text } = shown.result;
  if (!shown.drawn) process.stdout.write(`${before}${grid(text.trim().split(/\s+/))}\n`);
  console.error(
    check(text) ? '\nEvery row, column and box is right.' : '\nThis is not a solution.',
  );
  printSummary(shown);
}

function shared({ live, color }: DemoFlags) {
  return { load: loadOptions({ device: 'auto' }), live, colour: color };
}

/** Cells in rows, a blank one as a middle dot. */
function grid(cells: string[]): string {
  const rows = Array.from({ length: side }, (_, r) => cells.slice(r * side, (r + 1) * side));
  return rows.map((row) => `  ${row.join(' ')}`.replaceAll('_', '·')).join('\n');
}
