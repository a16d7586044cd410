/** Draws for task instances: a stream of numbers that depends on nothing but its four words. */
import { philox } from '../decoding/philox.js';

export class Random {
  readonly #seed: number;
  readonly #words: readonly [number, number, number];
  #next = 0;

  /** @param words three unsigned 32-bit words; together with the seed they name the stream */
  constructor(seed: number, words: readonly [number, number, number]) {
    this.#seed = seed;
    this.#words = words;
  }

  /** A whole number from 0 to `limit` − 1. */
  below(limit: number): number {
    const [word] = philox(this.#seed, [this.#next++, ...this.#words]);
    return Math.floor((word / 0x100000000) * limit);
  }

  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)];
  }

  /** `count` different ones in random order (Fisher and Yates). */
  sample<T>(items: readonly T[], count: number): T[] {
    const rest = [...items];
    for (let i = 0; i < count; i++) {
      const j = i + this.below(rest.length - i);
      [rest[i], rest[j]] = [rest[j], rest[i]];
    }
    return rest.slice(0, count);
  }

  shuffle<T>(items: readonly T[]): T[] {
    return this.sample(items, items.length);
  }
}

/** FNV-1a with a final mix (that of MurmurHash3), so that its remainders are even too. */
export function hash(text: string): number {
  let value = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) {
    value = Math.imul(value ^ text.charCodeAt(i), 0x01000193);
  }
  value = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
  value = Math.imul(value ^ (value >>> 13), 0xc2b2ae35);
  return (value ^ (value >>> 16)) >>> 0;
}
