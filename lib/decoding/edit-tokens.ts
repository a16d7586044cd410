import { integer, knownKeys, number, oneOf } from '../validate.js';
import { named } from './named.js';
import type { Change, Decoder, Refinement, StepState } from './policy.js';
import { threshold } from './threshold.js';

export interface EditTokensOptions {
  /** A known token gives way to a proposal of more than this probability, 0 … 1. Default 0.9. */
  tau?: number;
  /** Most forwards of a block after its last mask, at least 0. Default 16. */
  maxPostSteps?: number;
}

/**
 * Token editing: in every forward, known tokens of the active block that differ from what the model
 * now proposes there with a probability > `tau` (that of the new token) are replaced, together with
 * what the decoder commits. A block without masks gets further forwards until one edits nothing, at
 * most `maxPostSteps`; only then does the next block begin, or the run end. The prompt stays.
 *
 * With `threshold({ strict: true, statistics: 'sampled' })` it is LLaDA2.1's rule; see `draftAndEdit`.
 * Source: LLaDA2.1 technical report, eq. 1–3; `modeling_llada21_moe.py::generate`. There MASK may be
 * an edit's new token; here it is never proposed. A `tau` of 0 edits wherever the proposal differs,
 * as in the original (diffusers takes it to switch editing off).
 */
export function editTokens(options: EditTokensOptions = {}): Refinement {
  const name = 'editTokens()';
  knownKeys(name, options, ['tau', 'maxPostSteps']);
  const tau = number(`${name}: tau`, options.tau ?? 0.9, { min: 0, max: 1 });
  const most = integer(`${name}: maxPostSteps`, options.maxPostSteps ?? 16, { min: 0 });
  const refinement: Refinement = ({ prompt, tokens }) => {
    /** Forwards of a block since its last mask, and whether the last of them edited nothing. */
    let post = { block: -1, steps: 0, settled: false };
    const known = ({ range, canvas }: StepState) => {
      const positions = Array.from({ length: range.end - range.start }, (_, i) => range.start + i);
      return positions.filter((i) => i >= prompt && canvas[i] !== tokens.mask);
    };
    return {
      ask: (state) => ({ query: Int32Array.from(known(state)) }),
      revise: ({ block, masked, canvas }, { position, token, probability }, decided) => {
        const edits: Change[] = [];
        const written = new Set(decided.map((change) => change.position)); // by other refinements
        position.forEach((place, i) => {
          if (probability[i] <= tau || token[i] === canvas[place] || written.has(place)) return;
          edits.push({ position: place, token: token[i] });
        });
        const steps = post.block === block ? post.steps : 0;
        const full = masked.length === 0;
        post = { block, steps: full ? steps + 1 : steps, settled: full && edits.length === 0 };
        return [...decided, ...edits];
      },
      again: ({ block, masked }) => {
        if (masked.length > 0 || post.block !== block) return masked.length > 0 || most > 0;
        return post.steps < most && !post.settled;
      },
    };
  };
  return named('editTokens', options, refinement, ['revises', 'remembers']);
}

/** Probabilities above which a mask gets its token, and a token another. */
const modes = {
  default: { draft: 0.95, edit: 0.9 },
  quality: { draft: 0.7, edit: 0.5 },
  speed: { draft: 0.5, edit: 0 },
} as const;

/**
 * LLaDA2.1's draft and edit as options of `generate`: commits every proposal with p > draft, the best
 * one in any case, and edits with p > edit. Its published modes:
 *
 * | Mode        | draft | edit |                                   |
 * | ----------- | ----- | ---- | --------------------------------- |
 * | `'default'` | 0.95  | 0.9  | of the original function          |
 * | `'quality'` | 0.7   | 0.5  | Q mode                            |
 * | `'speed'`   | 0.5   | 0    | S mode: any other proposal edits  |
 *
 * Source: LLaDA2.1 technical report; SGLang, `joint_threshold.py`.
 * @param options `mode` default `'default'`; `maxPostSteps` default 16
 */
export function draftAndEdit(options: { mode?: keyof typeof modes; maxPostSteps?: number } = {}): {
  decode: Decoder;
  refine: Refinement;
} {
  const name = 'draftAndEdit()';
  knownKeys(name, options, ['mode', 'maxPostSteps']);
  const names = ['default', 'quality', 'speed'] as const;
  const { draft, edit } = modes[oneOf(`${name}: mode`, options.mode ?? 'default', names)];
  const { maxPostSteps } = options;
  return {
    decode: threshold({ tau: draft, strict: true, statistics: 'sampled' }),
    refine: editTokens({ tau: edit, maxPostSteps }),
  };
}
