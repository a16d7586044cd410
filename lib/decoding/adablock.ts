import { LacunaError } from '../errors.js';
import { integer, invalid, knownKeys, number } from '../validate.js';
import type { Range, StepResult } from '../types.js';
import { named } from './named.js';
import type { AdaptPolicy, BlockPlan, RunFacts } from './policy.js';

export interface AdaBlockOptions {
  /** Positions of a block in which no delimiter is sure enough, at least 1. Default 32. */
  size?: number;
  /** Confidence at which a delimiter ends its block, 0 … 1. Default: the model's, 0.3 or 0.5 for Dream. */
  tau?: number;
  /** Where a delimiter is looked for: this share of the whole answer, 0 … 1. Default 0.25. */
  window?: number;
  /**
   * Tokens that end a block: ids, or texts that are one token each. Default: the model's, see
   * `adaBlocks`.
   */
  delimiters?: readonly (number | string)[];
}

/** What the original takes for a delimiter, and how sure it must be. */
interface Delimiters {
  tau: number;
  tokens: readonly (number | string)[];
}

/** A line break by itself. */
const usual: Delimiters = { tau: 0.3, tokens: ['\n'] };

/** By architecture. Dream: tokens of the Qwen2.5 vocabulary that end in a line break. */
const byModel: Readonly<Record<string, Delimiters>> = {
  dream: {
    tau: 0.5,
    tokens: [
      198, 271, 280, 319, 340, 382, 401, 532, 624, 630, 692, 698, 921, 1248, 1837, 1939, 2219, 2533,
      3276, 3876, 4894, 5267, 14750, 68327,
    ],
  },
};

/**
 * Semantic blocks: each ends after the delimiter that the model expects most surely. The first
 * forward of a block looks at the ⌊window · maxTokens⌋ positions from its start. Of those whose most
 * probable token is a delimiter the one of the highest probability ends the block, delimiter
 * included, if that is ≥ `tau`; else the block has `size` positions. The same forward then commits.
 * Ties go to the lower position.
 *
 * Made for `threshold({ tau: 0.9 })`; decoders with a schedule are refused. The default delimiter is
 * the line break (LLaDA's token 198); for Dream 24 tokens that end in one. A model without a
 * tokenizer needs ids.
 * Source: AdaBlock-dLLM (arXiv 2509.26432), `generate_adablock.py`, followed where the paper differs.
 */
export function adaBlocks(options: AdaBlockOptions = {}): BlockPlan {
  const name = 'adaBlocks()';
  knownKeys(name, options, ['size', 'tau', 'window', 'delimiters']);
  const size = integer(`${name}: size`, options.size ?? 32, { min: 1 });
  const share = number(`${name}: window`, options.window ?? 0.25, { min: 0, max: 1 });
  if (options.tau !== undefined) number(`${name}: tau`, options.tau, { min: 0, max: 1 });
  const { delimiters } = options;
  if (delimiters !== undefined && (!Array.isArray(delimiters) || delimiters.length === 0)) {
    invalid(`${name}: delimiters`, delimiters, 'left out, or a list of token ids and texts');
  }
  return named(
    'adaBlocks',
    options,
    (prompt, maxTokens) => {
      const length = prompt + maxTokens;
      const window = Math.floor(share * maxTokens);
      const adapt = (run: RunFacts): AdaptPolicy => {
        const { tau, tokens } = byModel[run.architecture] ?? usual;
        const ends = tokenIds(run, delimiters ?? tokens);
        return {
          range: (start, end) => ({
            start,
            end: Math.min(start + Math.max(window, size), end),
          }),
          ask: (range) => ({ query: windowOf(range, window), topK: 1 }),
          end: (range, report) =>
            delimiterIn(report, ends, options.tau ?? tau) ??
            Math.min(range.start + size, range.end),
        };
      };
      return { length, blocks: [{ start: prompt, end: length }], adapt };
    },
    ['adapts'],
  );
}

function windowOf({ start, end }: Range, window: number): Int32Array {
  return Int32Array.from({ length: Math.min(window, end - start) }, (_, i) => start + i);
}

/** The position after the surest delimiter, if it is sure enough. */
function delimiterIn(
  { position, top }: StepResult,
  ends: ReadonlySet<number>,
  tau: number,
): number | undefined {
  const { token, probability } = top!;
  const expected = [...position.keys()].filter((i) => ends.has(token[i]));
  if (expected.length === 0) return undefined;
  const best = expected.reduce((a, b) => (probability[b] > probability[a] ? b : a));
  return probability[best] >= Math.fround(tau) ? position[best] + 1 : undefined;
}

function tokenIds(run: RunFacts, delimiters: readonly (number | string)[]): Set<number> {
  const name = 'adaBlocks(): delimiters';
  return new Set(
    delimiters.map((delimiter) => {
      if (typeof delimiter === 'number') {
        return integer(name, delimiter, { min: 0, max: run.vocabulary - 1 });
      }
      if (run.tokenizer === undefined) {
        throw new LacunaError(
          'INVALID_ARGUMENT',
          `${name}: ${JSON.stringify(delimiter)} needs a tokenizer, which this model lacks; give ids`,
        );
      }
      const ids = run.tokenizer.encode(delimiter, { bos: false });
      if (ids.length === 1) return ids[0];
      return invalid(name, delimiter, `one token, not ${ids.length}`);
    }),
  );
}
