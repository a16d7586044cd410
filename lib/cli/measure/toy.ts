/** `lacuna measure toy`: two tokens that go together, chosen one by one and at once. */
import { join } from 'node:path';
import { Command } from 'commander';
import { toyExperiment } from '../../measure/toy.js';
import { markdownTable } from '../format.js';
import { machineOptions, packageRoot, type ModelFlags } from '../options.js';
import { barChart } from '../plots.js';
import { digits, outputOptions, reportModel, type OutputFlags } from './shared.js';

const model = join(packageRoot, 'models', 'toy.F32.gguf');

export function toyCommand(): Command {
  const command = new Command('toy')
    .description(
      "Runs the toy experiment on a model that knows a hundred sequences, 34 AB, 21 AB', 35 A'B and " +
        "10 A'B', each with C D E behind: which decoders find the most frequent one.",
    )
    .summary('the pair that independent choices get wrong');
  outputOptions(command);
  return machineOptions(command).action(run);
}

async function run(flags: ModelFlags & OutputFlags): Promise<void> {
  await reportModel(model, flags, async (loaded, _, signal) => {
    const result = await toyExperiment(loaded, signal);
    const { conditionals, pairs, decodings } = result;
    const parts = [
      markdownTable(
        ['conditional', 'counted', 'measured'],
        conditionals.map(({ name, counted, measured }) => [
          ...[name, digits(counted, 4), digits(measured, 4)],
        ]),
      ),
      markdownTable(
        ['pair', 'counted', 'one after the other', 'if independent'],
        pairs.map(({ pair, counted, chained, independent }) => [
          ...[pair, digits(counted, 4), digits(chained, 4), digits(independent, 4)],
        ]),
      ),
      markdownTable(
        ['decoder', 'forwards', 'answer', 'most frequent'],
        decodings.map(({ decoder, forwards, answer, best }) => [
          ...[decoder, String(forwards), answer, best ? 'yes' : 'no'],
        ]),
      ),
    ];
    const groups = pairs.map(({ pair, counted, chained, independent }) => ({
      name: pair,
      bars: [
        { series: 'counted', value: counted },
        { series: 'one after the other', value: chained },
        { series: 'if independent', value: independent },
      ],
    }));
    const heading = {
      title: 'The toy experiment',
      about:
        'Probability of each pair; independent choices find AB, which is not the most frequent',
    };
    return {
      text: parts.join('\n\n'),
      json: result,
      chart: (vega) => barChart(vega, heading, groups, { title: 'probability' }),
    };
  });
}
