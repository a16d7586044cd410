/** One of several texts, by the probability that the answer goes on with it. */
import type { Desk } from './desk.js';

/** Alternatives that agree in their first `depth` tokens, and the logarithm of their probability. */
interface Branch {
  members: readonly number[];
  depth: number;
  logp: number;
}

/**
 * The score of an alternative is Π p(token | text, the alternative's tokens before) over the places
 * where alternatives part, each p among the tokens with which they go on there; tokens that all have
 * in common count nothing, so that length does not. A uniform-cost search over the tree of the
 * alternatives finds the best one exactly, at one forward for each place it has to look at.
 *
 * @param ids the tokens of the alternatives, from the first of the answer on
 * @returns index and score; of equal alternatives the first
 */
export async function decide(
  desk: Desk,
  ids: readonly Int32Array[],
): Promise<{ index: number; probability: number }> {
  const open: Branch[] = [{ members: [...ids.keys()], depth: 0, logp: 0 }];
  for (;;) {
    const at = open.reduce((best, { logp }, i) => (logp > open[best].logp ? i : best), 0);
    const [branch] = open.splice(at, 1);
    const { members, depth, logp } = branch;
    const ended = members.find((member) => ids[member].length === depth);
    if (ended !== undefined) return { index: ended, probability: Math.exp(logp) };
    if (members.length === 1) return { index: members[0], probability: Math.exp(logp) };
    const groups = new Map<number, number[]>();
    for (const member of members) {
      const token = ids[member][depth];
      groups.set(token, [...(groups.get(token) ?? []), member]);
    }
    const tokens = Int32Array.from(groups.keys()).sort();
    if (tokens.length === 1) {
      open.push({ members, depth: depth + 1, logp });
      continue;
    }
    const known = ids[members[0]].subarray(0, depth);
    const probabilities = await desk.probabilities(known, tokens);
    for (const [token, members] of groups) {
      const p = probabilities[tokens.indexOf(token)];
      open.push({ members, depth: depth + 1, logp: logp + Math.log(p) });
    }
  }
}
