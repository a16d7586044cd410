import { describe, expect, test } from 'vitest';
import { oscillation, parseTasks, runOf, type CheckedTask } from '../../lib/measure/oscillation.js';
import { loadModel } from '../../lib/model.js';
import { model as path } from '../cli/lacuna.js';

const task = (answer: string): CheckedTask => ({
  prompt: '2 + 2 = ',
  check: (text) => text.trim() === answer,
  normalise: (text) => /\d+/.exec(text)?.[0],
});

describe('a run', () => {
  test('answers, changes, and the entropy of the second half', () => {
    const texts = ['5', ' 4', 'x', '4', '3', '3 '];
    const { answers, correct, changes, entropy } = runOf(task('4'), texts);
    expect(answers).toEqual(['5', '4', undefined, '4', '3', '3']);
    expect(correct).toEqual([false, true, false, true, false, false]);
    expect(changes).toBe(4);
    // 4, 3, 3
    expect(entropy).toBeCloseTo(Math.log(3) / 3 + (2 / 3) * Math.log(1.5), 12);
  });

  test('one answer has no entropy, none has none to speak of', () => {
    expect(runOf(task('4'), ['1', '4', '4']).entropy).toBe(0);
    expect(runOf(task('4'), ['1', '', 'x']).entropy).toBeNaN();
  });
});

test('on the engine: the steps of the run, and shares over the tasks', async () => {
  await using model = await loadModel(path, { device: 'cpu', threads: 1 });
  const prompts = ['ROMEO:\nFarewell.\n\n', 'KING HENRY:\n'];
  const options = { maxTokens: 8, bos: true, steps: 4 };
  const results = await Promise.all(
    prompts.map((prompt) => model.generate(prompt, options).result),
  );
  const texts = results.map(({ text }) => text);
  // The first is right at the end by definition, the second never, the third always.
  const tasks = [
    { prompt: prompts[0], check: (text: string) => text === texts[0] },
    { prompt: prompts[1], check: () => false },
    { prompt: prompts[1], check: () => true },
  ];
  const found = await oscillation(model, tasks, options);
  expect(found.tasks).toBe(3);
  expect([found.everPass, found.fullPass, found.difference]).toEqual([2 / 3, 2 / 3, 0]);
  found.runs.forEach(({ answers, correct }, i) => {
    expect(answers).toHaveLength(results[Math.min(i, 1)].forwards + 1);
    expect(answers.at(-1)).toBe(texts[Math.min(i, 1)].trim());
    expect(correct).toHaveLength(answers.length);
  });
  expect(found.curve[0].t).toBe(0);
  expect(found.curve.at(-1)).toEqual({ t: 1, everPass: 2 / 3, pass: 2 / 3 });
  found.curve.slice(1).forEach(({ everPass, pass }, i) => {
    expect(everPass).toBeGreaterThanOrEqual(found.curve[i].everPass);
    expect(everPass).toBeGreaterThanOrEqual(pass);
  });
  // A task that is right only before the end.
  const lost = { prompt: prompts[0], check: (text: string) => text !== texts[0] };
  const { everPass, fullPass, difference } = await oscillation(model, [lost], options);
  expect([everPass, fullPass, difference]).toEqual([1, 0, 1]);
  await expect(oscillation(model, [])).rejects.toThrow(/at least one task/);
});

describe('tasks from JSON lines', () => {
  test('exact and contains', () => {
    const [exact, contains] = parseTasks(
      '{"prompt": "a", "answer": " x "}\n\n{"prompt": "b", "answer": "x", "match": "contains"}\n',
    );
    expect([exact.prompt, contains.prompt]).toEqual(['a', 'b']);
    expect(['x\n', 'yxy', 'y'].map((text) => exact.check(text))).toEqual([true, false, false]);
    expect(['x\n', 'yxy', 'y'].map((text) => contains.check(text))).toEqual([true, true, false]);
  });

  test.each([
    ['{"prompt": "a"', /line 1 is no JSON/],
    [
      '{"prompt": "a", "answer": "b"}\n{"prompt": 1, "answer": "b"}',
      /line 2: prompt must be a str/,
    ],
    ['{"prompt": "a", "answer": ""}', /line 1: answer must be a text that is not empty/],
    ['{"prompt": "a", "answer": "b", "match": "like"}', /line 1: match must be one of "exact"/],
    ['{"prompt": "a", "answer": "b", "check": "x"}', /unknown option "check"/],
  ])('%s', (text, message) => {
    expect(() => parseTasks(text)).toThrow(message);
  });
});
