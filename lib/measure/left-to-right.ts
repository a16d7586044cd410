/** How probable an answer is to the model itself. */
import type { Model } from '../model.js';
import type { Range } from '../types.js';

const batch = 8; // canvases in one forward

/**
 * Log-probability of each token of an answer, read from left to right: position i is predicted from
 * what precedes it, with masks from i on, log p(x_i | x_0 … x_(i−1)). The sum is a measure of quality
 * that does not depend on the order in which the answer was written. Takes a forward over the whole
 * canvas for each token.
 *
 * @param canvas (length) token ids
 * @param answer the positions to score; what follows them counts as masked
 * @returns (end − start) nats
 */
export async function leftToRight(
  model: Model,
  canvas: Int32Array,
  { start, end }: Range,
  signal?: AbortSignal,
): Promise<Float64Array> {
  const scores = new Float64Array(end - start);
  for (let first = start; first < end; first += batch) {
    const last = Math.min(first + batch, end);
    const sessions = Array.from({ length: last - first }, (_, i) => {
      const session = model.createSession({ length: canvas.length });
      session.set(0, canvas.subarray(0, first + i));
      return session;
    });
    try {
      const items = sessions.map((session, i) => ({
        session,
        query: Int32Array.of(first + i),
        probe: canvas.slice(first + i, first + i + 1),
      }));
      const results = await model.step(items, { signal });
      results.forEach(({ probe }, i) => {
        scores[first - start + i] = Math.log(Math.max(probe![0], least));
      });
    } finally {
      for (const session of sessions) session.dispose();
    }
  }
  return scores;
}

const least = 2 ** -149; // of a 32-bit float: rounded to 0 it would make a sum −∞
