/** The canvas of a run: tokens, current length, and the only place that writes them. */
import { LacunaError } from './errors.js';
import type { Change, Splice } from './decoding/policy.js';
import type { Range } from './types.js';

/** A change, and what was there before. */
export interface Written extends Change {
  before: number;
}

export class Canvas {
  readonly #all: Int32Array; // (capacity) MASK beyond the length
  readonly #mask: number;
  readonly #prompt: number;
  #length: number;

  /** @param answer what follows the prompt at first; `capacity` positions are the most there can be */
  constructor(prompt: Int32Array, mask: number, answer: readonly number[], capacity: number) {
    this.#all = new Int32Array(capacity).fill(mask);
    this.#all.set(prompt);
    this.#all.set(answer, prompt.length);
    this.#mask = mask;
    this.#prompt = prompt.length;
    this.#length = prompt.length + answer.length;
  }

  /** (length) A view, not to be written. */
  get tokens(): Int32Array {
    return this.#all.subarray(0, this.#length);
  }

  /** (capacity − prompt) What sessions hold after the prompt. */
  get answer(): Int32Array {
    return this.#all.subarray(this.#prompt);
  }

  get length(): number {
    return this.#length;
  }

  /** Masked positions, ascending. */
  masked({ start, end }: Range): Int32Array {
    const positions: number[] = [];
    for (let i = start; i < end; i++) if (this.#all[i] === this.#mask) positions.push(i);
    return Int32Array.from(positions);
  }

  /**
   * Checks and writes, all or none.
   * @param allowed where, and whether known tokens may be taken back or edited
   * @returns in ascending order of position
   */
  write(
    changes: readonly Change[],
    { range, revise, who }: { range: Range; revise: boolean; who: string },
  ): Written[] {
    const seen = new Set<number>();
    const written = changes.map(({ position, token }) => {
      const before = this.#all[position];
      const inside =
        position >= Math.max(range.start, this.#prompt) &&
        position < Math.min(range.end, this.#length);
      const fits = revise ? token !== before : before === this.#mask && token !== this.#mask;
      if (!inside || !fits || seen.has(position)) {
        const what = revise
          ? 'change positions'
          : `put tokens other than MASK (${this.#mask}) at masked positions`;
        throw new LacunaError(
          'INVALID_ARGUMENT',
          `${who} put token ${token} at position ${position}; it may only ${what} from ` +
            `${range.start} to ${range.end - 1}, each once`,
        );
      }
      seen.add(position);
      return { position, token, before };
    });
    for (const { position, token } of written) this.#all[position] = token;
    return written.sort((a, b) => a.position - b.position);
  }

  /** @returns how many positions the canvas has gained, or lost if below 0 */
  splice({ at, remove, tokens }: Splice): number {
    const { length } = this;
    if (at < this.#prompt || remove < 0 || at + remove > length) {
      throw new LacunaError(
        'INVALID_ARGUMENT',
        `length: the plan replaced ${remove} positions from ${at} on; the answer goes from ` +
          `${this.#prompt} to ${length - 1}`,
      );
    }
    const after = this.#all.slice(at + remove, length);
    const next = [...this.#all.subarray(this.#prompt, at), ...tokens, ...after];
    const capacity = this.answer.length;
    this.answer.fill(this.#mask);
    this.answer.set(next.slice(0, capacity));
    this.#length = this.#prompt + Math.min(next.length, capacity);
    return this.#length - length;
  }
}
