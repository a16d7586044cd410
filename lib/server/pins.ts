/** Tokens that a client puts into an answer while it is written. */
import { named } from '../decoding/named.js';
import type { Refinement } from '../decoding/policy.js';

export class Pins {
  /** By position of the answer. */
  readonly #tokens = new Map<number, number>();

  /** From the next step on the token stands there, if what stands there now is not final. */
  put(position: number, token: number): void {
    this.#tokens.set(position, token);
  }

  /**
   * What is before the first mask has been sent, so no pin changes it: that is why this does not count
   * as a policy that revises. Positions must stay where they are.
   */
  get refinement(): Refinement {
    const tokens = this.#tokens;
    return named('pins', undefined, ({ prompt, tokens: { mask } }) => ({
      revise: ({ canvas }, _, decided) => {
        if (tokens.size === 0) return undefined;
        const open = canvas.indexOf(mask, prompt);
        const changes = decided.filter(({ position }) => !tokens.has(position - prompt));
        for (const [index, token] of tokens) {
          const position = prompt + index;
          const free = open >= 0 && position >= open && position < canvas.length;
          if (free && canvas[position] !== token) changes.push({ position, token });
        }
        return changes;
      },
    }));
  }
}
