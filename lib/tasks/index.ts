/** Tasks with exact checkers, after ParallelBench (arXiv 2510.04767): what is right is not a matter of taste. */
import { LacunaError } from '../errors.js';
import { integer, oneOf } from '../validate.js';
import { same, type Draft, type Family, type Split } from './family.js';
import { grids } from './grids.js';
import { hash, Random } from './random.js';
import { reversal } from './reversal.js';
import { sentence } from './sentence.js';
import { waitingLine } from './waiting-line.js';

export type { Split } from './family.js';
export { taskWords } from './words.js';

const all = { ...waitingLine, sentence, ...grids, reversal } satisfies Record<string, Family>;

export type TaskName = keyof typeof all;
export const taskNames = Object.keys(all) as TaskName[];
const families: Record<TaskName, Family> = all;

/** What each task asks, and which `n` it has. */
export const tasks: Readonly<Record<TaskName, Pick<Family, 'about' | 'size'>>> = families;

export interface TaskInstance {
  task: TaskName;
  /** Size: names in the line, words given, blank cells …, see `tasks[task].size`. */
  n: number;
  /** Words with blanks between, the last one `=`. */
  prompt: string;
  /** One right answer, drawn evenly from all; every right answer has as many words. */
  answer: string;
  /** Whether a text is a right answer. Only its words count, not the space between them. */
  check: (text: string) => boolean;
  /** All right answers, in words: `answer` is drawn evenly from them. Shuffles are many, n!. */
  answers: () => Iterable<string[]>;
}

export interface TaskOptions {
  /** Size; default: drawn evenly from the task's own. */
  n?: number;
  /** Default 0. */
  seed?: number;
  /** Which instance of the seed; default 0. */
  index?: number;
  /**
   * Default `'test'`. One instance in ten is a test: by a hash of the prompt, for `sentence` of the
   * set of words, for `latin` of the set of symbols, for sudoku of the solved grid. `reversal` asks
   * in tests what training only tells forwards.
   */
  split?: Split;
}

/**
 * Instances of all the tasks named in turn by chance, the same ones for the same arguments: a corpus.
 * @param count how many
 */
export function* taskCorpus(
  count: number,
  { tasks = taskNames, ...options }: Omit<TaskOptions, 'n' | 'index'> & { tasks?: TaskName[] } = {},
): Iterable<TaskInstance> {
  for (let index = 0; index < count; index++) {
    const random = new Random(options.seed ?? 0, [index, 0, hash('corpus')]);
    yield taskInstance(random.pick(tasks), { ...options, index });
  }
}

/**
 * An instance of a task: the same arguments give the same one.
 * Throws `INVALID_ARGUMENT` for a task that does not exist or an `n` that it does not have.
 */
export function taskInstance(task: TaskName, options: TaskOptions = {}): TaskInstance {
  oneOf('task', task, taskNames);
  const { seed = 0, index = 0, split = 'test' } = options;
  integer('seed', seed, { min: 0 });
  integer('index', index, { min: 0, max: 0xffffffff });
  oneOf('split', split, ['train', 'test']);
  const { size, draw } = families[task];
  if (options.n !== undefined) integer(`n of ${task}`, options.n, size);
  for (let attempt = 0; attempt < 10_000; attempt++) {
    const random = new Random(seed, [index, attempt, hash(task)]);
    const n = options.n ?? size.min + random.below(size.max - size.min + 1);
    const draft = draw(random, n, split);
    if (task === 'reversal' || splitOf(task, draft) === split) return instance(task, n, draft);
  }
  throw new LacunaError('INVALID_ARGUMENT', `${task} with n = ${options.n} has no ${split} split`);
}

function splitOf(task: TaskName, { key, prompt }: Draft): Split {
  return hash(`${task} ${key ?? prompt.join(' ')}`) % 10 === 0 ? 'test' : 'train';
}

function instance(task: TaskName, n: number, draft: Draft): TaskInstance {
  const { prompt, answer, answers } = draft;
  const oneOfThem = (given: string[]) => [...answers()].some((right) => same(given, right));
  const { check = oneOfThem } = draft;
  return {
    task,
    n,
    prompt: prompt.join(' '),
    answer: answer.join(' '),
    check: (text) => check(text.trim().split(/\s+/)),
    answers,
  };
}
