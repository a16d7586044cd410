/** What a task is: how its instances are drawn, and which answers are right. */
import type { Random } from './random.js';

/** One instance, in words. */
export interface Draft {
  /** What a test instance must not share with a training instance; default: the prompt. */
  key?: string;
  prompt: string[];
  /** One of the right answers, each as probable as the others. */
  answer: string[];
  /** All right answers. */
  answers: () => Iterable<string[]>;
  /** Whether an answer is one of them; default: by comparing it with each. */
  check?: (answer: string[]) => boolean;
}

export interface Family {
  /** What is asked, for people. */
  about: string;
  /** What `n` counts, and which are drawn. */
  size: { of: string; min: number; max: number };
  /** @param split for tasks whose training instances are not of the same kind as their tests */
  draw: (random: Random, n: number, split: Split) => Draft;
}

export type Split = 'train' | 'test';

export function same(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((word, i) => word === b[i]);
}

/** All orders of the items. */
export function* orders<T>(items: readonly T[]): Iterable<T[]> {
  if (items.length === 0) yield [];
  for (const [i, first] of items.entries()) {
    for (const rest of orders(items.toSpliced(i, 1))) yield [first, ...rest];
  }
}
