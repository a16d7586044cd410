/** The toy experiment: two tokens that go together, chosen one by one and at once. */
import { beam } from '../decoding/beam.js';
import { wholeAnswer } from '../decoding/blocks.js';
import { leftToRight, rightToLeft, topK } from '../decoding/low-confidence.js';
import type { Decoder } from '../decoding/policy.js';
import { LacunaError } from '../errors.js';
import type { Model } from '../model.js';

/** How many of the hundred sequences begin so; C D E follows in all of them. */
export const toyCounts = { AB: 34, "AB'": 21, "A'B": 35, "A'B'": 10 } as const;

export type ToyPair = keyof typeof toyCounts;

/** Tokens of the sequences. */
export const toyTokens = ['A', "A'", 'B', "B'", 'C', 'D', 'E'] as const;

/** What the model says of one position. */
export interface ToyConditional {
  /** `p(A' | B)` */
  name: string;
  /** By the counts. */
  counted: number;
  measured: number;
}

/** Probabilities of a pair. */
export interface ToyJoint {
  pair: ToyPair;
  counted: number;
  /** By the model, one after the other: p(b) p(a | b). */
  chained: number;
  /** By the model, if the tokens did not depend on each other: p(a) p(b). */
  independent: number;
}

export interface ToyDecoding {
  decoder: string;
  answer: string;
  forwards: number;
  /** Whether it begins with the most frequent pair, A'B. */
  best: boolean;
}

export interface ToyResult {
  conditionals: ToyConditional[];
  /** The largest difference between counted and measured. */
  error: number;
  pairs: ToyJoint[];
  decodings: ToyDecoding[];
}

/**
 * Among a hundred sequences over {A, A'}{B, B'} C D E with 34 AB, 21 AB', 35 A'B and 10 A'B', A and B are
 * the more frequent tokens, 0.55 and 0.69, and A'B is the most frequent pair. The most probable token of
 * each position, chosen at once, is AB; a decoder that looks again after each token finds A'B.
 *
 * Source: "Why mask diffusion does not work"; the model is computed so that its conditional
 * probabilities are those of the counts.
 *
 * @param model `models/toy.F32.gguf` of the package. Rejects with `INVALID_ARGUMENT` for one that
 *   does not have its tokens.
 */
export async function toyExperiment(model: Model, signal?: AbortSignal): Promise<ToyResult> {
  const options = signal ? { signal } : {};
  const conditionals: ToyConditional[] = [];
  for (const question of questions()) {
    const { asked, given, counted } = question;
    const name = `p(${asked}${given === undefined ? '' : ` | ${given}`})`;
    conditionals.push({ name, counted, measured: await probability(model, question, signal) });
  }
  const decodings: ToyDecoding[] = [];
  for (const [decoder, decode] of Object.entries(decoders())) {
    const run = { maxTokens: 5, bos: true, blocks: wholeAnswer(), decode, ...options };
    const { text, forwards } = await model.generate('', run).result;
    decodings.push({ decoder, answer: text, forwards, best: text === "A'BCDE" });
  }
  const error = Math.max(...conditionals.map((one) => Math.abs(one.counted - one.measured)));
  return { conditionals, error, pairs: pairsOf(conditionals), decodings };
}

function pairsOf(conditionals: readonly ToyConditional[]): ToyJoint[] {
  const p = (name: string) => conditionals.find((one) => one.name === `p(${name})`)!.measured;
  return firsts.flatMap((a) =>
    seconds.map((b) => ({
      pair: `${a}${b}` as const,
      counted: toyCounts[`${a}${b}`] / 100,
      chained: p(b) * p(`${a} | ${b}`),
      independent: p(a) * p(b),
    })),
  );
}

const decoders = (): Record<string, Decoder> => ({
  'all at once': topK({ k: 5 }),
  'two a step, surest first': topK({ k: 2 }),
  'one a step, surest first': topK({ k: 1 }),
  'one a step, left to right': leftToRight(),
  'one a step, right to left': rightToLeft(),
  'beam of two, surest first': beam({ depth: 5, width: 2 }),
  'beam of two, left to right': beam({ depth: 5, width: 2, score: 'position' }),
});

interface Question {
  asked: string;
  /** What the other of the two positions holds; MASK where it is left out. */
  given?: string;
  counted: number;
}

const firsts = ['A', "A'"] as const;
const seconds = ['B', "B'"] as const;

/** Of both tokens of either position, alone and given each token of the other. */
function questions(): Question[] {
  const ofFirst = (a: (typeof firsts)[number]) => toyCounts[`${a}B`] + toyCounts[`${a}B'`];
  const ofSecond = (b: (typeof seconds)[number]) => toyCounts[`A${b}`] + toyCounts[`A'${b}`];
  return [
    ...firsts.map((a) => ({ asked: a, counted: ofFirst(a) / 100 })),
    ...seconds.map((b) => ({ asked: b, counted: ofSecond(b) / 100 })),
    ...firsts.flatMap((a) =>
      seconds.flatMap((b) => [
        { asked: a, given: b, counted: toyCounts[`${a}${b}`] / ofSecond(b) },
        { asked: b, given: a, counted: toyCounts[`${a}${b}`] / ofFirst(a) },
      ]),
    ),
  ];
}

async function probability(
  model: Model,
  { asked, given }: Question,
  signal?: AbortSignal,
): Promise<number> {
  const isFirst = (firsts as readonly string[]).includes(asked);
  using session = model.createSession({ length: 6 });
  session.set(0, [tokenId(model, '<bos>')]);
  if (given !== undefined) session.set(isFirst ? 2 : 1, [tokenId(model, given)]);
  const query = Int32Array.of(isFirst ? 1 : 2);
  const probe = Int32Array.of(tokenId(model, asked));
  const result = await session.step({ query, probe }, signal ? { signal } : {});
  return result.probe![0];
}

function tokenId(model: Model, text: string): number {
  const id = model.tokenizer.id(text);
  if (id !== undefined) return id;
  throw new LacunaError(
    'INVALID_ARGUMENT',
    `${model.info.file.path}: no token ${text}; the toy experiment needs models/toy.F32.gguf`,
  );
}
