/** `logit_bias`: what a client adds to the logits of single tokens. */
import { named } from '../decoding/named.js';
import type { Refinement } from '../decoding/policy.js';
import { integer, invalid, number, object } from '../validate.js';
import type { Limits } from './limits.js';
import type { Wanted } from './request.js';

/** From here on OpenAI means never. */
const never = -100;
/** Most logits of a step that are changed. */
const mostCredits = 100_000;

/** Puts the biases into the options of `wanted`. Throws `INVALID_ARGUMENT`. */
export function steered(wanted: Wanted, value: unknown, vocabulary: number, limits: Limits): void {
  const entries = Object.entries(object('logit_bias', value ?? undefined)).map(
    ([key, bias]) =>
      [
        integer('logit_bias: a token', key === '' ? NaN : Number(key), {
          min: 0,
          max: vocabulary - 1,
        }),
        number(`logit_bias.${key}`, bias, { min: never, max: -never }),
      ] as const,
  );
  if (entries.length > limits.biases) {
    invalid('logit_bias', value, `of at most ${limits.biases} tokens`);
  }
  const biases = entries.filter(([, bias]) => bias > never && bias !== 0);
  const suppress = entries.filter(([, bias]) => bias === never).map(([token]) => token);
  if (suppress.length > 0) wanted.options.suppress = suppress;
  if (biases.length > 0) wanted.options.refine = credits(biases);
}

/** Adds to the logits of all masks of the block, before sampling and statistics. */
function credits(biases: readonly (readonly [token: number, bias: number])[]): Refinement {
  const refinement: Refinement = ({ maxTokens }) => {
    if (biases.length * maxTokens > mostCredits) {
      const most = Math.floor(mostCredits / maxTokens);
      invalid('logit_bias', Object.fromEntries(biases), `of at most ${most} tokens at that length`);
    }
    return {
      ask: ({ masked }) => {
        const cells = Array.from(masked).flatMap((p) => biases.map((entry) => [p, ...entry]));
        const column = (k: number) => cells.map((cell) => cell[k]);
        const [position, token] = [Int32Array.from(column(0)), Int32Array.from(column(1))];
        return { query: masked, credit: { position, token, value: Float32Array.from(column(2)) } };
      },
    };
  };
  return named('logitBias', Object.fromEntries(biases), refinement, ['credit']);
}
