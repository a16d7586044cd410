/** Which tokens of a vocabulary may come next: texts of all tokens, in order. */
import { setImmediate } from 'node:timers/promises';
import type { Tokenizer } from '../text/tokenizer.js';
import type { Guide } from './types.js';

const made = new WeakMap<Tokenizer, Promise<TokenTexts>>();

export class TokenTexts {
  /** (vocabulary) `undefined`: a control token, or part of a character. */
  readonly of: readonly (string | undefined)[];
  /** Ids by text. */
  readonly #order: readonly number[];
  readonly #texts: readonly string[];

  private constructor(of: readonly (string | undefined)[]) {
    this.of = of;
    const ids = [...of.keys()].filter((id) => of[id] !== undefined);
    this.#order = ids.sort((a, b) => (of[a]! < of[b]! ? -1 : of[a]! > of[b]! ? 1 : a - b));
    this.#texts = this.#order.map((id) => of[id]!);
  }

  /** Made once for a tokenizer. */
  static for(tokenizer: Tokenizer): Promise<TokenTexts> {
    let texts = made.get(tokenizer);
    if (texts === undefined) made.set(tokenizer, (texts = TokenTexts.#read(tokenizer)));
    return texts;
  }

  static async #read(tokenizer: Tokenizer): Promise<TokenTexts> {
    const of: (string | undefined)[] = [];
    for (let id = 0; id < tokenizer.vocabularySize; id++) {
      const text = tokenizer.decode([id]); // nothing for control tokens
      of.push(text === '' || text.includes('\ufffd') ? undefined : text);
      if (id % 4096 === 4095) await setImmediate();
    }
    return new TokenTexts(of);
  }

  /** Ids of the tokens whose text fits, ascending. */
  filter(fits: (text: string) => boolean): Int32Array {
    return Int32Array.from(
      [...this.of.keys()].filter((id) => this.of[id] !== undefined && fits(this.of[id])),
    );
  }

  /**
   * The tokens that go on from a state, and those that end the value: a closing unit, whatever is
   * behind it. Ascending.
   */
  next(guide: Guide, state: string): { on: Int32Array; end: Int32Array } {
    const on: number[] = [];
    const end: number[] = [];
    this.#walk(guide, state, 0, this.#texts.length, 0, on, end);
    const sorted = (list: number[]) => Int32Array.from(list).sort();
    return { on: sorted(on), end: sorted(end) };
  }

  /** Over the texts from `low` to before `high`, which have their first `depth` units in common. */
  #walk(
    guide: Guide,
    state: string,
    low: number,
    high: number,
    depth: number,
    on: number[],
    end: number[],
  ): void {
    const texts = this.#texts;
    let at = low;
    for (; at < high && texts[at].length === depth; at++) {
      if (depth > 0) on.push(this.#order[at]);
    }
    while (at < high) {
      const unit = texts[at][depth];
      const to = this.#endOf(at, high, depth, unit);
      const then = guide.next(state, unit);
      if (then !== undefined) this.#walk(guide, then, at, to, depth + 1, on, end);
      else if (guide.closing.includes(unit) && guide.ends(state)) {
        for (let i = at; i < to; i++) end.push(this.#order[i]);
      }
      at = to;
    }
  }

  /** First index from `from` on whose text has another unit at `depth`. */
  #endOf(from: number, high: number, depth: number, unit: string): number {
    let low = from;
    let top = high;
    while (low < top) {
      const middle = (low + top) >> 1;
      if (this.#texts[middle][depth] <= unit) low = middle + 1;
      else top = middle;
    }
    return low;
  }
}
