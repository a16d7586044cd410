/** `lacuna measure oscillation`: answers that are right on the way and lost again. */
import { Command } from 'commander';
import { oscillation, parseTasks, type OscillationRun } from '../../measure/oscillation.js';
import { generateOptions, generationOptions, type GenerationFlags } from '../decoders.js';
import { readText } from '../files.js';
import { fields, markdownTable, plural, quoted } from '../format.js';
import { lineChart } from '../plots.js';
import { embeddedOptions } from '../run.js';
import { digits, modelOptions, reportModel, showProgress, type MeasureFlags } from './shared.js';

interface OscillationFlags extends GenerationFlags, MeasureFlags {
  tasks: string;
  answers?: boolean;
}

export function oscillationCommand(): Command {
  const command = new Command('oscillation')
    .description(
      'Runs tasks whose answers can be checked, and reads an answer after every forward: how many were ' +
        'right at some step (EverPass), at the end (FullPass), and how much answers change.',
    )
    .summary('answers that come and go')
    .argument(
      '[model]',
      'GGUF file (default: the small Shakespeare model, as `lacuna run` runs it)',
    )
    .requiredOption(
      '--tasks <file>',
      'JSON lines: {"prompt": …, "answer": …, "match": "exact" or "contains"}',
    )
    .option('--answers', 'print the answers of each task, step by step');
  generationOptions(command);
  return modelOptions(command, 'tasks').action(run);
}

async function run(path: string | undefined, flags: OscillationFlags): Promise<void> {
  const tasks = parseTasks(readText('--tasks', flags.tasks)).slice(0, flags.sample);
  const options = path === undefined ? embeddedOptions(flags) : generateOptions(flags);
  await reportModel(path, flags, async (model, name, signal) => {
    const onTask = showProgress('task');
    const found = await oscillation(model, tasks, { ...options, signal, onTask });
    const text = fields([
      ['tasks', String(found.tasks)],
      ['EverPass', digits(found.everPass, 3)],
      ['FullPass', digits(found.fullPass, 3)],
      ['difference', digits(found.difference, 3)],
      ['changes of the answer', digits(found.changes, 2)],
      ['temporal semantic entropy', `${digits(found.entropy, 3)} nats`],
    ]);
    const line = (name: string, of: (point: (typeof found.curve)[number]) => number) => ({
      ...{ name, points: found.curve.map((point) => [point.t, of(point)] as const) },
    });
    const series = [
      line('right at some step so far', ({ everPass }) => everPass),
      line('right at this step', ({ pass }) => pass),
    ];
    const heading = {
      title: `Oscillation of ${name}`,
      about: `${plural(found.tasks, 'task')}, answers of up to ${flags.maxTokens} tokens`,
    };
    const axes = { x: { title: "part of the run's steps" }, y: { title: 'share of tasks' } };
    return {
      text: flags.answers
        ? `${text}\n\n${found.runs.map((run, i) => answerTable(tasks[i].prompt, run)).join('\n\n')}`
        : text,
      json: found,
      chart: (vega) => lineChart(vega, heading, series, axes),
    };
  });
}

/** The answers of a run, those that stay the same for several steps once. */
function answerTable(prompt: string, { answers, correct }: OscillationRun): string {
  const rows: string[][] = [];
  for (let from = 0, to = 0; from < answers.length; from = to) {
    while (to < answers.length && answers[to] === answers[from]) to++;
    const steps = to - from > 1 ? `${from} – ${to - 1}` : String(from);
    rows.push([quoted(answers[from] ?? '', 60), steps, correct[from] ? 'yes' : 'no']);
  }
  return `${quoted(prompt, 70)}\n${markdownTable(['answer', 'steps', 'right'], rows)}`;
}
