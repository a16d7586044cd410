/** The step after the one that runs, as far as it can be known before that one ends. */
import { forwardOptions } from './decision.js';
import type { Decision, StepState } from './decoding/policy.js';
import type { ForwardOptions } from './forward.js';
import type { Plan } from './plan.js';

/** What a step will ask of the masked positions of its block. */
export interface Foreseen {
  decision: Decision;
  options: ForwardOptions;
}

/**
 * Asks the policies for the step after `state`, whose decision is given. They are pure functions, so
 * what they say without looking at anything that the running step may change holds, whatever it
 * finds: its forward can follow at once, without waiting for JavaScript. `undefined` if one of them
 * looked, or if there is no such step.
 */
export function foresee(plan: Plan, state: StepState, decision: Decision): Foreseen | undefined {
  const { simple, adapt, length, run, forward } = plan;
  const alone = simple && adapt === undefined && length.ask === undefined;
  if (!alone || !forward.model.queues || state.step + 1 === run.steps) return undefined;
  if (endsBlock(state, decision)) return undefined;
  try {
    const next = unseen(state);
    const decided = plan.decode(next);
    if (decided === undefined || !declared(decided)) return undefined;
    const options = forwardOptions(plan, next, decided, [decided.request ?? {}]);
    const { visible = options.length } = options.rows;
    const sees = typeof visible === 'number' && visible >= state.range.end;
    return sees ? { decision: decided, options } : undefined;
  } catch (error) {
    if (error instanceof Unseen) return undefined;
    throw error;
  }
}

/** Only a rule decides, over whatever is masked then. */
function declared({ commit, choose, request }: Decision): boolean {
  return commit !== undefined && choose === undefined && request?.query === undefined;
}

function endsBlock({ masked }: StepState, { commit }: Decision): boolean {
  return commit?.select.kind === 'topK' && commit.select.k >= masked.length;
}

class Unseen extends Error {}

function look(): never {
  throw new Unseen();
}

/** The next state of the block: its counts and its length are known. */
function unseen(state: StepState): StepState {
  const { step, blockStep, forwards, blockForwards, block, range, blockMasks } = state;
  const canvas = new Proxy(state.canvas, {
    get: (target, key) => (key === 'length' ? target.length : look()),
  });
  return {
    ...{ step: step + 1, blockStep: blockStep + 1 },
    ...{ forwards: forwards + 1, blockForwards: blockForwards + 1 },
    ...{ block, range, blockMasks, canvas },
    get masked() {
      return look();
    },
    get changed() {
      return look();
    },
    get stale() {
      return look();
    },
  };
}
