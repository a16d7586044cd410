/**
 * Text that is out stays out: whatever decoder, vocabulary and stop strings, pieces only append, and
 * together they are the answer that is sent in one piece.
 */
import { describe, expect, test } from 'vitest';
import { absoluteBlocks, blocks } from '../../lib/decoding/index.js';
import { uniform } from '../../lib/decoding/philox.js';
import type { Frame } from '../../lib/frames.js';
import { generate } from '../../lib/generate.js';
import type { Generation } from '../../lib/generation.js';
import type { Model } from '../../lib/index.js';
import type { GenerateOptions } from '../../lib/plan.js';
import { createHandler } from '../../lib/server/index.js';
import type { Job } from '../../lib/server/answer.js';
import { follow } from '../../lib/server/answers/text.js';
import type { Tokenizer } from '../../lib/text/tokenizer.js';
import { eos, eot, FakeModel, mask } from '../decoding/fake.js';
import { decoders, methods } from '../decoding/methods.js';
import type { Predict } from '../../lib/tasks/scripted.js';
import { byteTokenizer, chunks, folded, plainTemplate, scriptedModel, whole } from './local.js';

const everything: GenerateOptions[] = [
  ...Object.values(decoders).map((decode) => ({ decode })),
  ...Object.values(methods).map(({ options }) => options),
];
const plans = [blocks(4), blocks(3), absoluteBlocks(4)];
const random = (run: number, j: number, n: number) => Math.floor(uniform(run, j, 3, 5) * n);

// Whole characters, halves of them that fit together or do not, and a token without any text.
const bytes = (text: string) => [...Buffer.from(text)];
const stock = [
  ...['a', 'b', 'ab', ' ', '\n', '<|', 'eot', '|>', 'é', '😀'].map(bytes),
  ...[[0xc3], [0xa9], [0xf0, 0x9f], [0x98, 0x80], [0xff], []],
];

/** Ordinary tokens are pieces of the stock in an order of the run's own; ends and MASK have no text. */
function vocabularyOf(run: number): { tokenizer: Tokenizer; bytesOf: (ids: Int32Array) => Buffer } {
  const piece = (id: number) =>
    id >= eot ? [] : stock[(id + random(run, 90, stock.length)) % stock.length];
  const bytesOf = (ids: Int32Array) => Buffer.from([...ids].flatMap(piece));
  const tokenizer = {
    decoder: () => {
      const utf8 = new TextDecoder();
      const push = (ids: Int32Array) => utf8.decode(bytesOf(ids), { stream: true });
      return { push, end: () => utf8.decode() };
    },
    decode: (ids: Int32Array) => bytesOf(ids).toString(),
  };
  return { tokenizer: tokenizer as unknown as Tokenizer, bytesOf };
}

const stopLists = [[], ['b'], ['a\n', 'aba', 'b '], ['é😀', '\n'], ['<|eot|>', 'abab']];

/** What the answer must be: all of its characters, up to a stop string. */
function expectedOf(whole: Buffer, stop: readonly string[]): string {
  const text = whole.toString().replaceAll('\ufffd', '');
  const ends = stop.map((one) => text.indexOf(one)).filter((at) => at >= 0);
  return text.slice(0, Math.min(text.length, ...ends));
}

/** A run of a decoder, to be told again and again. */
async function recorded(run: number): Promise<Generation> {
  const policies = everything[run % everything.length];
  const plan = policies.length === undefined ? { blocks: plans[random(run, 1, 3)] } : {};
  const maxTokens = 3 + random(run, 2, 9);
  const facts = { logitShift: run % 2, tokens: { mask, eos, eot } };
  const options = { maxTokens, temperature: random(run, 3, 3), seed: run };
  const model = new FakeModel(undefined, facts);
  const generation = generate(model, [3, 1, 4], { ...plan, ...policies, ...options });
  const frames: Frame[] = [];
  for await (const frame of generation) frames.push(frame);
  const { prompt, shape, result } = generation;
  await result;
  const again = async function* () {
    await Promise.resolve();
    yield* frames;
  };
  return { prompt, shape, result, [Symbol.asyncIterator]: again } as unknown as Generation;
}

/** Tells a run in the words of the `way`-th vocabulary, with stop strings. */
async function told(generation: Generation, way: number) {
  const { tokenizer, bytesOf } = vocabularyOf(way);
  const stop = stopLists[random(way, 4, stopLists.length)];
  const pieces: string[] = [];
  const job = {
    model: { tokenizer },
    wanted: { logprobs: way % 3 === 0 ? 1 : undefined, lacuna: {} },
    maxTokens: generation.shape.maxTokens,
    listener: { text: (piece: string) => void pieces.push(piece) },
  } as unknown as Job;
  const { text, finish } = await follow(job, generation, new Map(), { options: {}, stop });
  const { tokens } = await generation.result;
  const expected = expectedOf(bytesOf(tokens), stop);
  const leaks = stop.some((one) => text.includes(one)) || text.includes('\ufffd');
  return { pieces, expected, text, leaks, stop, stopped: finish === 'stop' };
}

test('10,000 random trajectories: 1,250 runs of every decoder in 8 vocabularies each', async () => {
  let [early, stopped] = [0, 0];
  for (let run = 0; run < 1250; run++) {
    const generation = await recorded(run);
    for (let way = 8 * run; way < 8 * run + 8; way++) {
      const one = await told(generation, way);
      const whole = one.pieces.join('');
      if (whole !== one.expected || one.text !== whole || one.leaks) {
        expect.fail(`run ${run}, way ${way}: ${JSON.stringify(one)}`);
      }
      early += one.pieces.length > 1 ? 1 : 0;
      stopped += one.stopped ? 1 : 0;
    }
  }
  expect(early).toBeGreaterThan(2000); // streamed, not told at the end
  expect(stopped).toBeGreaterThan(2000);
}, 600_000);

/** A model that says the same of a position whatever the rest is, in bytes that may be text. */
function babbling(): Model {
  const tokenizer = byteTokenizer(plainTemplate);
  const alphabet = bytes('abc \n<|eot_id|>é😀');
  const predict: Predict = (position, canvas) => {
    const known = canvas.reduce((sum, token, i) => (token < 256 ? sum + token * (i + 1) : sum), 0);
    return Float64Array.from({ length: 264 }, (_, id) => {
      const able = alphabet.includes(id) || id >= 256;
      return able ? 6 * uniform(known, id, position, 2) : -20;
    });
  };
  return scriptedModel(predict, tokenizer);
}

describe('through the handler', () => {
  const model = babbling();
  const policies: [string, GenerateOptions][] = [
    'wino',
    'threshold',
    'remask',
    'randomStart, edited',
  ]
    .map((name) => [name, methods[name]?.options ?? { decode: decoders.threshold }] as const)
    .map(([name, options]) => [name, { ...options, blocks: blocks(8), temperature: 1 }]);
  test.each(policies)('%s: a stream is the answer in one piece', async (_, defaults) => {
    const handler = createHandler({ model, defaults });
    let streamed = 0;
    for (let seed = 0; seed < 50; seed++) {
      const content = `Say ${seed}`;
      const stop = stopLists[seed % stopLists.length];
      const body = { messages: [{ role: 'user', content }], max_tokens: 12, seed, stop };
      const { choices } = await whole(handler, '/v1/chat/completions', body);
      const stream = await chunks(handler, '/v1/chat/completions', body);
      const { text, finish } = folded(stream);
      const answer = choices[0].message!.content!;
      expect([text, finish]).toEqual([answer, choices[0].finish_reason]);
      expect(answer).not.toContain('\ufffd');
      expect(answer).not.toMatch(/unused|startoftext|mask/); // tokens that it also commits
      for (const one of stop) expect(answer).not.toContain(one);
      streamed += stream.filter((chunk) => chunk.choices[0].delta?.content).length;
    }
    expect(streamed).toBeGreaterThan(25);
  });
});
