/** The trajectories of the original decoders, and the options that ask for the same. */
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { expect } from 'vitest';
import {
  blocks,
  dream,
  dualCache,
  factor,
  lowConfidence,
  noCache,
  prefixCache,
  threshold,
  wholeAnswer,
  type DreamOptions,
} from '../../lib/decoding/index.js';
import { generate } from '../../lib/generate.js';
import type { Model } from '../../lib/model.js';
import type { GenerateOptions, GenerationModel } from '../../lib/plan.js';

/** Options by the originals' own names. */
interface OriginalOptions {
  steps: number;
  gen_length?: number;
  block_length?: number;
  cfg_scale?: number;
  logits_eos_inf?: boolean;
  confidence_eos_eot_inf?: boolean;
  threshold?: number;
  factor?: number;
  cache?: 'prefix' | 'dual';
  alg?: DreamOptions['alg'];
  max_new_tokens?: number;
  top_p?: number;
  top_k?: number;
}

export interface Trajectory {
  name: string;
  model: string;
  prompt: number[];
  method: 'llada' | 'fast-dllm' | 'dream';
  options: OriginalOptions;
  /** [position, token] written by each forward. */
  steps: [number, number][][];
  final: number[];
}

const file = new URL('../fixtures/trajectories.json', import.meta.url);
const { ids, cases } = JSON.parse(readFileSync(file, 'utf8')) as {
  ids: Record<string, { mask: number; eos: number; eot: number }>;
  cases: Trajectory[];
};

/** Cases of a model, by its file name. */
export function trajectories(model: string, method?: Trajectory['method']): Trajectory[] {
  return cases.filter((c) => basename(c.model) === model && c.method === (method ?? c.method));
}

/** Dream's schedule is never empty again once it has begun: then MASK was proposed. */
function proposesMask({ steps }: Trajectory): boolean {
  const first = steps.findIndex((step) => step.length > 0);
  return steps.slice(first).some((step) => step.length === 0);
}

function options(trajectory: Trajectory): GenerateOptions {
  const { method, model, options: o, final } = trajectory;
  if (method === 'dream') {
    const { alg, steps } = o;
    const literal = final.includes(ids[model].mask) || proposesMask(trajectory);
    const maxTokens = o.max_new_tokens;
    const decode = dream({ alg, steps, literal });
    return { maxTokens, decode, blocks: wholeAnswer(), topP: o.top_p, topK: o.top_k };
  }
  const cache = { none: noCache, prefix: prefixCache, dual: dualCache }[o.cache ?? 'none']();
  const { steps } = o;
  const common = { maxTokens: o.gen_length, blocks: blocks(o.block_length), cache };
  if (o.threshold !== undefined) return { ...common, decode: threshold({ tau: o.threshold }) };
  if (o.factor !== undefined) {
    return { ...common, decode: factor({ factor: o.factor, literal: true }) };
  }
  const decode = lowConfidence({
    steps,
    logitsEosInf: o.logits_eos_inf,
    confidenceEosEotInf: o.confidence_eos_eot_inf,
  });
  return { ...common, decode, cfgScale: o.cfg_scale };
}

/** Decodes a case and requires the same tokens at the same positions in the same forward. */
export async function follow(model: Model, trajectory: Trajectory): Promise<void> {
  // The files do not name an end of turn; the originals were run with these ids.
  const tokens = ids[trajectory.model];
  const given: GenerationModel = {
    info: { ...model.info, tokens },
    tokenizer: model.tokenizer,
    createSession: (request) => model.createSession(request),
    step: (items, options) => model.step(items, options),
  };
  const run = generate(given, trajectory.prompt, { ...options(trajectory), stopAtEos: false });
  const { trace, canvas } = await run.result;
  let actual = trace.map(({ committed }) =>
    committed.map(([position, token]) => [position, token]),
  );
  let expected = trajectory.steps.map((step) => [...step].sort(([a], [b]) => a - b));
  if (trajectory.method === 'fast-dllm') {
    // The original's cached variants forward once more after a block is done.
    actual = actual.filter((step) => step.length > 0);
    expected = expected.filter((step) => step.length > 0);
  }
  expect(actual).toEqual(expected);
  expect([...canvas]).toEqual(trajectory.final);
}
