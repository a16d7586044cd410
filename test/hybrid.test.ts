/** A diffusion model plans, an autoregressive one writes: two tiny models with random weights. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { writeSynthetic } from '../lib/gguf/synthetic.js';
import {
  blocks,
  hybrid,
  loadModel,
  shufflePlan,
  threshold,
  type HybridFrame,
  type Model,
} from '../lib/index.js';

const folder = mkdtempSync(join(tmpdir(), 'lacuna-hybrid-'));
let llada: Model;
let llama: Model;
let qwen: Model;

beforeAll(async () => {
  const load = async (architecture: 'llada' | 'llama' | 'qwen2'): Promise<Model> => {
    const path = join(folder, `${architecture}.gguf`);
    const shape = { layers: 2, dim: 32, heads: 2, ffn: 48, vocabulary: 300 };
    await writeSynthetic(path, { architecture, ...shape, type: 'F32', tokenizer: true, seed: 5 });
    return loadModel(path, { device: 'cpu', threads: 1 });
  };
  [llada, llama, qwen] = [await load('llada'), await load('llama'), await load('qwen2')];
});
afterAll(async () => {
  await Promise.all([llada, llama, qwen].map((model) => model.dispose()));
  rmSync(folder, { recursive: true });
});

const planning = { maxTokens: 8, decode: threshold({ tau: 0.05 }), blocks: blocks(8), seed: 2 };
const writing = { maxTokens: 6, temperature: 1, seed: 4 };
const roles = () => ({
  planner: { model: llada, options: planning },
  writer: { model: llama, options: writing },
});

describe('hybrid', () => {
  test('plans, then writes: the two runs that one would make by hand', async () => {
    const { plan, text, revised, forwards, runs } = await hybrid(roles()).generate('Why?').result;
    const first = await llada.generate('Question: Why?\nPlan:', planning).result;
    expect(plan).toBe(first.text.trim());
    expect(revised).toBe(plan);
    const prompt = `Question: Why?\nPlan: ${plan}\nAnswer:`;
    const second = await llama.generate(prompt, writing).result;
    expect(text).toBe(second.text);
    expect(runs.answer.tokens).toEqual(second.tokens);
    expect(forwards).toEqual({
      plan: first.forwards,
      answer: second.forwards,
      total: first.forwards + second.forwards,
    });
    expect(first.forwards).toBeLessThanOrEqual(8);
  });

  test('the writer keeps its keys and values: one row a token after the prompt', async () => {
    for (const model of [llama, qwen]) {
      const writer = { model, options: writing };
      const { runs } = await hybrid({ ...roles(), writer }).generate('Why?').result;
      const { prompt, trace, policies } = runs.answer;
      expect(policies.decode.name).toBe('leftToRight');
      expect(trace.map(({ rows }) => rows)).toEqual([
        prompt.length,
        ...trace.slice(1).map(() => 1),
      ]);
    }
  });

  test('streams both phases', async () => {
    const run = hybrid(roles()).generate('Why?');
    const frames: HybridFrame[] = [];
    for await (const frame of run) frames.push(frame);
    const { text, runs } = await run.result;
    const phases = frames.map(({ phase }) => phase);
    expect(phases).toEqual([
      ...runs.plan.trace.map(() => 'plan'),
      ...runs.answer.trace.map(() => 'answer'),
    ]);
    const last = frames.at(-1)!;
    expect(last.text).toBe(text);
    expect(last.remaining).toBe(0);
    expect(frames[0].tokens.length).toBe(8);
  });

  test('one model in both roles', async () => {
    for (const model of [llada, llama]) {
      const options = { maxTokens: 4 };
      const both = hybrid({ planner: { model, options }, writer: { model, options } });
      const { runs, forwards } = await both.generate('x').result;
      expect(forwards.plan).toBe(runs.plan.forwards);
      expect(forwards.total).toBeGreaterThanOrEqual(2);
    }
    const { runs } = await hybrid({
      planner: llama,
      writer: { model: llama, options: writing },
    }).generate('x').result;
    expect(runs.plan.shape.maxTokens).toBe(64);
  });

  test('controls: the writer alone, a plan without its order', async () => {
    const alone = await hybrid({ ...roles(), revise: () => undefined }).generate('Why?').result;
    const direct = await llama.generate('Question: Why?\nAnswer:', writing).result;
    expect([alone.text, alone.revised]).toEqual([direct.text, undefined]);
    const plan = 'one two three four five six';
    expect(shufflePlan(1)(plan)).toBe(shufflePlan(1)(plan));
    expect(shufflePlan(1)(plan)).not.toBe(plan);
    expect(shufflePlan(1)(plan).split(' ').sort()).toEqual(plan.split(' ').sort());
    expect(new Set([1, 2, 3, 4].map((seed) => shufflePlan(seed)(plan))).size).toBeGreaterThan(1);
  });

  test('prompts of the caller, text or chat', async () => {
    const template = '{% for m in messages %}[{{ m.content }}]{% endfor %}';
    await using chat = await loadModel(join(folder, 'llama.gguf'), {
      ...{ device: 'cpu', threads: 1, chatTemplate: template },
    });
    const planner = { ...roles().planner, prompt: (question: string) => `<${question}>` };
    const run = hybrid({ planner, writer: { model: chat, options: writing } }).generate('Why?');
    const { runs, plan } = await run.result;
    expect(llada.tokenizer.decode(runs.plan.prompt)).toBe('<Why?>');
    expect(chat.tokenizer.decode(runs.answer.prompt)).toBe(
      `[Question: Why?\nPlan: ${plan}\n\nAnswer it by the plan.]`,
    );
  });

  test.each(['plan', 'answer'] as const)('abort while it is at the %s', async (wanted) => {
    const controller = new AbortController();
    const run = hybrid(roles()).generate('Why?', { signal: controller.signal });
    const iterate = async () => {
      for await (const { phase } of run) if (phase === wanted) controller.abort();
    };
    await expect(iterate()).rejects.toMatchObject({ code: 'ABORTED' });
    await expect(run.result).rejects.toMatchObject({ code: 'ABORTED' });
  });

  test('leaving the iteration ends it', async () => {
    const run = hybrid(roles()).generate('Why?');
    for await (const frame of run) if (frame.phase === 'plan') break;
    await expect(run.result).rejects.toMatchObject({ code: 'ABORTED' });
  });

  test('what the caller throws in revise, and wrong use', async () => {
    const revise = () => {
      throw new RangeError('mine');
    };
    await expect(hybrid({ ...roles(), revise }).generate('x').result).rejects.toThrow('mine');
    const invalid = (message: RegExp) =>
      expect.objectContaining({
        code: 'INVALID_ARGUMENT',
        message: expect.stringMatching(message) as string,
      }) as Error;
    expect(() => hybrid({ planner: llada } as never)).toThrow(invalid(/writer must be a model/));
    expect(() => hybrid({ ...roles(), steps: 3 } as never)).toThrow(
      invalid(/unknown option "steps"/),
    );
    expect(() => hybrid({ ...roles(), revise: 3 as never })).toThrow(invalid(/revise must be/));
    expect(() => hybrid(roles()).generate(3 as never)).toThrow(
      invalid(/question must be a string/),
    );
  });
});
