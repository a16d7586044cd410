/** `lacuna parallelbench`: how much is lost by committing several tokens at once. */
import { open } from 'node:fs/promises';
import { Command, InvalidArgumentError } from 'commander';
import { taskCorpus, taskNames, taskWords, type Split, type TaskName } from '../tasks/index.js';
import { fileError, writeJson } from './files.js';
import { choice, UsageError, whole } from './options.js';

interface ParallelbenchFlags {
  writeCorpus?: string;
  writeWords?: string;
  count: number;
  split: Split;
  tasks: TaskName[];
  seed: number;
}

export function parallelbenchCommand(): Command {
  return new Command('parallelbench')
    .description(
      'Tasks with exact checkers, after ParallelBench: what is lost by committing several tokens at once.',
    )
    .summary('accuracy against tokens per forward')
    .optionsGroup('Tasks:')
    .option('--tasks <names>', 'with commas between (default: all)', taskList, taskNames)
    .option('--seed <n>', 'of all random choices', whole(0), 0)
    .optionsGroup('Corpus:')
    .option('--write-corpus <file>', 'write tasks with answers, one JSON object a line')
    .option('--count <n>', 'how many', whole(1, 100_000_000), 100_000)
    .addOption(
      choice('--split <name>', 'instances to train on, or those held out', [
        'train',
        'test',
      ]).default('train'),
    )
    .option('--write-words <file>', 'write the list of all words of prompts and answers, as JSON')
    .action(run);
}

async function run(flags: ParallelbenchFlags): Promise<void> {
  if (flags.writeCorpus === undefined && flags.writeWords === undefined) {
    throw new UsageError('parallelbench needs --write-corpus or --write-words');
  }
  if (flags.writeWords !== undefined) await writeJson(flags.writeWords, taskWords, '--write-words');
  if (flags.writeCorpus !== undefined) await writeCorpus(flags.writeCorpus, flags);
}

async function writeCorpus(path: string, flags: ParallelbenchFlags): Promise<void> {
  const { count, tasks, seed, split } = flags;
  try {
    const file = await open(path, 'w');
    try {
      let lines = '';
      for (const { task, n, prompt, answer } of taskCorpus(count, { tasks, seed, split })) {
        lines += `${JSON.stringify({ task, n, prompt, answer })}\n`;
        if (lines.length < 1 << 16) continue;
        await file.write(lines);
        lines = '';
      }
      await file.write(lines);
    } finally {
      await file.close();
    }
  } catch (cause) {
    throw fileError('--write-corpus', cause);
  }
}

function taskList(text: string): TaskName[] {
  const names = text.split(',').map((name) => name.trim());
  const unknown = names.find((name) => !(taskNames as string[]).includes(name));
  if (unknown === undefined) return names as TaskName[];
  throw new InvalidArgumentError(`There is no ${unknown}; tasks are ${taskNames.join(', ')}.`);
}
