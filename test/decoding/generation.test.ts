/** The life of a generation: frames, result, early end, errors. */
import { describe, expect, test } from 'vitest';
import { blocks, leftToRight, lowConfidence, topK, wholeAnswer } from '../../lib/decoding/index.js';
import type { Decision, Decoder } from '../../lib/decoding/index.js';
import { LacunaError } from '../../lib/errors.js';
import { generate } from '../../lib/generate.js';
import type { Frame } from '../../lib/frames.js';
import type { GenerateOptions, Prompt } from '../../lib/plan.js';
import { createTokenizer } from '../../lib/text/tokenizer.js';
import { confident, eos, FakeModel, mask, vocabulary, type Predict } from './fake.js';

const letters = 'abcdefghijkl'; // tokens 0 … 11
const tokenizer = createTokenizer({
  model: 'gpt2',
  pre: 'gpt-2',
  tokens: [...letters, '!', '<eot>', '<eos>', '<mask>'],
  tokenTypes: [...letters, '!'].map(() => 1).concat(3, 3, 3),
  merges: [],
  bos: 12,
  eos: 14,
  eot: 13,
  mask: 15,
  addBos: false,
  chatTemplate: '{% for m in messages %}{{ m.content }}<eot>{% endfor %}',
});

class TextModel extends FakeModel {
  override get tokenizer(): never {
    return tokenizer as never;
  }
}

/** Proposes "abcdef…" by position, surest from the left, then end of text from `length` on. */
function alphabet(prompt: number, length = 1000): Predict {
  return (position) => {
    const i = position - prompt;
    return confident(i < length ? i % 12 : eos, 0.95 - 0.01 * i);
  };
}

const prompt = [1, 2, 3];

async function frames(run: AsyncIterable<Frame>): Promise<Frame[]> {
  const all: Frame[] = [];
  for await (const frame of run) all.push(frame);
  return all;
}

function start(options: GenerateOptions = {}, model: FakeModel = new TextModel(alphabet(3))) {
  const common = { maxTokens: 6, decode: leftToRight({ k: 2 }), blocks: wholeAnswer() };
  return { model, run: generate(model, prompt, { ...common, ...options }) };
}

/** Lets everything that is due happen. */
const settle = () => new Promise((resolve) => setTimeout(resolve, 20));

describe('frames and result', () => {
  test('one frame per step, then the result', async () => {
    const { run, model } = start();
    const all = await frames(run);
    expect(all.map(({ text }) => text)).toEqual(['ab░░░░', 'abcd░░', 'abcdef']);
    expect(all.map(({ remaining }) => remaining)).toEqual([4, 2, 0]);
    expect(all[1]).toMatchObject({ step: 1, block: 0, blocks: 1, forwards: 2 });
    expect([...all[1].tokens]).toEqual([0, 1, 2, 3, mask, mask]);
    expect([...all[1].committed]).toEqual([2, 3]);
    expect([...all[1].masked]).toEqual([4, 5]);
    expect(all[1].probability[3]).toBeCloseTo(0.92);
    expect(all[1].probability[4]).toBe(0);

    const result = await run.result;
    expect(result).toMatchObject({ text: 'abcdef', steps: 3, forwards: 3, finishReason: 'length' });
    expect([...result.tokens]).toEqual([0, 1, 2, 3, 4, 5]);
    expect([...result.canvas]).toEqual([1, 2, 3, 0, 1, 2, 3, 4, 5]);
    expect(result.trace[2].committed.map(([position, token]) => [position, token])).toEqual([
      [7, 4],
      [8, 5],
    ]);
    expect(result.trace[0].rows).toBe(9);
    expect(result.timing.native).toBe(3);
    expect(result.timing.total).toBeGreaterThan(0);
    expect([...run.prompt]).toEqual(prompt);
    expect(model.sessions.every(({ disposed }) => disposed)).toBe(true);
  });

  test('the result comes without anybody iterating', async () => {
    expect((await start().run.result).text).toBe('abcdef');
  });

  test('frames can be read after the result, again, and by several at once', async () => {
    const { run } = start();
    const [first, second] = await Promise.all([frames(run), frames(run)]);
    await run.result;
    const third = await frames(run);
    for (const all of [second, third]) {
      expect(all.map(({ text }) => text)).toEqual(first.map(({ text }) => text));
    }
  });

  test('a slow reader does not hold up the run', async () => {
    const { run } = start();
    for await (const frame of run) {
      if (frame.step === 0) expect((await run.result).steps).toBe(3);
    }
  });

  test('an answer that ends by itself is cut there', async () => {
    const { run } = start({ maxTokens: 9 }, new TextModel(alphabet(3, 3)));
    const all = await frames(run);
    expect(all.map(({ text }) => text)).toEqual(['ab░░░░░░░', 'abc']);
    expect(await run.result).toMatchObject({ text: 'abc', finishReason: 'eos', steps: 2 });
  });

  test('end of text before it is known what precedes it does not end the run', async () => {
    const backwards: Predict = (position) =>
      confident(position >= 6 ? eos : position, 0.1 + 0.05 * position);
    const decode = topK();
    const { run } = start({ decode }, new TextModel(backwards));
    const all = await frames(run);
    expect(all.map(({ text }) => text)).toEqual(['░░░░░', '░░░░', '░░░', '░░f', '░ef', 'def']);
  });

  test('stopAtEos: false fills the canvas; the text still ends at the end', async () => {
    const options = { maxTokens: 9, stopAtEos: false };
    const { run } = start(options, new TextModel(alphabet(3, 3)));
    const result = await run.result;
    expect(result).toMatchObject({ text: 'abc', finishReason: 'eos', steps: 5 });
    expect(result.canvas.subarray(6)).toEqual(new Int32Array(6).fill(eos));
  });

  test('the limit of steps leaves masks out of text and tokens', async () => {
    const decode = lowConfidence({ steps: 2, score: 'margin' });
    const gaps: Predict = (position) => confident(position % 12, position % 2 ? 0.9 : 0.5);
    const { run } = start({ decode, steps: 2 }, new TextModel(gaps));
    expect((await run.result).finishReason).toBe('length');

    const { run: cut } = start({ decode: topK({ k: 3 }), steps: 1 }, new TextModel(gaps));
    const result = await cut.result;
    expect(result).toMatchObject({ text: 'dfh', finishReason: 'steps', steps: 1 });
    expect([...result.canvas.subarray(3)]).toEqual([3, mask, 5, mask, 7, mask]);
  });
});

describe('prompts', () => {
  async function ids(given: Prompt, options: GenerateOptions = {}): Promise<number[]> {
    const run = generate(new TextModel(), given, { maxTokens: 1, ...options });
    await run.result;
    return [...run.prompt];
  }

  test('text, messages, token ids, nothing', async () => {
    expect(await ids('cab')).toEqual([2, 0, 1]);
    expect(await ids('cab', { bos: true })).toEqual([12, 2, 0, 1]);
    expect(await ids('a<eot>', { special: true })).toEqual([0, 13]);
    expect(await ids([{ role: 'user', content: 'ab' }])).toEqual([0, 1, 13]);
    const chat = { template: '{{ messages[0].content }}!' };
    expect(await ids([{ role: 'user', content: 'ab' }], { chat })).toEqual([0, 1, 12]);
    expect(await ids([5, 6])).toEqual([5, 6]);
    expect(await ids(Int32Array.of(5, 6))).toEqual([5, 6]);
    expect(await ids([])).toEqual([]);
  });

  test('token ids need no tokenizer, text does', async () => {
    const run = generate(new FakeModel(alphabet(2)), [1, 2], { maxTokens: 3 });
    expect((await frames(run)).at(-1)!.text).toBe('');
    expect(await run.result).toMatchObject({ text: '', steps: 3 });
    expect(() => generate(new FakeModel(), 'ab')).toThrow(
      expect.objectContaining({ code: 'UNSUPPORTED_TOKENIZER' }),
    );
  });
});

describe('an early end', () => {
  const aborted: unknown = expect.objectContaining({ name: 'LacunaError', code: 'ABORTED' });

  test('leaving the iteration ends the run and frees the session', async () => {
    const { run, model } = start({ decode: leftToRight() });
    for await (const frame of run) if (frame.step === 1) break;
    expect(model.sessions[0].disposed).toBe(true);
    await expect(run.result).rejects.toEqual(aborted);
    expect(model.requests.length).toBeLessThan(6);
    await expect(frames(run)).rejects.toEqual(aborted);
  });

  test('an error of the reader does too, and is the one that is seen', async () => {
    const { run, model } = start();
    const reading = (async () => {
      for await (const frame of run) throw new Error(`no more after ${frame.step}`);
    })();
    await expect(reading).rejects.toThrow('no more after 0');
    expect(model.sessions[0].disposed).toBe(true);
  });

  test('the signal, in the middle', async () => {
    const controller = new AbortController();
    const { run, model } = start({ signal: controller.signal, decode: leftToRight() });
    const read: number[] = [];
    const reading = (async () => {
      for await (const frame of run) {
        read.push(frame.step);
        if (frame.step === 1) controller.abort(new Error('enough'));
      }
    })();
    await expect(reading).rejects.toEqual(aborted);
    await expect(run.result).rejects.toMatchObject({ cause: { message: 'enough' } });
    expect(read).toEqual([0, 1]);
    expect(model.sessions[0].disposed).toBe(true);
  });

  test('the signal, before the start: no session is made', async () => {
    const { run, model } = start({ signal: AbortSignal.abort() });
    await expect(run.result).rejects.toEqual(aborted);
    expect(model.sessions.length).toBe(0);
  });

  test('the signal, during steps without a forward', async () => {
    const controller = new AbortController();
    const idle: Decoder = () => () => ({});
    const { run } = start({ signal: controller.signal, decode: idle });
    setTimeout(() => controller.abort(), 5);
    await expect(run.result).rejects.toEqual(aborted);
  });

  test('the signal, after the end: nothing', async () => {
    const controller = new AbortController();
    const { run } = start({ signal: controller.signal });
    await run.result;
    controller.abort();
    expect((await frames(run)).length).toBe(3);
  });

  test('await using', async () => {
    const { run, model } = start({ decode: leftToRight() });
    {
      await using generation = run;
      expect(generation.prompt.length).toBe(3);
    }
    expect(model.sessions[0].disposed).toBe(true);
    await expect(run.result).rejects.toEqual(aborted);
  });

  test('a failing step ends both, and no rejection stays unhandled', async () => {
    const unhandled: unknown[] = [];
    const note = (reason: unknown) => unhandled.push(reason);
    process.on('unhandledRejection', note);
    try {
      class Failing extends TextModel {
        override readonly predict = (): never => {
          throw new LacunaError('OUT_OF_MEMORY', 'no room');
        };
      }
      const failed: unknown = expect.objectContaining({ code: 'OUT_OF_MEMORY' });
      const iterated = start({}, new Failing());
      await expect(frames(iterated.run)).rejects.toEqual(failed);
      const awaited = start({}, new Failing());
      await expect(awaited.run.result).rejects.toEqual(failed);
      expect(awaited.model.sessions[0].disposed).toBe(true);
      start({}, new Failing());
      await settle();
    } finally {
      process.off('unhandledRejection', note);
    }
    expect(unhandled).toEqual([]);
  });

  test('a second session that cannot be made frees the first', async () => {
    class Small extends TextModel {
      override createSession(options: { length: number }) {
        if (this.sessions.length === 1) throw new LacunaError('OUT_OF_MEMORY', 'no room');
        return super.createSession(options);
      }
    }
    const { run, model } = start({ cfgScale: 1 }, new Small());
    await expect(run.result).rejects.toMatchObject({ code: 'OUT_OF_MEMORY' });
    expect(model.sessions[0].disposed).toBe(true);
  });
});

describe('policies of the caller', () => {
  const choosing =
    (choose: Decision['choose']): Decoder =>
    () =>
    () => ({ choose });

  test('choose() sees the statistics and commits', async () => {
    const decode = choosing(({ position, token }) => {
      const last = position.length - 1;
      return [{ position: position[last], token: (token[last] + 1) % 12 }];
    });
    const { run, model } = start({ decode, cfgScale: 1, maxTokens: 3 });
    const result = await run.result;
    expect(result.text).toBe('bcd');
    expect(result.trace[0].committed).toEqual([[5, 3, NaN]]);
    expect([...model.sessions[1].canvas.subarray(3)]).toEqual([1, 2, 3]);
  });

  test.each([
    ['a known position', { position: 0, token: 1 }],
    ['MASK', { position: 4, token: mask }],
    ['outside the block', { position: 7, token: 1 }],
  ])('%s is refused', async (_, commit) => {
    const { run, model } = start({ decode: choosing(() => [commit]), blocks: blocks(3) });
    await expect(run.result).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: expect.stringContaining(`at position ${commit.position}`) as string,
    });
    expect(model.sessions[0].disposed).toBe(true);
  });

  test('a rule and a choice in one step', async () => {
    const decode: Decoder = () => () => ({
      commit: { score: 'position', select: { kind: 'topK', k: 1 } },
      choose: ({ position, committed }) => {
        const open = position.filter((p) => !committed.includes(p));
        return [...open.subarray(-1)].map((p) => ({ position: p, token: 11 }));
      },
    });
    expect((await start({ decode }).run.result).text).toBe('abclll');
  });
});

describe('options', () => {
  test.each<[GenerateOptions, RegExp]>([
    [{ maxToken: 3 } as GenerateOptions, /unknown option "maxToken"; the options are maxTokens/],
    [{ maxTokens: 0 }, /maxTokens must be an integer of at least 1, but is 0/],
    [{ maxTokens: 2.5 }, /maxTokens/],
    [{ temperature: -1 }, /temperature must be a number of at least 0/],
    [{ temperature: NaN }, /temperature/],
    [{ topK: 0 }, /topK must be an integer of at least 1/],
    [{ topP: 0 }, /topP must be above 0/],
    [{ topP: 1.1 }, /topP must be a number from 0 to 1/],
    [{ seed: 2 ** 53 }, /seed must be an integer/],
    [{ seed: -1 }, /seed/],
    [{ cfgScale: -0.5 }, /cfgScale/],
    [{ suppress: [vocabulary] }, /suppress\[0\] must be an integer from 0 to 15/],
    [{ steps: 0 }, /steps/],
    [{ stopAtEos: 1 as unknown as boolean }, /stopAtEos must be true or false/],
    [{ decode: 'threshold' as unknown as Decoder }, /decode must be a policy, such as threshold/],
    [{ blocks: 32 as unknown as ReturnType<typeof blocks> }, /blocks must be a policy, such as bl/],
    [{ cache: 'dual' as never }, /cache must be a policy, such as dualCache\(\)/],
    [{ signal: {} as AbortSignal }, /signal must be an AbortSignal/],
    [{ bos: true }, /bos must be left out: the prompt is not a text/],
    [{ special: false }, /special must be left out/],
    [{ chat: {} }, /chat must be left out: the prompt is not a list of messages/],
  ])('%o', (options, message) => {
    expect(() => generate(new TextModel(), prompt, options)).toThrow(
      expect.objectContaining({
        code: 'INVALID_ARGUMENT',
        message: expect.stringMatching(message) as string,
      }),
    );
  });

  test.each<[Prompt, RegExp]>([
    [[1, mask], /prompt: token 1 is MASK \(15\)/],
    [[1, 16], /prompt\[1\] must be an integer from 0 to 15/],
    [null as unknown as number[], /prompt must be an array of token ids/],
    [7 as unknown as number[], /prompt must be an array of token ids/],
  ])('prompt %o', (given, message) => {
    expect(() => generate(new TextModel(), given)).toThrow(
      expect.objectContaining({
        code: 'INVALID_ARGUMENT',
        message: expect.stringMatching(message) as string,
      }),
    );
  });
});
