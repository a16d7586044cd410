import { LacunaError } from '../errors.js';
import { integer, knownKeys, number } from '../validate.js';
import type { StepResult } from '../types.js';
import { named } from './named.js';
import type { LengthPlan, RunFacts, Splice, StepState } from './policy.js';

export interface DaedalOptions {
  /** Positions at first, at most `maxTokens`. Default 64. */
  initial?: number;
  /** Masks that an expansion puts in place of one (and stage 1 appends), at least 1. Default 8. */
  expand?: number;
  /** EOS confidence at which stage 1 ends, 0 … 1. Default 0.5. */
  enough?: number;
  /** EOS confidence from which on stage 2 inserts nothing, 0 … 1. Default 0.9. */
  closed?: number;
  /** A mask may be replaced by more of them if its confidence is below this, 0 … 1. Default 0.1. */
  low?: number;
  /** Positions over which EOS confidence is averaged, at least 1. Default 32. */
  window?: number;
}

/**
 * An answer that finds its own length, up to `maxTokens`. EOS confidence is the sum of p(EOS) over
 * the last `window` positions, counted from the end of the canvas, whose most probable token is end
 * of text, divided by `window` however many there are.
 * 1. Before anything is committed: a forward; while EOS confidence is below `enough`, `expand` more
 *    masks are appended. Then ⌊window / 2⌋ end-of-text tokens, known from the beginning, as far as
 *    `maxTokens` has room.
 * 2. With each step: if EOS confidence is below `closed` and the canvas has room, the one mask of the
 *    active block with the lowest confidence (that of its most probable token), if that is below
 *    `low` and the step did not commit it, becomes `expand` masks. What follows moves to the right;
 *    what no longer fits `maxTokens` is cut off at the end, the end-of-text tokens first.
 *
 * The original's way to commit is `threshold({ tau: 0.9, strict: true })` in `blocks(32)`. Where
 * nothing is above tau it prefers positions whose most probable token is not MASK; here MASK is never
 * proposed, and each position counts by its best other token. The original's guard against forwards
 * that change nothing has no work here, as every step commits. Rows that a cache leaves out keep what
 * they last reported of end of text.
 *
 * Throws `INVALID_ARGUMENT` for a model without an end-of-text token, or with block-causal attention:
 * there nothing sees how long the canvas is.
 * Source: DAEDAL (arXiv 2508.00819, ICLR 2026), `LLaDA_DAEDAL.py::generate`. The code is followed
 * where the paper speaks of an average over the last `window` positions.
 */
export function daedal(options: DaedalOptions = {}): LengthPlan {
  const name = 'daedal()';
  knownKeys(name, options, ['initial', 'expand', 'enough', 'closed', 'low', 'window']);
  const share = (key: 'enough' | 'closed' | 'low', value: number) =>
    number(`${name}: ${key}`, options[key] ?? value, { min: 0, max: 1 });
  const initial = integer(`${name}: initial`, options.initial ?? 64, { min: 1 });
  const expand = integer(`${name}: expand`, options.expand ?? 8, { min: 1 });
  const enough = share('enough', 0.5);
  const closed = share('closed', 0.9);
  const low = share('low', 0.1);
  const window = integer(`${name}: window`, options.window ?? 32, { min: 1 });
  const plan: LengthPlan = (run) => {
    const { length, prompt, tokens } = run;
    const eos = eosOf(run);
    const expected = new EosConfidence(length, prompt, eos);
    const masks = (count: number) => new Array<number>(count).fill(tokens.mask);
    const ask = ({ canvas }: StepState) => ({
      query: Int32Array.from(canvas.keys()).subarray(prompt),
      topK: 1,
    });
    return {
      initial: Math.min(initial, run.maxTokens),
      prepare: {
        ask,
        decide: ({ canvas }, report) => {
          expected.note(report);
          const room = length - canvas.length;
          const append = (what: number[]): Splice | undefined =>
            room > 0 ? { at: canvas.length, remove: 0, tokens: what.slice(0, room) } : undefined;
          if (room === 0 || expected.over(window, canvas.length) >= enough) {
            return { splice: append(new Array<number>(window >> 1).fill(eos)), done: true };
          }
          return { splice: append(masks(expand)), done: false };
        },
      },
      ask,
      resize: ({ canvas, masked }, report, changes) => {
        expected.note(report);
        if (canvas.length === length || expected.over(window, canvas.length) >= closed) {
          return undefined;
        }
        const written = new Set(changes.map(({ position }) => position));
        const at = leastSure(report, masked, written);
        if (at === undefined || at.confidence >= Math.fround(low)) return undefined;
        return [{ at: at.position, remove: 1, tokens: masks(expand) }];
      },
    };
  };
  return named('daedal', options, plan, ['grows', 'inserts']);
}

function eosOf({ tokens, attentionBlock }: RunFacts): number {
  if (tokens.eos !== undefined && attentionBlock === 0) return tokens.eos;
  const reason =
    tokens.eos === undefined
      ? 'expects end of text at the end of the canvas, but this model names no such token'
      : 'lets the model see how long the answer is, but with block-causal attention it cannot';
  throw new LacunaError(
    'INVALID_ARGUMENT',
    `length: daedal() ${reason}; use fixedLength() or growUntilEos()`,
  );
}

/** What each position last reported of end of text. */
class EosConfidence {
  readonly #probability: Float64Array; // (most positions) 0 where another token is more probable
  readonly #prompt: number;
  readonly #eos: number;

  constructor(length: number, prompt: number, eos: number) {
    this.#probability = new Float64Array(length);
    this.#prompt = prompt;
    this.#eos = eos;
  }

  note({ position, top }: StepResult): void {
    position.forEach((place, i) => {
      this.#probability[place] = top!.token[i] === this.#eos ? top!.probability[i] : 0;
    });
  }

  over(window: number, length: number): number {
    const found = this.#probability.subarray(this.#prompt, length).filter((p) => p > 0);
    return found.subarray(-window).reduce((sum, p) => sum + p, 0) / window;
  }
}

/** The masked position of lowest confidence among those that stay masked, the lower of equals. */
function leastSure(
  { position, top }: StepResult,
  masked: Int32Array,
  written: ReadonlySet<number>,
): { position: number; confidence: number } | undefined {
  const candidates = [...position.keys()]
    .filter((i) => masked.includes(position[i]) && !written.has(position[i]))
    .map((i) => ({ position: position[i], confidence: top!.probability[i] }));
  if (candidates.length === 0) return undefined;
  return candidates.reduce((a, b) => (b.confidence < a.confidence ? b : a));
}
