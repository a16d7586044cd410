/** `lacuna measure positions`: what a model says of masks far from the prompt. */
import { Command } from 'commander';
import { positionCurve, type DistanceBand } from '../../measure/positions.js';
import { zipf } from '../../measure/zipf.js';
import { markdownTable, plural, quoted } from '../format.js';
import { defined, real, whole } from '../options.js';
import { lineChart } from '../plots.js';
import { readPrompts } from '../prompt.js';
import { digits, modelOptions, reportModel, type MeasureFlags } from './shared.js';

interface PositionFlags extends MeasureFlags {
  prompts: string;
  masks: number;
  s: number;
  bos?: boolean;
}

export function positionsCommand(): Command {
  const command = new Command('positions')
    .description(
      'One forward over each prompt with masks behind it: how sure the model is of the n-th mask, ' +
        'beside the bound of a Zipf law over its vocabulary, and which tokens it proposes there.',
    )
    .summary('how sure the model is of masks far away')
    .argument('[model]', 'GGUF file (default: the small Shakespeare model, with --bos)')
    .requiredOption('--prompts <file>', 'one prompt a line, or a JSON list of texts')
    .option('--masks <n>', 'behind each prompt', whole(1), 64)
    .option('--s <s>', 'exponent of the Zipf law', real(0, 4), 1.05)
    .option('--bos', 'begin with the begin-of-text token (default: as the file says)')
    .option('--no-bos', 'do not');
  return modelOptions(command, 'prompts').action(run);
}

async function run(path: string | undefined, flags: PositionFlags): Promise<void> {
  const { masks, s } = flags;
  const prompts = readPrompts(flags.prompts).slice(0, flags.sample);
  const bos = flags.bos ?? (path === undefined ? true : undefined);
  await reportModel(path, flags, async (model, name, signal) => {
    const curve = await positionCurve(model, prompts, { ...defined({ bos }), masks, signal });
    const law = zipf(s, model.info.vocabulary);
    const positions = curve.positions.map((position) => ({
      ...position,
      zipf: law.bound(position.n),
    }));
    const lines = positions
      .filter(({ n }) => Number.isInteger(Math.log2(n)) || n === masks)
      .map(({ n, probability, zipf, entropy }) => [
        ...[String(n), digits(probability, 4), digits(zipf, 4), digits(entropy, 3)],
      ]);
    const bands = curve.bands.map((band) => bandLine(band));
    const heading = {
      title: `How sure ${name} is of the n-th mask`,
      about: `mean of ${plural(prompts.length, 'prompt')}; Zipf law with s = ${s} over ${model.info.vocabulary} tokens`,
    };
    const series = [
      {
        name: 'mean largest probability',
        points: positions.map((p) => [p.n, p.probability] as const),
      },
      { name: 'bound by Zipf', points: positions.map((p) => [p.n, p.zipf] as const), dashed: true },
    ];
    return {
      text: [
        markdownTable(['n', 'mean max p', 'Zipf bound', 'entropy (nats)'], lines),
        '',
        markdownTable(['masks', 'proposals', 'distinct', 'most frequent, share'], bands),
      ].join('\n'),
      json: { ...curve, positions, s, vocabulary: model.info.vocabulary },
      chart: (vega) =>
        lineChart(vega, heading, series, {
          x: { title: 'n, masks after the prompt', zero: false, whole: true },
          y: { title: 'probability' },
        }),
    };
  });
}

function bandLine({ from, to, proposals, distinct, top }: DistanceBand): string[] {
  const tokens = top.map(({ text, share }) => `${quoted(text, 16)} ${(100 * share).toFixed(0)} %`);
  const masks = from === to ? String(from) : `${from} – ${to}`;
  return [masks, String(proposals), String(distinct), tokens.join(', ')];
}
