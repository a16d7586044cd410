/** The holes of a template while it is filled: where they lie, what they hold, how they change. */
import type { Change, Splice } from '../decoding/policy.js';
import type { Tokenizer } from '../text/tokenizer.js';
import type { Limit, StepResult } from '../types.js';
import { agreeing, common } from './choices.js';
import { endIn, endsOf, type End, type Ends } from './stop.js';
import type { FilledHole, Hole } from './types.js';

/** A hole; the tokens of its choices, if it has any. */
export type Filling = Hole & { readonly tokens?: readonly Int32Array[] };
/** Known tokens or a hole. */
export type Part = Int32Array | Filling;

export interface GapFacts {
  mask: number;
  /** End of text and of turn, as far as the model has them. */
  eos: ReadonlySet<number>;
  tokenizer: Tokenizer | undefined;
}

interface TokenSets {
  allow: Int32Array | undefined;
  suppress: Int32Array;
}

/** A hole in the answer; indices count from the first position of the answer. */
interface Open {
  readonly hole: Hole;
  readonly ends: Ends;
  /** What may stand before its `min`-th token, and from there on. */
  readonly early: TokenSets;
  readonly late: TokenSets;
  start: number;
  length: number;
  ended: End['by'] | undefined;
  /** What it can still become; empty: any text. */
  choices: readonly Int32Array[];
}

/** Probability at which an expected end says that a hole is long enough. */
const closed = 0.5;

export class Gaps {
  /** The answer at first. */
  readonly initial: readonly number[];
  /** Most tokens that the answer can have. */
  readonly most: number;
  /** Whether any hole can change its length. */
  readonly adaptive: boolean;
  readonly #facts: GapFacts;
  readonly #holes: Open[] = [];

  constructor(parts: readonly Part[], facts: GapFacts) {
    this.#facts = facts;
    const initial: number[] = [];
    let known = 0;
    for (const part of parts) {
      const masks = 'kind' in part ? contentOf(part, facts.mask) : part;
      if ('kind' in part) this.#open(part, initial.length);
      else known += part.length;
      for (const token of masks) initial.push(token);
    }
    this.initial = initial;
    this.most = this.#holes.reduce((sum, { hole }) => sum + hole.max, known);
    this.adaptive = this.#holes.some(({ hole, choices }) => {
      return hole.min < hole.max || hole.stop.length > 0 || choices.length > 0;
    });
  }

  get holes(): readonly Hole[] {
    return this.#holes.map(({ hole }) => hole);
  }

  /** Whether an index of the answer is known text. */
  isKnown(index: number): boolean {
    return !this.#holes.some(({ start, length }) => index >= start && index < start + length);
  }

  /** How far nothing known goes any more: a text that ends a hole takes along its own beginning. */
  stable(answer: Int32Array): number {
    const open = this.#holes.find((gap) => {
      const { start, length } = gap;
      return canEndLate(gap) && answer.subarray(start, start + length).includes(this.#facts.mask);
    });
    return open?.start ?? answer.length;
  }

  /** Whether any hole can end in front of tokens that it has committed. */
  get endsLate(): boolean {
    return this.#holes.some(canEndLate);
  }

  /** What each hole may hold: no end before its `min`, only what it allows. */
  limits(offset: number): Limit[] {
    return this.#holes.flatMap(({ hole, early, late, start, length, choices }): Limit[] => {
      if (choices.length > 0) {
        return Array.from({ length }, (_, i) => ({
          positions: Int32Array.of(start + i + offset),
          allow: [...new Set(choices.map((choice) => choice[i]))],
        }));
      }
      const first = hole.min === hole.max ? length : Math.min(hole.min, length);
      const [from, middle, to] = [start, start + first, start + length].map((i) => i + offset);
      return [
        { positions: upTo(from, middle), ...early },
        { positions: upTo(middle, to), ...late },
      ].filter(({ positions, allow, suppress }) => {
        return positions.length > 0 && (allow !== undefined || suppress.length > 0);
      });
    });
  }

  /** Indices of masks in holes that can become longer. */
  growing(answer: Int32Array): number[] {
    return this.#holes
      .filter(canGrow)
      .flatMap(({ start, length }) => [...upTo(start, start + length)])
      .filter((index) => answer[index] === this.#facts.mask);
  }

  /**
   * What ends or makes room in this step; the holes are then where that puts them.
   * @param answer with the `changes` of the step made
   * @param open indices of the active block's masks before the step
   * @param report of `growing`, its positions being `offset` more than indices of the answer
   */
  resize(
    answer: Int32Array,
    changes: readonly Change[],
    open: readonly number[],
    report: StepResult,
    offset: number,
  ): Splice[] {
    const written = new Set(changes.map(({ position }) => position - offset));
    const roomAt = this.#leastSure(report, open, written, offset);
    const splices: Splice[] = [];
    let moved = 0;
    for (const gap of this.#holes) {
      const splice = this.#change(gap, answer, roomAt);
      const at = gap.start;
      gap.start += moved;
      if (splice === undefined) continue;
      splices.push({ ...splice, at: splice.at + at + offset });
      gap.length += splice.tokens.length - splice.remove;
      moved += splice.tokens.length - splice.remove;
    }
    return splices;
  }

  /** @param answer as it ended; `offset` is the length of the prompt */
  filled(answer: Int32Array, offset: number): FilledHole[] {
    const { mask, tokenizer } = this.#facts;
    return this.#holes.map(({ start, length, ended }): FilledHole => {
      const content = answer.slice(start, start + length);
      const tokens = content.filter((token) => token !== mask);
      const text = tokenizer?.decode(tokens) ?? '';
      const whole = tokens.length === length;
      return { text, tokens, start: start + offset, ended: whole ? (ended ?? 'full') : 'steps' };
    });
  }

  #open(hole: Filling, start: number): void {
    const ends = endsOf(hole, this.#facts.eos);
    const { allow, suppress } = hole;
    const finals = [...ends.eos, ...ends.tokens];
    const early = { allow, suppress: Int32Array.of(...suppress, ...finals) };
    const late = { allow: allow && Int32Array.of(...allow, ...finals), suppress };
    this.#holes.push({
      ...{ hole, ends, early, late, start },
      length: contentOf(hole, this.#facts.mask).length,
      ended: undefined,
      choices: hole.tokens ?? [],
    });
  }

  /** `at` counts from the beginning of the hole. */
  #change(gap: Open, answer: Int32Array, roomAt: number | undefined): Splice | undefined {
    const { mask, tokenizer } = this.#facts;
    const { start, length, hole } = gap;
    const content = answer.subarray(start, start + length);
    if (gap.choices.length > 0) return narrowed(gap, content, mask);
    const end =
      hole.min === hole.max && hole.stop.length === 0
        ? undefined
        : endIn(content, gap.ends, mask, tokenizer);
    if (end !== undefined) {
      gap.ended = end.by;
      const { keep, tail } = end;
      if (keep === length) return undefined;
      return { at: keep, remove: length - keep, tokens: tail };
    }
    if (!canGrow(gap)) return undefined;
    const masks = (count: number) => new Array<number>(count).fill(mask);
    const room = hole.max - length;
    const index = roomAt === undefined ? -1 : roomAt - start;
    if (index >= 0 && index < length) {
      return { at: index, remove: 1, tokens: masks(Math.min(hole.expand, room + 1)) };
    }
    const waiting = hole.stop.length > 0 && !content.includes(mask);
    return waiting
      ? { at: length, remove: 0, tokens: masks(Math.min(hole.expand, room)) }
      : undefined;
  }

  /** The mask of the active block that makes room: the least sure, in a hole that expects no end. */
  #leastSure(
    { position, top }: StepResult,
    open: readonly number[],
    written: ReadonlySet<number>,
    offset: number,
  ): number | undefined {
    const sure = new Map([...position].map((p, i) => [p - offset, top!.probability[i]]));
    const expected = new Map([...position].map((p, i) => [p - offset, top!.token[i]]));
    const candidates = this.#holes.filter(canGrow).flatMap(({ hole, ends, start, length }) => {
      const indices = [...upTo(start, start + length)];
      const closes = (index: number) =>
        ends.eos.has(expected.get(index) ?? -1) && sure.get(index)! >= closed;
      if (indices.some(closes)) return [];
      const unsure = (index: number) => (sure.get(index) ?? 1) < Math.fround(hole.low);
      return indices.filter(
        (index) => open.includes(index) && !written.has(index) && unsure(index),
      );
    });
    if (candidates.length === 0) return undefined;
    return candidates.reduce((a, b) => (sure.get(b)! < sure.get(a)! ? b : a));
  }
}

/** What it holds before anything is written. */
function contentOf({ initial, tokens = [] }: Filling, mask: number): number[] {
  return tokens.length > 0 ? common(tokens, mask) : new Array<number>(initial).fill(mask);
}

/** What the choices that are left agree on is written; where they begin to differ there are masks. */
function narrowed(gap: Open, content: Int32Array, mask: number): Splice | undefined {
  gap.choices = agreeing(gap.choices, content, mask);
  const tokens = common(gap.choices, mask);
  const same = content.findIndex((token, i) => token !== tokens[i]);
  const at = same < 0 ? content.length : same;
  if (at === content.length && at === tokens.length) return undefined;
  return { at, remove: content.length - at, tokens: tokens.slice(at) };
}

function canEndLate({ ends, choices }: Open): boolean {
  return ends.texts.length > 0 || ends.rules.length > 0 || choices.length > 0;
}

function canGrow({ hole, length, ended, choices }: Open): boolean {
  return ended === undefined && choices.length === 0 && length < hole.max;
}

function upTo(start: number, end: number): Int32Array {
  return Int32Array.from({ length: end - start }, (_, i) => start + i);
}
