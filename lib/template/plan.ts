/** A template as a length plan: what is known at first, what may stand where, what becomes of it. */
import { named } from '../decoding/named.js';
import type { LengthPlan, StepState } from '../decoding/policy.js';
import type { Gaps } from './gaps.js';

/** For one run: the gaps move as it goes on. */
export function templatePlan(gaps: Gaps): LengthPlan {
  const told = {
    known: gaps.initial.length - gaps.holes.reduce((sum, { initial }) => sum + initial, 0),
    holes: gaps.holes.map(({ min, max, initial, choices }) => ({
      ...{ min, max, initial },
      ...(choices.length > 0 && { choices }),
    })),
  };
  const plan: LengthPlan = ({ prompt }) => {
    const answerOf = ({ canvas }: StepState) => canvas.subarray(prompt);
    const resizing = {
      resize: ((state, report, changes) => {
        const answer = answerOf(state).slice();
        for (const { position, token } of changes) answer[position - prompt] = token;
        const open = [...state.masked].map((position) => position - prompt);
        return gaps.resize(answer, changes, open, report, prompt);
      }) satisfies ReturnType<LengthPlan>['resize'],
    };
    return {
      initial: gaps.initial,
      fixed: (position) => position >= prompt && gaps.isKnown(position - prompt),
      ask: (state) => {
        const growing = gaps.growing(answerOf(state)).map((index) => index + prompt);
        return {
          limits: gaps.limits(prompt),
          ...(growing.length > 0 && { query: Int32Array.from(growing), topK: 1 }),
        };
      },
      ...(gaps.endsLate && { stable: (canvas) => gaps.stable(canvas.subarray(prompt)) }),
      ...(gaps.adaptive && resizing),
    };
  };
  return named('template', told, plan, [
    'holes',
    'grows',
    ...(gaps.adaptive ? (['inserts'] as const) : []),
  ]);
}
