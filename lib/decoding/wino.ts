import { integer } from '../validate.js';
import type { StepResult } from '../types.js';
import { readFields, share } from './fields.js';
import { named } from './named.js';
import type { Change, Decoder, RunFacts, StepState } from './policy.js';

export interface WinoOptions {
  /** A proposal is drafted if its confidence is above this, 0 … 1. Default 0.6. */
  draft?: number;
  /** A token is taken back if its leave-one-out probability is below this, 0 … 1. Default 0.9. */
  verify?: number;
  /** Largest share of the block's masks that a step drafts, 0 … 1. Default 0.7. */
  share?: number;
  /** Bounds of that number of masks, at least 1. Default 5 and 20. */
  least?: number;
  most?: number;
}

export const winoFields = {
  draft: share(0.6, 'drafts what is surer than this'),
  verify: share(0.9, 'takes back what, left out, is less probable than this'),
  share: share(0.7, "largest share of the block's masks that a step drafts"),
  least: {
    ...({ type: 'integer', default: 5, minimum: 1 } as const),
    description: 'a step may always draft so many',
  },
  most: {
    ...({ type: 'integer', minimum: 1 } as const),
    description: 'and never more than so many; 20, or least if that is more',
  },
} as const;

/** What the original begins with in place of the number of drafts of the step before. */
const firstAccepts = 30;

/**
 * Wide-in, narrow-out: drafts generously and takes back what does not stand up. In one forward each
 * masked position of the block is predicted, and each known one is predicted again by a shadow row
 * that sees everything but the position's own token.
 * - Draft: the proposals with p > `draft`, of m masks at most min(max(⌊share·m⌋, least), most) by p;
 *   if there is none, the best one.
 * - Verify: if the step drafts more than one, known tokens of the block to which their shadow gives
 *   a probability < `verify` become masks again; of r such, where the step before drafted a ≤ r, only
 *   the a − 1 least probable. So a block of n positions takes at most n forwards.
 *
 * Confidence is the untempered softmax. A token is verified from the step after its draft on.
 * Source: WINO (arXiv 2507.18578, ICLR 2026), `LLaDA/decoding.py::decoding_wino`. There shadows also
 * see each other; here none does, so that the verdict on one does not depend on how many there are.
 */
export function wino(options: WinoOptions = {}): Decoder {
  const name = 'wino()';
  const { draft, verify, least, ...given } = readFields(name, winoFields, options);
  const most = integer(`${name}: most`, options.most ?? Math.max(20, least), { min: least });
  const decoder: Decoder = (run) => {
    let accepted = { block: -1, count: firstAccepts };
    return (state) => {
      const { block, canvas, masked } = state;
      const shadow = knownIn(run, state);
      const probe = Int32Array.from(new Set(shadow.map((position) => canvas[position])));
      const choose = (report: StepResult): Change[] => {
        const before = accepted.block === block ? accepted.count : firstAccepts;
        const limit = Math.min(Math.max(Math.trunc(given.share * masked.length), least), most);
        const masks = report.position.length - shadow.length;
        const drafted = draftFrom(report, masks, draft, limit);
        accepted = { block, count: drafted.length };
        if (drafted.length <= 1) return drafted;
        const doubted = doubts(report, masks, canvas, probe)
          .filter(({ probability }) => probability < Math.fround(verify))
          .sort((a, b) => a.probability - b.probability || a.position - b.position);
        const back = doubted.length >= before ? doubted.slice(0, before - 1) : doubted;
        return [...drafted, ...back.map(({ position }) => ({ position, token: run.tokens.mask }))];
      };
      return { request: { shadow, ...(probe.length > 0 && { probe }) }, choose };
    };
  };
  return named('wino', options, decoder, ['revises', 'remembers']);
}

/** Known positions of the active block, ascending; those of the prompt are beyond doubt. */
function knownIn({ prompt, tokens }: RunFacts, { range, canvas }: StepState): Int32Array {
  const known: number[] = [];
  for (let i = Math.max(range.start, prompt); i < range.end; i++) {
    if (canvas[i] !== tokens.mask) known.push(i);
  }
  return Int32Array.from(known);
}

/** @param masks the first entries of the report; its shadows follow */
function draftFrom(
  { position, token, probability }: StepResult,
  masks: number,
  above: number,
  limit: number,
): Change[] {
  const ranked = [...position.subarray(0, masks).keys()].sort(
    (a, b) => probability[b] - probability[a] || a - b,
  );
  const sure = ranked.filter((i) => probability[i] > above).slice(0, limit);
  return (sure.length > 0 ? sure : ranked.slice(0, 1)).map((i) => ({
    position: position[i],
    token: token[i],
  }));
}

/** What each shadow thinks of the token in its place. */
function doubts(
  { position, probe }: StepResult,
  masks: number,
  canvas: Int32Array,
  probed: Int32Array,
): { position: number; probability: number }[] {
  return [...position.subarray(masks)].map((place, i) => ({
    position: place,
    probability: probe![(masks + i) * probed.length + probed.indexOf(canvas[place])],
  }));
}
