/** Tokens that a client puts into an answer while it is written. */
import { named } from '../decoding/named.js';
import type { Change, Refinement } from '../decoding/policy.js';

export class Pins {
  /** By position of the answer. */
  readonly #tokens = new Map<number, number>();
  /** A run looks here, and its positions stay where they are. */
  #fits = false;

  /**
   * What is before the first mask has been sent, so no pin changes it: that is why this does not count
   * as a policy that revises.
   */
  readonly refinement: Refinement = named('pins', undefined, (run) => {
    this.#fits = !run.policies.length.traits.includes('inserts');
    const { prompt, tokens } = run;
    if (!this.#fits) return {};
    return { revise: ({ canvas }, _, decided) => this.#into(canvas, prompt, tokens.mask, decided) };
  });

  /**
   * From the next step on the token stands there, if what stands there now is not final.
   * @returns whether there is a run for that
   */
  put(position: number, token: number): boolean {
    this.#tokens.set(position, token);
    return this.#fits;
  }

  #into(
    canvas: Int32Array,
    prompt: number,
    mask: number,
    decided: readonly Change[],
  ): Change[] | undefined {
    if (this.#tokens.size === 0) return undefined;
    const open = canvas.indexOf(mask, prompt);
    const changes = decided.filter(({ position }) => !this.#tokens.has(position - prompt));
    for (const [index, token] of this.#tokens) {
      const position = prompt + index;
      const free = open >= 0 && position >= open && position < canvas.length;
      if (free && canvas[position] !== token) changes.push({ position, token });
    }
    return changes;
  }
}
