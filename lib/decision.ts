/** A step between the policies and the forward: what is asked, and what becomes of the answer. */
import { reportFor } from './decoding/asks.js';
import type { Ask, Change, Decision, Look, RunFacts, StepState } from './decoding/policy.js';
import { applyRule } from './decoding/rule.js';
import type { Forward, ForwardOptions } from './forward.js';
import type { Plan } from './plan.js';
import type { CommitRule, Range, StepResult } from './types.js';

export function decoderAsk(state: StepState, { request, commit, choose }: Decision): Ask {
  const decides = commit !== undefined || choose !== undefined;
  return { ...(decides && { query: state.masked }), ...request };
}

/** After the deadline: every mask gets its token, from a forward that computes all rows. */
export const everything: Decision = { commit: { score: 'probability', select: { kind: 'all' } } };

/** The decoder's rule for the step of `state`, or the one after it. */
export function ruleOf({ range }: StepState, { commit }: Decision): CommitRule | undefined {
  return commit && { ...commit, within: range };
}

export function positionsIn({ start, end }: Range): Int32Array {
  return Int32Array.from({ length: end - start }, (_, i) => start + i);
}

/** What everybody asks in a step. */
export function asksOf({ refine, length }: Plan, state: StepState, decision: Decision): Ask[] {
  const others = [...refine, length].map((policy) => policy.ask?.(state) ?? {});
  return [decoderAsk(state, decision), ...others];
}

export function forwardOptions(
  plan: Plan,
  state: StepState,
  decision: Decision,
  asks: readonly Ask[],
): ForwardOptions {
  const { request } = decision;
  const { step, canvas } = state;
  const { statistics } = request ?? {};
  const rows = decision === everything ? {} : plan.cache(state);
  return { asks, rows, length: canvas.length, step, statistics };
}

/** What the rule commits, and what the decoder chooses beside it. */
export async function decide(
  { tokens: { mask }, seed }: RunFacts,
  state: StepState,
  { request, commit, choose }: Decision,
  forward: Forward,
  look: Look,
): Promise<[Change[], Change[]]> {
  const own = reportFor(decoderAsk(state, { request, commit, choose }), forward);
  const canvas = state.canvas.slice();
  if (forward.request.commit !== undefined) setAll(canvas, own);
  else if (commit !== undefined) {
    const rule: CommitRule = { seed, step: state.step, ...commit, within: state.range };
    own.committed = applyRule(rule, canvas, mask, own);
  }
  const ruled = [...own.committed].map((position) => ({ position, token: canvas[position] }));
  return [ruled, choose === undefined ? [] : await choose(own, look)];
}

function setAll(canvas: Int32Array, { committed, position, token }: StepResult): void {
  const written = new Set(committed);
  position.forEach((p, i) => {
    if (written.has(p)) canvas[p] = token[i];
  });
}
