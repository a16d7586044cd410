/** A model that knows all there is to know of one instance: exact marginals, and nothing else. */
import { uniform } from '../decoding/philox.js';
import type { TaskInstance } from './index.js';
import { hash } from './random.js';
import { ScriptedModel } from './scripted.js';

/** A scripted model with the words that its token ids stand for. */
export class Oracle extends ScriptedModel {
  /** (vocabulary − 1) by token id; the last id is MASK. */
  readonly words: readonly string[];
  readonly prompt: Int32Array;

  /**
   * At each masked position of the answer it gives to each word its share among the right answers that
   * agree with what is known: the conditional marginal of the uniform distribution over them. Where
   * no right answer is left, the shares are those among all of them.
   *
   * Equally probable words are told apart by chance, by noise of at most 10⁻⁹ on each logit: a
   * greedy choice between them is as good as a throw of dice. Each position throws its own in every step:
   * with one throw for all steps, being passed over in one would say something about the next.
   */
  constructor(instance: TaskInstance) {
    const answers = Array.from(instance.answers());
    const prompt = instance.prompt.split(' ');
    const words = [...new Set([...prompt, ...answers.flat()])];
    const ids = new Map(words.map((word, id) => [word, id]));
    const known = answers.map((answer) => Int32Array.from(answer, (word) => ids.get(word)!));
    const shares = new Marginals(known, words.length);
    const seed = hash(instance.prompt);
    super(
      (position, canvas, step) => {
        const place = position - prompt.length;
        const share = shares.of(canvas.subarray(prompt.length), words.length);
        return Float64Array.from({ length: words.length + 1 }, (_, token) => {
          if (token === words.length) return -Infinity;
          const noise = 1e-9 * uniform(seed, step * words.length + token, position, tieStream);
          return Math.log(share[place * words.length + token]) + noise;
        });
      },
      { vocabulary: words.length + 1, tokens: { mask: words.length } },
    );
    this.words = words;
    this.prompt = Int32Array.from(prompt, (word) => ids.get(word)!);
  }

  decode(tokens: Int32Array): string {
    return Array.from(tokens, (token) => this.words[token]).join(' ');
  }
}

const tieStream = 16;
const remembered = 4096; // canvases

/** Shares of words at each place among answers, by what of the answer is known. */
class Marginals {
  readonly #answers: readonly Int32Array[];
  readonly #words: number;
  readonly #seen = new Map<string, Float64Array>();

  constructor(answers: readonly Int32Array[], words: number) {
    this.#answers = answers;
    this.#words = words;
  }

  /** @returns (length × words) */
  of(answer: Int32Array, mask: number): Float64Array {
    const key = answer.join();
    const before = this.#seen.get(key);
    if (before !== undefined) return before;
    const known = [...answer.keys()].filter((place) => answer[place] !== mask);
    const agreeing = this.#answers.filter((right) => {
      for (const place of known) if (right[place] !== answer[place]) return false;
      return true;
    });
    const shares = this.#count(agreeing.length > 0 ? agreeing : this.#answers);
    if (this.#seen.size === remembered) this.#seen.clear();
    this.#seen.set(key, shares);
    return shares;
  }

  #count(answers: readonly Int32Array[]): Float64Array {
    const shares = new Float64Array(answers[0].length * this.#words);
    for (const answer of answers) {
      for (let place = 0; place < answer.length; place++) {
        shares[place * this.#words + answer[place]]++;
      }
    }
    return shares.map((count) => count / answers.length);
  }
}
