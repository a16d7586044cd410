/** What the loop gives each role, shown with the smallest policy that needs it. */
import { describe, expect, test } from 'vitest';
import {
  blocks,
  dualCache,
  growUntilEos,
  leftToRight,
  lowConfidence,
  threshold,
  topK,
  type BlockPlan,
  type Decoder,
  type Refinement,
  type StepState,
} from '../../lib/decoding/index.js';
import { named } from '../../lib/decoding/named.js';
import { Replay, type AnswerView } from '../../lib/frames.js';
import { confident, eos, FakeModel, mask, type Predict } from './fake.js';
import { drawn, prompt } from './scripted.js';

describe('refine', () => {
  test('sees its own report, and changes what was decided', async () => {
    const seen: number[][] = [];
    const refine: Refinement = () => ({
      ask: ({ range }) => ({ query: Int32Array.of(range.start, 5), probe: Int32Array.of(5, 2) }),
      revise: (_, { position, probe }, decided) => {
        seen.push(
          [...position],
          [...probe!].map((p) => Math.round(p * 1000)),
        );
        return decided.filter(({ position: p }) => p !== 4);
      },
    });
    const { trace } = await drawn({ decode: topK({ k: 3 }), refine, steps: 2 });
    expect(trace.map(({ committed }) => committed.map(([p]) => p))).toEqual([
      [2, 3],
      [5, 6],
    ]);
    const rest = (p: number) => Math.round(((1 - p) / 15) * 1000);
    // columns in the order asked: tokens 5 and 2 at positions 2 and 5
    expect(seen.slice(0, 2)).toEqual([
      [2, 5],
      [rest(0.86), 860, 800, rest(0.8)],
    ]);
  });

  test('takes tokens back and edits them; both are counted and drawn', async () => {
    let round = 0;
    const refine: Refinement = () => ({
      ask: ({ range }) => ({ query: Int32Array.of(range.start) }),
      revise: (_, __, decided) =>
        ++round === 2
          ? [...decided, { position: 2, token: mask }, { position: 3, token: 11 }]
          : undefined,
    });
    const result = await drawn({ decode: leftToRight({ k: 2 }), refine, maxTokens: 4 });
    expect(result.frames).toEqual([
      [2, 3, mask, mask],
      [mask, 11, 4, 5],
      [2, 11, 4, 5],
    ]);
    expect(result.trace[1]).toMatchObject({ remasked: [2], edited: [[3, 11, NaN]] });
    expect(result.counts).toMatchObject({
      commits: [2, 2, 1],
      remasks: 1,
      edits: 1,
      insertions: 0,
    });
  });

  test('keeps a block that is done', async () => {
    const refine: Refinement = () => {
      let extra = 2;
      return {
        ask: ({ range }) => ({ query: Int32Array.of(range.start) }),
        again: ({ masked }) => masked.length === 0 && extra-- > 0,
        revise: ({ masked }) => (masked.length > 0 ? undefined : [{ position: 2, token: extra }]),
      };
    };
    const result = await drawn({ decode: topK({ k: 9 }), refine, maxTokens: 3 });
    expect(result.forwards).toBe(3);
    expect(result.frames.map(([first]) => first)).toEqual([2, 1, 0]);
  });

  test('starts with something other than masks', async () => {
    const refine: Refinement = ({ prompt: start }) => ({
      begin: (canvas) => [
        { position: start, token: 9 },
        { position: canvas.length - 1, token: 1 },
      ],
    });
    const result = await drawn({ decode: topK(), refine, maxTokens: 3 });
    expect(result.frames).toEqual([
      [9, mask, 1],
      [9, 3, 1],
    ]);
    expect(result.trace[0]).toMatchObject({ forwards: 0, rows: 0 });
  });

  test.each([
    ['the prompt', { position: 1, token: 3 }],
    ['beyond the answer', { position: 8, token: 3 }],
    ['what is there already', { position: 5, token: mask }],
  ])('%s is refused', async (_, change) => {
    const refine: Refinement = () => ({ revise: () => [change] });
    await expect(drawn({ decode: topK(), refine })).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: expect.stringContaining(`at position ${change.position}`) as string,
    });
  });

  test('rows that a cache leaves out are not reported', async () => {
    const seen: number[][] = [];
    const refine: Refinement = () => ({
      ask: ({ canvas }) => ({ query: Int32Array.from(canvas.keys()).slice(2) }),
      revise: (_, { position }) => void seen.push([...position]),
    });
    await drawn({ decode: topK(), refine, cache: dualCache(), blocks: blocks(2), maxTokens: 4 });
    expect(seen).toEqual([
      [2, 3, 4, 5],
      [2, 3],
      [2, 3, 4, 5],
      [4, 5],
    ]);
  });

  test('the decoder decides the same with and without company', async () => {
    const bystander: Refinement = () => ({
      ask: ({ canvas }) => ({ query: Int32Array.from(canvas.keys()), topK: 3, kl: true }),
    });
    for (const decode of [lowConfidence({ steps: 4 }), threshold({ tau: 0.3 })]) {
      const options = { decode, maxTokens: 19, blocks: blocks(8), temperature: 0.7, seed: 5 };
      const alone = await drawn(options, new FakeModel());
      const watched = await drawn({ ...options, refine: bystander }, new FakeModel());
      expect(watched.canvas).toEqual(alone.canvas);
      expect(watched.trace).toEqual(alone.trace);
    }
  });
});

describe('decoders', () => {
  const revising: Decoder = named(
    'revising',
    {},
    () => {
      let done = false;
      return ({ masked, canvas }: StepState) => ({
        choose: ({ token }) => {
          if (done || canvas[2] === mask) return [{ position: masked[0], token: token[0] }];
          done = true;
          return [
            { position: 2, token: mask },
            { position: masked[0], token: token[0] },
          ];
        },
      });
    },
    ['revises'],
  );

  test('may take tokens back if they say so', async () => {
    const { frames } = await drawn({ decode: revising, maxTokens: 2 });
    expect(frames).toEqual([
      [2, mask],
      [mask, 3],
      [2, 3],
    ]);
    const silent: Decoder = (facts) => revising(facts);
    await expect(drawn({ decode: silent, maxTokens: 2 })).rejects.toMatchObject({
      message: expect.stringContaining('put token 15 at position 2') as string,
    });
  });

  test('look at canvases that might be, in one forward', async () => {
    // the right neighbour of a 3 is sure
    const linked: Predict = (position, canvas) =>
      confident(position === 2 ? 5 : 1, canvas[position - 1] === 3 ? 0.99 : 0.4);
    const looking: Decoder =
      () =>
      ({ masked }) => ({
        request: { suppress: Int32Array.of(6) },
        choose: async (report, look) => {
          const [first, second] = masked;
          if (second === undefined) return [{ position: first, token: report.token[0] }];
          const tokens = [4, 3, 2];
          const seen = await look(
            tokens.map((token) => ({ changes: [{ position: first, token }] })),
          );
          const best = seen.map(({ probability }) => probability[0]);
          expect([...seen[0].position]).toEqual([...masked.subarray(1)]);
          return [{ position: first, token: tokens[best.indexOf(Math.max(...best))] }];
        },
      });
    const model = new FakeModel(linked);
    const options = { decode: looking, maxTokens: 3, cfgScale: 1, cache: dualCache() };
    const { answer, counts, forwards, trace } = await drawn(options, model);
    expect(answer).toEqual([3, 3, 1]);
    expect(model.batches).toEqual([3, 3]);
    expect(forwards).toBe(5);
    expect(counts.canvases).toBe(9);
    expect(counts.tokensPerForward).toBe(3 / 5);
    expect(trace[0].timing?.total).toBe(2);
    expect(counts.refreshes).toBe(1);
    const looked = model.sessions[2].requests[0];
    expect([...looked.suppress!]).toEqual([6]);
    expect(looked.guidance?.unconditional.canvas[0]).toBe(mask);
  });
});

describe('blocks that the model ends', () => {
  /** A block ends at the first 9 among the proposals of at most five positions. */
  const untilNine: BlockPlan = (start, maxTokens) => ({
    length: start + maxTokens,
    blocks: [{ start, end: start + maxTokens }],
    adapt: () => ({
      range: (from, length) => ({ start: from, end: Math.min(from + 5, length) }),
      ask: ({ start: from, end }) => ({
        query: Int32Array.from({ length: end - from }, (_, i) => from + i),
      }),
      end: ({ end }, { position, token }) => {
        const nine = token.indexOf(9);
        return nine < 0 ? end : position[nine] + 1;
      },
    }),
  });

  test('the forward that ends a block is used by the decoder', async () => {
    const { trace, forwards } = await drawn({
      decode: topK({ k: 3 }),
      blocks: untilNine,
      maxTokens: 12,
    });
    const places = trace.map(({ block, committed }) => [block, ...committed.map(([p]) => p)]);
    expect(places).toEqual([
      [0, 2, 3, 4],
      [0, 5, 6],
      [1, 7, 8, 9], // position 9 proposes 9
      [2, 10, 11, 12],
      [2, 13],
    ]);
    expect(forwards).toBe(trace.length);
  });
});

test('a trace is enough to draw the run again', async () => {
  const length = growUntilEos({ initial: 3 });
  const { trace, frames } = await drawn({ maxTokens: 7, length, decode: topK({ k: 2 }) });
  const copy = JSON.parse(JSON.stringify(trace)) as typeof trace;
  const view: AnswerView = {
    prompt: Int32Array.from(prompt),
    maxTokens: 7,
    initial: [mask, mask, mask],
    capacity: 7,
    mask,
    ends: new Set([eos]),
    blocks: 1,
    tokenizer: undefined,
  };
  const replay = new Replay(view);
  expect(copy.map((step) => [...replay.frame(step).tokens])).toEqual(frames);
});
