/** `lacuna measure order`: how close to left to right answers are written. */
import { Command } from 'commander';
import type { PresetName } from '../../decoding/presets.js';
import { arness, commitSteps, orderMap, type ArnessOptions } from '../../measure/order.js';
import type { Model } from '../../model.js';
import type { GenerateOptions } from '../../plan.js';
import { presetList } from '../compare.js';
import { generateOptions, generationOptions, type GenerationFlags } from '../decoders.js';
import { markdownTable, plural } from '../format.js';
import { choice, whole, wholeList } from '../options.js';
import { heatMaps } from '../plots.js';
import { readPrompts } from '../prompt.js';
import { embeddedOptions } from '../run.js';
import { digits, modelOptions, reportModel, type MeasureFlags, type Measured } from './shared.js';

interface OrderFlags extends GenerationFlags, MeasureFlags {
  prompts: string;
  presets?: PresetName[];
  k: number[];
  ties?: ArnessOptions['ties'];
  bins: number;
}

export function orderCommand(): Command {
  const command = new Command('order')
    .description(
      'Generates answers and says how close to left to right they were written: local and global ' +
        'AR-ness@k, means over the prompts, and a map of when which part was filled.',
    )
    .summary('in which order answers are written: AR-ness, maps')
    .argument(
      '[model]',
      'GGUF file (default: the small Shakespeare model, as `lacuna run` runs it)',
    )
    .requiredOption('--prompts <file>', 'one prompt a line, or a JSON list of texts')
    .option('--presets <names>', 'with commas between, one after the other', presetList)
    .option('--k <list>', 'which k, with commas between', wholeList(1), [1, 2, 4, 8])
    .option('--bins <n>', 'of position and of time in the map', whole(1, 256), 16)
    .addOption(
      choice(
        '--ties <rule>',
        'tokens of one step: ordered leftToRight (default), or never counted',
        ['leftToRight', 'never'],
      ),
    );
  generationOptions(command);
  return modelOptions(command, 'prompts').action(run);
}

async function run(path: string | undefined, flags: OrderFlags): Promise<void> {
  const prompts = readPrompts(flags.prompts).slice(0, flags.sample);
  const of = path === undefined ? embeddedOptions : generateOptions;
  const runs: [name: string, options: GenerateOptions][] = flags.presets?.map((preset) => [
    preset,
    of({ ...flags, preset }),
  ]) ?? [[flags.preset ?? flags.decode ?? 'default', of(flags)]];
  await reportModel(path, flags, async (model, name, signal) => {
    const rows = [];
    for (const [run, options] of runs) {
      rows.push(await measured(run, model, prompts, { ...options, signal }, flags));
    }
    const about = `${plural(prompts.length, 'prompt')}, answers of up to ${flags.maxTokens} tokens`;
    return shown(rows, { title: `Order of commits of ${name}`, about });
  });
}

async function measured(
  name: string,
  model: Model,
  prompts: readonly string[],
  options: GenerateOptions,
  { k: ks, ties, bins }: OrderFlags,
) {
  const runs: Int32Array[] = [];
  let tokensPerForward = 0;
  for (const prompt of prompts) {
    const result = await model.generate(prompt, options).result;
    runs.push(commitSteps(result));
    tokensPerForward += result.counts.tokensPerForward / prompts.length;
  }
  const each = runs.map((steps) => arness(steps, { ks, ...(ties && { ties }) }));
  const mean = (of: (i: number) => number) =>
    runs.reduce((sum, _, i) => sum + of(i), 0) / runs.length;
  const byK = ks.map((k, j) => ({
    k,
    localLiteral: mean((i) => each[i][j].localLiteral),
    localOrdered: mean((i) => each[i][j].localOrdered),
    global: mean((i) => each[i][j].global),
  }));
  const map = orderMap(runs, { rows: bins, columns: bins });
  const steps = runs.map((run) => [...run]);
  return { name, tokensPerForward, arness: byK, map: { ...map, share: [...map.share] }, steps };
}

function shown(
  rows: Awaited<ReturnType<typeof measured>>[],
  heading: { title: string; about: string },
): Measured {
  const header = ['decoding', 'tokens/forward', 'k', 'local, literal', 'local, ordered', 'global'];
  const lines = rows.flatMap(({ name, tokensPerForward, arness }) =>
    arness.map(({ k, localLiteral, localOrdered, global }) => [
      ...[name, digits(tokensPerForward, 2), String(k)],
      ...[localLiteral, localOrdered, global].map((value) => digits(value, 3)),
    ]),
  );
  const panels = rows.map(({ name, map }) => ({ name, ...map }));
  return {
    text: markdownTable(header, lines),
    json: rows,
    chart: (vega) => heatMaps(vega, heading, panels, { x: 'position', y: 'time' }),
  };
}
