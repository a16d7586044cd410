/** The text of an answer as it becomes final. */
import type { StreamDecoder, Tokenizer } from '../text/tokenizer.js';

/** Text that may be sent, and whether that was all. */
export interface Piece {
  text: string;
  /** The stop string that ended the answer. */
  stopped: string | undefined;
}

/**
 * Cuts final tokens into text that only ever appends. Held back are the bytes of an unfinished
 * character, and whatever a stop string may begin with; a character that is never finished is left
 * out.
 */
export class AnswerText {
  readonly #decoder: StreamDecoder;
  readonly #stop: readonly string[];
  readonly #starts: number[] = []; // (decoded tokens) where the text of each begins
  #tokens = 0;
  #sent = 0; // characters
  #held = '';
  #stopped: string | undefined;

  /** @param stop texts that end the answer and are not part of it; none may be empty */
  constructor(tokenizer: Tokenizer, stop: readonly string[]) {
    this.#decoder = tokenizer.decoder();
    this.#stop = stop;
  }

  /** How many tokens the text that may be sent is made of, the last perhaps in part. */
  get tokens(): number {
    return this.#tokens;
  }

  /**
   * @param tokens the answer as far as it is final, from its beginning, without what ends it
   * @param end that is all there will be
   */
  push(tokens: Int32Array, end = false): Piece {
    let text = '';
    // One by one, so that a stop string ends the text where it is complete.
    while (this.#stopped === undefined && this.#starts.length < tokens.length) {
      const at = this.#starts.length;
      this.#starts.push(this.#sent + this.#held.length);
      this.#held += this.#decoder.push(tokens.subarray(at, at + 1));
      text += this.#release(false);
    }
    if (end && this.#stopped === undefined) {
      text += this.#release(true);
      this.#tokens = this.#starts.length;
    }
    return { text, stopped: this.#stopped };
  }

  #release(all: boolean): string {
    const held = this.#held;
    const found = this.#stop
      .map((stop) => ({ stop, at: held.indexOf(stop) }))
      .filter(({ at }) => at >= 0)
      .sort((a, b) => a.at - b.at || b.stop.length - a.stop.length);
    this.#stopped = found.at(0)?.stop;
    const until = found.at(0)?.at ?? (all ? held.length : this.#safe(held));
    this.#held = this.#stopped === undefined ? held.slice(until) : '';
    this.#sent += until;
    while (this.#starts[this.#tokens] < this.#sent) this.#tokens++;
    return held.slice(0, until);
  }

  /** How much of the text cannot be the beginning of a stop string. */
  #safe(text: string): number {
    const longest = Math.max(0, ...this.#stop.map((stop) => stop.length - 1));
    for (let at = Math.max(0, text.length - longest); at < text.length; at++) {
      const rest = text.slice(at);
      if (this.#stop.some((stop) => stop.startsWith(rest))) return at;
    }
    // Half of a surrogate pair is no text.
    return text.length;
  }
}
