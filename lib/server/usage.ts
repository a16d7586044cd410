/** What an answer took, in the words of OpenAI, of llama.cpp and our own. */
import type { Answered } from './answer.js';

/** A prompt with several answers counts once. */
export function promptTokens(answered: readonly Answered[]): number {
  const prompts = new Map(answered.map(({ prompt }) => [prompt.join(), prompt.length]));
  return sum([...prompts.values()]);
}

/** OpenAI's. */
export function usageOf(answered: readonly Answered[]): object {
  const prompt_tokens = promptTokens(answered);
  const completion_tokens = sum(answered.map(({ stats }) => stats.tokens));
  const drafts = answered.map(({ draft }) => draft).filter((draft) => draft !== undefined);
  return {
    ...{ prompt_tokens, completion_tokens, total_tokens: prompt_tokens + completion_tokens },
    prompt_tokens_details: { cached_tokens: 0 }, // nothing is kept from one request to the next
    ...(drafts.length > 0 && {
      completion_tokens_details: {
        accepted_prediction_tokens: sum(drafts.map(({ accepted }) => accepted)),
        rejected_prediction_tokens: sum(drafts.map(({ rejected }) => rejected)),
      },
    }),
  };
}

/**
 * llama.cpp's names, which several interfaces show. The first forward reads the prompt and writes, too,
 * so `prompt_ms` is part of `predicted_ms`.
 */
export function timingsOf(answered: readonly Answered[]): object {
  const n = sum(answered.map(({ stats }) => stats.tokens));
  const read = sum(answered.map(({ prompt }) => prompt.length));
  const ms = Math.max(...answered.map(({ stats }) => stats.runMs));
  const first = Math.max(...answered.map(({ stats }) => stats.firstForwardMs));
  return {
    ...{ prompt_n: read, prompt_ms: first, prompt_per_second: perSecond(read, first) },
    ...{ predicted_n: n, predicted_ms: ms, predicted_per_second: perSecond(n, ms) },
  };
}

/** One answer's, or a list. */
export function statsOf(answered: readonly Answered[]): object {
  const [{ stats }] = answered;
  return answered.length === 1 ? stats : answered.map((one) => one.stats);
}

function perSecond(count: number, milliseconds: number): number {
  return milliseconds > 0 ? (1000 * count) / milliseconds : 0;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
