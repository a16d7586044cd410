/**
 * The ten "waiting line" tasks of ParallelBench (arXiv 2510.04767), with names of one word:
 * a line of `n` people, and what becomes of it. An index counts from 0, as there.
 */
import { orders, same, type Draft, type Family } from './family.js';
import type { Random } from './random.js';
import { names } from './words.js';

const size = { of: 'names', min: 3, max: 8 };

/** A line and one name that is not in it. */
function people(random: Random, n: number): { queue: string[]; extra: string } {
  const [extra, ...queue] = random.sample(names, n + 1);
  return { queue, extra };
}

/** @param make the prompt and all right answers */
function line(about: string, make: (random: Random, n: number) => [string[], string[][]]): Family {
  const draw = (random: Random, n: number): Draft => {
    const [prompt, answers] = make(random, n);
    return { prompt, answer: random.pick(answers), answers: () => answers };
  };
  return { about, size, draw };
}

const places = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

function asked(what: string[], queue: string[]): string[] {
  return [...what, ':', ...queue, '='];
}

export const waitingLine = {
  copy: line('the same line', (random, n) => {
    const { queue } = people(random, n);
    return [asked(['copy'], queue), [queue]];
  }),
  reverse: line('the line from its end', (random, n) => {
    const { queue } = people(random, n);
    return [asked(['reverse'], queue), [queue.toReversed()]];
  }),
  sort: line('the line in alphabetical order', (random, n) => {
    const { queue } = people(random, n);
    return [asked(['sort'], queue), [queue.toSorted()]];
  }),
  'replace-index': line('another name at the place of that number', (random, n) => {
    const { queue, extra } = people(random, n);
    const i = random.below(n);
    return [asked(['replace', 'index', String(i), extra], queue), [queue.with(i, extra)]];
  }),
  'replace-random': line('another name at any one place', (random, n) => {
    const { queue, extra } = people(random, n);
    const prompt = asked(['replace', 'random', extra], queue);
    return [prompt, places(n).map((i) => queue.with(i, extra))];
  }),
  'insert-index': line('one more name, at the place of that number', (random, n) => {
    const { queue, extra } = people(random, n);
    const i = random.below(n + 1);
    const prompt = asked(['insert', 'index', String(i), extra], queue);
    return [prompt, [queue.toSpliced(i, 0, extra)]];
  }),
  'insert-random': line('one more name, at any place', (random, n) => {
    const { queue, extra } = people(random, n);
    const prompt = asked(['insert', 'random', extra], queue);
    return [prompt, places(n + 1).map((i) => queue.toSpliced(i, 0, extra))];
  }),
  'remove-index': line('without the name of that number', (random, n) => {
    const { queue } = people(random, n);
    const i = random.below(n);
    return [asked(['remove', 'index', String(i)], queue), [queue.toSpliced(i, 1)]];
  }),
  'remove-random': line('without any one name', (random, n) => {
    const { queue } = people(random, n);
    return [asked(['remove', 'random'], queue), places(n).map((i) => queue.toSpliced(i, 1))];
  }),
  shuffle: {
    // ParallelBench also refuses the line as it is given. Here that is one of the n! answers, so that
    // the closed forms of the paper, which count it, hold exactly.
    about: 'the same people in any order',
    size,
    draw: (random, n) => {
      const { queue } = people(random, n);
      const sorted = queue.toSorted();
      return {
        prompt: asked(['shuffle'], queue),
        answer: random.shuffle(queue),
        answers: () => orders(queue),
        check: (given) => same(given.toSorted(), sorted), // n! are many
      };
    },
  },
} satisfies Record<string, Family>;
