/** `lacuna measure joint`: how likely the tokens of a step are together. */
import { Command } from 'commander';
import { jointCommits, summariseJoint } from '../../measure/joint.js';
import { generateOptions, generationOptions, type GenerationFlags } from '../decoders.js';
import { markdownTable, plural } from '../format.js';
import { lineChart } from '../plots.js';
import { readPrompts } from '../prompt.js';
import { embeddedOptions } from '../run.js';
import { digits, modelOptions, reportModel, type MeasureFlags } from './shared.js';

interface JointFlags extends GenerationFlags, MeasureFlags {
  prompts: string;
}

export function jointCommand(): Command {
  const command = new Command('joint')
    .description(
      'Generates answers and bounds, for each step, how probable its tokens were together: at most ' +
        'the smallest of them, Π p if they do not depend on each other, at least max(0, Σp − (n − 1)).',
    )
    .summary('how likely tokens of one step are together')
    .argument(
      '[model]',
      'GGUF file (default: the small Shakespeare model, as `lacuna run` runs it)',
    )
    .requiredOption('--prompts <file>', 'one prompt a line, or a JSON list of texts');
  generationOptions(command);
  return modelOptions(command, 'prompts').action(run);
}

async function run(path: string | undefined, flags: JointFlags): Promise<void> {
  const prompts = readPrompts(flags.prompts).slice(0, flags.sample);
  const options = path === undefined ? embeddedOptions(flags) : generateOptions(flags);
  await reportModel(path, flags, async (model, name, signal) => {
    const commits = [];
    for (const prompt of prompts) {
      const { trace } = await model.generate(prompt, { ...options, signal }).result;
      commits.push(...jointCommits(trace));
    }
    const rows = summariseJoint(commits);
    const header = ['tokens', 'steps', 'min p', 'Π p', 'Bonferroni', 'perplexity'];
    const lines = rows.map(({ n, steps, upper, independent, lower, perplexity }) => [
      ...[String(n), String(steps)],
      ...[upper, independent, lower].map((value) => digits(value, 4)),
      digits(perplexity, 3),
    ]);
    const line = (name: string, of: (row: (typeof rows)[number]) => number) => ({
      ...{ name, points: rows.map((row) => [row.n, of(row)] as const) },
    });
    const about = `${plural(commits.length, 'step')} of ${plural(prompts.length, 'prompt')}, means by number of tokens`;
    const series = [
      line('at most: min p', ({ upper }) => upper),
      line('if independent: Π p', ({ independent }) => independent),
      line('at least: Bonferroni', ({ lower }) => lower),
    ];
    const axes = {
      x: { title: 'tokens of a step', zero: false, whole: true },
      y: { title: 'joint probability' },
    };
    const heading = { title: `Joint probability of steps of ${name}`, about };
    return {
      text: markdownTable(header, lines),
      json: { summary: rows, commits },
      chart: (vega) => lineChart(vega, heading, series, axes),
    };
  });
}
