/** Canvases that later steps may have, and what those steps would ask of them. */
import { asksOf, decide, decoderAsk, forwardOptions } from './decision.js';
import { reportFor } from './decoding/asks.js';
import type { Change, Decision, Look, StepState } from './decoding/policy.js';
import { LacunaError } from './errors.js';
import type { Forward, Guess } from './forward.js';
import type { Plan } from './plan.js';
import type { Range } from './types.js';

type Path = readonly (readonly Change[])[];

/**
 * The canvases along the paths that the speculation drafts, nearest step first, each once.
 * @param last the forward before this step
 * @param rangeOf the blocks as far as the canvas reaches
 */
export async function guessesOf(
  plan: Plan,
  state: StepState,
  decision: Decision,
  last: Forward,
  rangeOf: (block: number) => Range | undefined,
): Promise<Guess[]> {
  const after = (path: Path) => stateAfter(state, path, plan.run.tokens.mask, rangeOf);
  const draft = async (path: Path): Promise<Change[]> => {
    const then = after(path);
    const next = then && plan.decode(then);
    if (then === undefined || next === undefined) return [];
    return (await decide(plan.run, then, next, { ...last, request: bare(last) }, noLook)).flat();
  };
  const paths = await plan.speculate!(state, reportFor(decoderAsk(state, decision), last), draft);
  const nodes = paths.flatMap((path) => path.map((_, i) => path.slice(0, i + 1)));
  const limit = plan.run.steps ?? Infinity;
  const guesses = new Map<string, Guess>();
  for (const path of nodes.sort((a, b) => a.length - b.length)) {
    const then = after(path);
    const next = then && plan.decode(then);
    if (then === undefined || next === undefined || then.step >= limit) continue;
    if (next.commit === undefined && next.choose === undefined) continue; // makes no forward
    const options = forwardOptions(plan, then, next, asksOf(plan, then, next));
    const answer = new Int32Array(plan.view.capacity).fill(plan.run.tokens.mask);
    answer.set(then.canvas.subarray(plan.run.prompt));
    const key = answer.join();
    if (!guesses.has(key)) guesses.set(key, { answer, options });
  }
  return [...guesses.values()];
}

/** What was applied natively is to be decided anew. */
function bare({ request }: Forward): Forward['request'] {
  return { ...request, commit: undefined };
}

/** Undefined where the run ends, or where a path writes what no step can write. */
function stateAfter(
  state: StepState,
  path: Path,
  mask: number,
  rangeOf: (block: number) => Range | undefined,
): StepState | undefined {
  const canvas = state.canvas.slice();
  const n = path.length;
  const changes = path.at(-1) ?? [];
  if (n > 0 && changes.length === 0) return undefined;
  for (const { position, token } of path.flat()) canvas[position] = token;
  const masks = ({ start, end }: Range) =>
    Int32Array.from({ length: end - start }, (_, i) => start + i).filter((i) => canvas[i] === mask);
  const common = {
    canvas,
    stale: n === 0 ? state.stale : Math.min(...changes.map(({ position }) => position)),
    step: state.step + n,
    forwards: state.forwards + n,
    changed: n === 0 ? state.changed : Int32Array.from(changes, ({ position }) => position).sort(),
  };
  const masked = masks(state.range);
  if (masked.length > 0) {
    const { blockStep, blockForwards } = state;
    const counts = { blockStep: blockStep + n, blockForwards: blockForwards + n };
    return { ...state, ...common, ...counts, masked };
  }
  const range = rangeOf(state.block + 1);
  if (range === undefined) return undefined;
  const ahead = masks(range);
  if (ahead.length === 0) return undefined;
  const counts = { blockStep: 0, blockForwards: 0, blockMasks: ahead.length };
  return { ...common, ...counts, block: state.block + 1, range, masked: ahead };
}

const noLook: Look = () => {
  throw new LacunaError(
    'INVALID_ARGUMENT',
    'speculate: the decoder looks at canvases that might be, so what it would do cannot be guessed',
  );
};
