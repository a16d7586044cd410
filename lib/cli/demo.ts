/** `lacuna demo`: the model in the package writes a scene. */
import { Command } from 'commander';
import { generateOptions } from './decoders.js';
import { embeddedFlags, embeddedModel, loadOptions } from './options.js';
import { printSummary, show } from './show.js';
import { withNewline } from './run.js';

// Two speakers and a situation; the model goes on with the speeches. Not a line of Shakespeare's.
const prompt = `DUKE OF YORK:
My lord, the king is come, and with him all his men.

QUEEN MARGARET:
What news, my lord? Is he not dead?

`;

export function demoCommand(): Command {
  return new Command('demo')
    .description(
      'The small model in the package goes on with a scene in the manner of Shakespeare: 7 million ' +
        'parameters, trained on his plays alone, so the words are his and the sense is not.',
    )
    .summary('watch the small model in the package write')
    .optionsGroup('Output:')
    .option('--no-live', 'do not draw, print the finished text')
    .option('--no-color', 'draw without colours (also: NO_COLOR)')
    .addHelpText(
      'after',
      `
The same by hand:
  lacuna run -f scene.txt -n 96 --decode low-confidence --steps 64 -t 0.7 --seed 1`,
    )
    .action(demo);
}

async function demo(flags: { live: boolean; color: boolean }): Promise<void> {
  const generate = generateOptions({
    maxTokens: 96,
    ...embeddedFlags,
    decode: 'low-confidence',
    steps: 64,
    temperature: 0.7,
    seed: 1,
  });
  const options = {
    load: loadOptions({ device: 'auto' }),
    generate,
    live: flags.live,
    colour: flags.color,
  };
  const shown = await show(embeddedModel, prompt, prompt, options);
  if (!shown.drawn) process.stdout.write(prompt + withNewline(shown.result.text));
  printSummary(shown);
}
