/** `lacuna measure likelihood`: how probable a text is, by the bound and in several orders. */
import { Command, InvalidArgumentError } from 'commander';
import {
  readingOrders,
  textLikelihood,
  type TextLikelihood,
} from '../../measure/text-likelihood.js';
import { readText } from '../files.js';
import { markdownTable, plural } from '../format.js';
import { choice, defined, whole } from '../options.js';
import { barChart } from '../plots.js';
import { digits, modelOptions, reportModel, showProgress, type MeasureFlags } from './shared.js';

type Order = (typeof readingOrders)[number];

interface LikelihoodFlags extends MeasureFlags {
  text: string;
  length: number;
  samples: number;
  orders?: Order[];
  randomOrders: number;
  batch: number;
  seed?: number;
  per: 'token' | 'character';
  bos?: boolean;
}

export function likelihoodCommand(): Command {
  const command = new Command('likelihood')
    .description(
      "How probable the model finds a text, in nats: LLaDA's bound, by masks drawn at random, and the " +
        'exact chains of the orders left to right, right to left, by confidence and at random. The ' +
        'text is cut into pieces that know nothing of each other.',
    )
    .summary('how probable a text is: the bound, and in several orders')
    .argument('[model]', 'GGUF file (default: the small Shakespeare model, with --bos)')
    .requiredOption('--text <file>', 'the text, as it is')
    .option('--length <n>', 'tokens of a piece', whole(1), 64)
    .option('--samples <n>', 'masks of the bound for each piece; 0: no bound', whole(0), 128)
    .option('--orders <list>', `of ${readingOrders.join(',')}; none: only the bound`, orderList)
    .option('--random-orders <n>', 'orders drawn for each piece', whole(1), 4)
    .option('--batch <n>', 'canvases in one forward', whole(1), 8)
    .option('--seed <n>', 'of masks and random orders (default: 0)', whole(0))
    .addOption(
      choice('--per <unit>', 'nats per token, or per character: that compares between models', [
        'token',
        'character',
      ]).default('token'),
    )
    .option('--bos', 'begin with the begin-of-text token (default: as the file says)')
    .option('--no-bos', 'do not');
  return modelOptions(command, 'pieces').action(run);
}

function orderList(text: string): Order[] {
  if (text === 'none') return [];
  const names = text.split(',').map((name) => name.trim());
  const unknown = names.find((name) => !(readingOrders as readonly string[]).includes(name));
  if (unknown === undefined) return names as Order[];
  throw new InvalidArgumentError(`There is no ${unknown}; orders are ${readingOrders.join(', ')}.`);
}

async function run(path: string | undefined, flags: LikelihoodFlags): Promise<void> {
  const { length, samples, orders, randomOrders, batch, seed, sample: chunks } = flags;
  const text = readText('--text', flags.text);
  await reportModel(path, flags, async (model, name, signal) => {
    const { bos } = model.info.tokens;
    const wanted = flags.bos ?? (path === undefined || model.tokenizer.addBos);
    const prefix = wanted && bos !== undefined ? [bos] : [];
    const found = await textLikelihood(model, text, {
      ...defined({ length, samples, orders, randomOrders, batch, seed, chunks }),
      ...{ prefix, signal, onChunk: showProgress('piece') },
    });
    const rows = rowsOf(found);
    const unit = flags.per === 'token' ? found.tokens : found.characters;
    const lines = rows.map(({ name, nats, error = NaN }) => [
      ...[name, digits(nats / unit, 4), digits(error / unit, 4), digits(Math.exp(-nats / unit), 3)],
    ]);
    const size = `${plural(found.chunks, 'piece')} of ${length} tokens, ${found.tokens} tokens, ${found.characters} characters`;
    const bars = rows.map(({ name, nats }) => ({
      ...{ name, bars: [{ series: 'nats', value: -nats / unit }] },
    }));
    const title = `Negative log-likelihood of a text to ${name}`;
    return {
      text: [
        markdownTable(['order', `nats/${flags.per}`, '± std. error', 'perplexity'], lines),
        ...['', size],
      ].join('\n'),
      json: { ...found, per: flags.per },
      chart: (vega) =>
        barChart(vega, { title, about: `${size}; lower is likelier` }, bars, {
          title: `nats per ${flags.per}`,
        }),
    };
  });
}

const shownNames: Record<Order, string> = {
  leftToRight: 'left to right',
  rightToLeft: 'right to left',
  confidence: 'confidence',
  random: 'random',
};

/** Log-likelihoods by name. */
function rowsOf({ bound, chains }: TextLikelihood) {
  const rows: { name: string; nats: number; error?: number }[] = [];
  if (bound) rows.push({ name: 'bound', nats: bound.logLikelihood, error: bound.standardError });
  for (const { order, logLikelihood, logOfMean } of chains) {
    const name = shownNames[order];
    rows.push({
      name: logOfMean === undefined ? name : `${name}, mean of logs`,
      nats: logLikelihood,
    });
    if (logOfMean !== undefined) rows.push({ name: `${name}, log of mean`, nats: logOfMean });
  }
  return rows;
}
