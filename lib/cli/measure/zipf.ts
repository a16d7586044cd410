/** `lacuna measure zipf`: what Zipf's law says of masks far away, and of many at once. */
import { Command } from 'commander';
import { printedPerplexity, zipf } from '../../measure/zipf.js';
import { fields, markdownTable } from '../format.js';
import { real, whole } from '../options.js';
import { lineChart } from '../plots.js';
import { digits, outputOptions, report, type OutputFlags } from './shared.js';

interface ZipfFlags extends OutputFlags {
  s: number;
  vocabulary: number;
  n: number;
  perplexity?: number;
}

const usual = { s: 1.05, vocabulary: 150_000 };

export function zipfCommand(): Command {
  const command = new Command('zipf')
    .description(
      'The bound on how sure a model can be of the n-th masked position if tokens follow a Zipf law, ' +
        'and the perplexity of n tokens drawn at once. Needs no model.',
    )
    .summary("what Zipf's law says of many masks at once")
    .option('--s <s>', 'exponent of the law', real(0, 4), usual.s)
    .option('--vocabulary <n>', 'number of tokens', whole(2, 1e7), usual.vocabulary)
    .option('-n <n>', 'positions to list', whole(1, 1000), 8)
    .option('--perplexity <x>', 'say how many tokens at once stay below it', real(0));
  return outputOptions(command).action(run);
}

async function run(flags: ZipfFlags): Promise<void> {
  await report(flags, () => Promise.resolve(measured(flags)));
}

function measured({ s, vocabulary, n, perplexity }: ZipfFlags) {
  const law = zipf(s, vocabulary);
  const isPaper = s === usual.s && vocabulary === usual.vocabulary;
  const printed = (i: number) => (isPaper ? (printedPerplexity.at(i - 1) ?? NaN) : NaN);
  const rows = Array.from({ length: n }, (_, i) => {
    const given = isPaper && i < printedPerplexity.length ? { printed: printed(i + 1) } : {};
    return { n: i + 1, bound: law.bound(i + 1), perplexity: law.perplexity(i + 1), ...given };
  });
  const header = [
    'n',
    'bound on p',
    'perplexity of n',
    ...(isPaper ? ['printed in the paper'] : []),
  ];
  const lines = rows.map((row) => [
    ...[String(row.n), digits(row.bound, 5), digits(row.perplexity, 3)],
    ...(isPaper ? [digits(row.printed ?? NaN, 4)] : []),
  ]);
  const facts = fields([
    ['ω1, ω2', `${digits(law.omega1, 5)}, ${digits(law.omega2, 5)}`],
    ['limit of the bound', `${digits(law.limit, 5)} (perplexity ${digits(1 / law.limit, 3)})`],
    ...(perplexity === undefined
      ? []
      : [[`largest n below ${perplexity}`, String(law.largest(perplexity))] as [string, string]]),
  ]);
  const remark = 'What the paper prints does not follow from the formula that it prints.';
  const series = [
    { name: 'by the formula', points: rows.map((row) => [row.n, row.perplexity] as const) },
    ...(isPaper
      ? [
          {
            ...{ name: 'as printed', dashed: true },
            points: rows.map((row) => [row.n, row.printed ?? NaN] as const),
          },
        ]
      : []),
  ];
  const heading = {
    title: 'Perplexity of n tokens at once',
    about: `Zipf law with s = ${s} over ${vocabulary} tokens`,
  };
  const axes = { x: { title: 'n', zero: false, whole: true }, y: { title: 'perplexity' } };
  const { omega1, omega2, delta, limit } = law;
  const largest = perplexity === undefined ? {} : { largest: law.largest(perplexity) };
  return {
    text: [markdownTable(header, lines), '', facts, ...(isPaper ? ['', remark] : [])].join('\n'),
    json: { s, vocabulary, omega1, omega2, delta, limit, ...largest, rows },
    chart: (vega: Parameters<typeof lineChart>[0]) => lineChart(vega, heading, series, axes),
  };
}
