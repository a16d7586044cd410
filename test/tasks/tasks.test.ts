/** The tasks' instances, checked by means that their makers do not use. */
import { describe, expect, test } from 'vitest';
import type { LacunaError } from '../../lib/errors.js';
import { solutionCount } from '../../lib/tasks/grids.js';
import { facts } from '../../lib/tasks/reversal.js';
import {
  taskCorpus,
  taskInstance,
  taskNames,
  tasks,
  taskWords,
  type TaskInstance,
  type TaskName,
} from '../../lib/tasks/index.js';

const instances = (task: TaskName, count: number, seed = 1): TaskInstance[] =>
  Array.from({ length: count }, (_, index) => taskInstance(task, { seed, index }));
const words = (text: string): string[] => text.split(' ');
/** What stands between `:` and `=`. */
const given = ({ prompt }: TaskInstance): string[] => words(prompt.split(' : ')[1]).slice(0, -1);
/** What stands before `:`. */
const order = ({ prompt }: TaskInstance): string[] => words(prompt.split(' : ')[0]);

describe.each(taskNames)('%s', (task) => {
  test('is made of its words, by its sizes, the same every time', () => {
    const { min, max } = tasks[task].size;
    const some = instances(task, 20);
    const known = new Set(taskWords);
    expect(known.size).toBe(taskWords.length);
    for (const { n, prompt, answer } of some) {
      expect(n).toBeGreaterThanOrEqual(min);
      expect(n).toBeLessThanOrEqual(max);
      expect(words(`${prompt} ${answer}`).filter((word) => !known.has(word))).toEqual([]);
    }
    const text = ({ prompt, answer }: TaskInstance) => `${prompt} ${answer}`;
    expect(instances(task, 20).map(text)).toEqual(some.map(text));
    expect(instances(task, 20, 2).map(text)).not.toEqual(some.map(text));
  });

  test('accepts each of its answers and nothing beside them', () => {
    const { max } = tasks[task].size;
    for (let index = 0; index < 6; index++) {
      const n = task === 'shuffle' ? 4 : Math.min(max, tasks[task].size.min + index);
      const { answer, answers, check } = taskInstance(task, { n, index });
      const all = [...answers()].map((right) => right.join(' '));
      const listed = new Set(all);
      expect(listed.size).toBe(all.length);
      expect(listed).toContain(answer);
      expect(check(` ${answer.replaceAll(' ', '\n ')}\n`)).toBe(true);
      expect(all.slice(0, 50).every(check)).toBe(true);
      expect(all.every((right) => words(right).length === words(answer).length)).toBe(true);
      expect(check(words(answer).slice(1).join(' '))).toBe(false);
      expect(check(`${answer} ${words(answer)[0]}`)).toBe(false);
      expect(check('')).toBe(false);
      // one word of the answer replaced by another: right only if it is listed
      for (const i of words(answer).keys()) {
        for (const word of ['Zoe', '1', 'the', 'an']) {
          const text = words(answer).with(i, word).join(' ');
          expect(check(text)).toBe(listed.has(text));
        }
      }
    }
  });

  test('tests share no prompt with training', () => {
    const prompts = (split: 'train' | 'test') =>
      Array.from(taskCorpus(60, { tasks: [task], split }), ({ prompt }) => prompt);
    const trained = new Set(prompts('train'));
    expect(prompts('test').filter((prompt) => trained.has(prompt))).toEqual([]);
  });
});

test('the waiting line: what is asked is what is answered', () => {
  for (const instance of instances('sort', 30)) {
    const answer = words(instance.answer);
    expect(answer.every((name, i) => i === 0 || answer[i - 1] < name)).toBe(true);
    expect(new Set(answer)).toEqual(new Set(given(instance)));
  }
  for (const task of ['replace', 'insert', 'remove'] as const) {
    for (const instance of instances(`${task}-index`, 30)) {
      const [, , index, name] = order(instance);
      const line = given(instance);
      if (task !== 'remove') line.splice(Number(index), task === 'insert' ? 0 : 1, name);
      else line.splice(Number(index), 1);
      expect(words(instance.answer)).toEqual(line);
    }
    for (const instance of instances(`${task}-random`, 10)) {
      const count = instance.n + (task === 'insert' ? 1 : 0);
      expect([...instance.answers()]).toHaveLength(count);
    }
  }
  const { answers } = taskInstance('shuffle', { n: 5 });
  expect(new Set(Array.from(answers(), (line) => line.join(' '))).size).toBe(120);
});

test('answers are drawn evenly', () => {
  const first = instances('shuffle', 400).filter(
    (instance) => words(instance.answer)[0] === given(instance)[0],
  ).length;
  // P(first stays first) = mean of 1/n over n = 3 … 8 = 0.203
  expect(Math.abs(first / 400 - 0.203)).toBeLessThan(4 * Math.sqrt((0.203 * 0.797) / 400));
});

test('sentences: articles agree, and every given word is there once', () => {
  for (const instance of instances('sentence', 30)) {
    const content = words(instance.answer).filter((word) => !/^(a|an|the|\.)$/.test(word));
    expect(content.sort()).toEqual(given(instance).sort());
    const all = Array.from(instance.answers(), (right) => right.join(' '));
    const wrong = /\ba [aeiou]|\ban [^aeiou]/;
    const right = /^(a|an|the) .+ \w+s (a|an|the) .+ \.$/;
    expect(all.filter((text) => wrong.test(text) || !right.test(text))).toEqual([]);
  }
});

test('a latin square has each symbol once in every row and column, all 576', () => {
  const instance = taskInstance('latin');
  const symbols = given(instance).sort();
  const all = [...instance.answers()];
  expect(all).toHaveLength(576); // OEIS A002860
  for (const square of all) {
    const lines = [0, 1, 2, 3].flatMap((i) => [
      square.slice(4 * i, 4 * i + 4),
      [0, 1, 2, 3].map((row) => square[4 * row + i]),
    ]);
    expect(lines.map((line) => line.sort().join())).toEqual(lines.map(() => symbols.join()));
  }
});

test.each(['sudoku-4', 'sudoku-6'] as const)('%s has one solution, which fits', (task) => {
  const side = task === 'sudoku-4' ? 4 : 6;
  for (const instance of instances(task, 12)) {
    const puzzle = given(instance);
    const solved = words(instance.answer);
    expect(puzzle.filter((cell) => cell === '_')).toHaveLength(instance.n);
    puzzle.forEach((cell, i) => expect(['_', solved[i]]).toContain(cell));
    expect(solutionCount(puzzle, task)).toBe(1);
    for (let cell = 0; cell < side * side; cell++) {
      const box = (i: number) =>
        `${Math.floor(i / side / 2)} ${Math.floor((i % side) / (side / 2))}`;
      const clash = solved.findIndex(
        (value, i) =>
          i !== cell &&
          value === solved[cell] &&
          (i % side === cell % side ||
            Math.floor(i / side) === Math.floor(cell / side) ||
            box(i) === box(cell)),
      );
      expect(clash).toBe(-1);
    }
  }
  expect(solutionCount(new Array<string>(side * side).fill('_'), task)).toBe(2); // more than one
  const stuck = new Array<string>(side * side).fill('_');
  for (let i = 1; i < side; i++) stuck[i] = String(i); // so the first cell is `side`, but below it …
  stuck[side * (side - 1)] = String(side);
  expect(solutionCount(stuck, task)).toBe(0);
});

test('reversal: tests ask backwards what training tells forwards only', () => {
  expect(new Set(facts.map(({ owner }) => owner.join(' '))).size).toBe(facts.length);
  expect(new Set(facts.map(({ thing }) => thing.join(' '))).size).toBe(facts.length);
  const corpus = [...taskCorpus(4000, { tasks: ['reversal'], split: 'train' })];
  const backwards = new Set(corpus.map(({ prompt }) => prompt).filter((p) => / owner =$/.test(p)));
  const forwards = new Map(corpus.map(({ prompt, answer }) => [answer, prompt]));
  for (const { prompt, answer } of instances('reversal', 60)) {
    expect(prompt).toMatch(/ owner =$/);
    expect(backwards).not.toContain(prompt);
    const thing = prompt.replace('fact : ', '').replace(' owner =', '');
    expect(forwards.get(thing)).toBe(`fact : ${answer} owns =`);
  }
});

test('refuses what is no task, size, seed or split', () => {
  const refused = (run: () => unknown) =>
    expect(run).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }) as LacunaError);
  refused(() => taskInstance('juggle' as TaskName));
  refused(() => taskInstance('copy', { n: 9 }));
  refused(() => taskInstance('copy', { seed: -1 }));
  refused(() => taskInstance('copy', { split: 'validation' as 'test' }));
});
