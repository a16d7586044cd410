/** The one loop of the library: asks the policies, steps the session, reports what happened. */
import { setImmediate } from 'node:timers/promises';
import { foresee } from './ahead.js';
import { Canvas, type Written } from './canvas.js';
import { asksOf, decide, everything, forwardOptions, positionsIn, ruleOf } from './decision.js';
import { reportFor } from './decoding/asks.js';
import { computedFrom } from './decoding/caches/rows.js';
import type { Ask, Change, Decision, Look, StepState } from './decoding/policy.js';
import type { Extension } from './extension.js';
import type { Forward, Forwards } from './forward.js';
import { answerEnd } from './frames.js';
import { throwIfAborted } from './generation.js';
import type { Plan } from './plan.js';
import { guessesOf } from './speculation.js';
import { traceStep, type Outcome, type TraceStep } from './trace.js';
import type { Range } from './types.js';

/** Steps until the answer is complete, or is to become longer. */
export class Denoiser {
  readonly #plan: Plan;
  readonly #extension: Extension;
  readonly #forwards: Forwards;
  readonly #emit: (step: TraceStep) => void;
  readonly #signal: AbortSignal;
  readonly #canvas: Canvas;
  #step: number;
  readonly #final: number; // tokens of the answer, from before it became longer
  /** Of the last step. */
  #told: { block: number; stable: number };
  #ahead: { step: number; block: number; forward: Promise<Forward> } | undefined;
  #last: Forward | undefined; // what speculation drafts from
  #changed = new Int32Array(); // since the last forward
  #forwarded = 0; // forwards of the canvas
  /** Forwards since the block began or the canvas changed its length: K/V rows older than that may be stale. */
  #fresh = 0;
  #blockEnd: number; // of the last block, where the model decides
  #stale = 0; // see StepState
  #reopened: number | undefined; // a position before the active block, from which on masks may be

  /** @param made before the answer became longer */
  constructor(
    extension: Extension,
    forwards: Forwards,
    emit: (step: TraceStep) => void,
    signal: AbortSignal,
    made: { steps: number; stable: number },
  ) {
    this.#extension = extension;
    this.#plan = extension.plan;
    this.#forwards = forwards;
    this.#emit = emit;
    this.#signal = signal;
    this.#step = made.steps;
    this.#final = made.stable;
    this.#told = { block: 0, stable: made.stable };
    const { run, view } = this.#plan;
    this.#canvas = new Canvas(view.prompt, run.tokens.mask, view.initial, run.length);
    this.#blockEnd = run.prompt;
  }

  async run(): Promise<void> {
    const { run, view } = this.#plan;
    if (view.initial.some((token) => token !== run.tokens.mask)) {
      this.#forwards.write(this.#canvas.answer);
    }
    await this.#prepare();
    this.#begin();
    for (let block = 0; this.#step !== run.steps && !this.goesOn;) {
      const range = this.#range(block);
      if (range !== undefined) await this.#fillBlock(block, range);
      const again = this.#again(block);
      if (again !== undefined) block = again;
      else if (range === undefined || this.#finished()) {
        if (this.#late || !(await this.#extend())) break; // else the same block may have become longer
      } else block++;
    }
  }

  /** The canvas as it ended. */
  get tokens(): Int32Array {
    return this.#canvas.tokens.slice();
  }

  /** The answer is to become longer, and has not ended. */
  get goesOn(): boolean {
    if (!this.#extension.asked || this.#late || this.#ahead !== undefined) return false;
    const answer = this.#answer();
    const end = answerEnd(answer, this.#plan.view.ends);
    return end === answer.length || answer.subarray(0, end).includes(this.#plan.run.tokens.mask);
  }

  /** Says what the run goes on with. */
  extend(): { steps: number; stable: number } {
    const { mask } = this.#plan.run.tokens;
    const { block, stable } = this.#told;
    const { plan, changes, splices } = this.#extension.next(this.tokens, stable);
    const outcome = { written: this.#write(changes), splices, forwards: [], stable };
    const { maxTokens, capacity, blocks } = plan.view;
    const step = traceStep(this.#step, block, outcome, this.#canvas.length, mask);
    this.#emit({ ...step, longer: { maxTokens, capacity, blocks } });
    return { steps: this.#step + 1, stable };
  }

  async #fillBlock(block: number, first: Range): Promise<void> {
    const { run, decode, refine, adapt } = this.#plan;
    this.#fresh = 0;
    let range = first;
    let forward: Forward | undefined;
    if (adapt !== undefined && !this.#late) {
      // What is known already, from its beginning on, needs no forward to say where it ends.
      if (this.#canvas.masked(range).length > 0) {
        [range, forward] = await this.#settle(block, range);
      }
      this.#blockEnd = range.end;
    }
    const blockMasks = this.#canvas.masked(range).length;
    for (let blockStep = 0; this.#step !== run.steps; blockStep++) {
      throwIfAborted(this.#signal);
      if (forward === undefined && this.goesOn) return;
      const late = this.#late && this.#ahead === undefined && forward === undefined;
      if (late) range = this.#whole;
      const ask = late ? () => everything : decode;
      const state = this.#state(block, range, blockStep, blockMasks);
      const done = state.masked.length === 0 || this.#finished();
      const decision =
        done && (late || !refine.some((policy) => policy.again?.(state)))
          ? undefined
          : state.masked.length === 0
            ? {}
            : ask(state);
      if (decision === undefined) {
        // The block was settled by a forward that nobody uses.
        if (forward !== undefined) this.#record(state, { written: [], forwards: [[forward]] });
        return;
      }
      const idle = decision.commit === undefined && decision.choose === undefined;
      if (idle && !done) {
        // Nothing can change: no forward. The event loop still gets its turn, and the signal.
        await setImmediate();
        this.#record(state, { written: [], forwards: [] });
      } else {
        forward ??= await this.#forward(state, decision);
        await this.#apply(state, decision, forward);
        forward = undefined;
      }
      if (adapt === undefined) {
        const { length } = this.#canvas; // may have changed
        range = this.#range(block) ?? { start: length, end: length };
      }
    }
  }

  #state(block: number, range: Range, blockStep: number, blockMasks: number): StepState {
    const masked = this.#canvas.masked(range);
    const canvas = this.#canvas.tokens;
    const counts = { step: this.#step, forwards: this.#forwarded, blockForwards: this.#fresh };
    const written = { changed: this.#changed, stale: this.#stale };
    return { ...counts, ...written, block, blockStep, range, masked, blockMasks, canvas };
  }

  /** One forward for everybody; the rule goes with it where nothing else has a say. */
  async #forward(state: StepState, decision: Decision, more: Ask[] = []): Promise<Forward> {
    const { simple, speculate } = this.#plan;
    const asks = [...asksOf(this.#plan, state, decision), ...more];
    const options = forwardOptions(this.#plan, state, decision, asks);
    const alone = simple && more.length === 0;
    const commit = alone ? ruleOf(state, decision) : undefined;
    const last = this.#late ? undefined : speculate && this.#last;
    const guesses =
      last && (() => guessesOf(this.#plan, state, decision, last, (block) => this.#range(block)));
    const started = this.#begun(state) ?? this.#forwards.step({ ...options, commit }, guesses);
    if (alone && !this.#late && !this.#extension.asked) this.#beginNext(state, decision);
    const forward = await started;
    this.#last = forward;
    this.#fresh++;
    return forward;
  }

  /** The forward of this step, if it was begun before the last one ended. */
  #begun({ step, block }: StepState): Promise<Forward> | undefined {
    const ahead = this.#ahead;
    this.#ahead = undefined;
    return ahead?.step === step && ahead.block === block ? ahead.forward : undefined;
  }

  /** Lets the next step's forward follow the one that has just started, where nothing depends on that. */
  #beginNext(state: StepState, decision: Decision): void {
    const next = foresee(this.#plan, state, decision);
    if (next === undefined) return;
    const { block, range } = state;
    const commit = ruleOf(state, next.decision);
    const forward = this.#forwards.ahead({ ...next.options, commit }, range);
    this.#ahead = { step: state.step + 1, block, forward };
  }

  /** From the statistics to the changes, and the changes made. */
  async #apply(state: StepState, decision: Decision, forward: Forward): Promise<void> {
    const { refine, length, revises } = this.#plan;
    const forwards = forward.reused ? [] : [[forward, ...(forward.guesses ?? [])]];
    const reused = forward.reused ? forward : undefined;
    const look = this.#look(state, decision, forward, forwards);
    const [ruled, chosen] = await decide(this.#plan.run, state, decision, forward, look);
    let changes = [...ruled, ...chosen];
    for (const policy of refine) {
      const report = reportFor(policy.ask?.(state) ?? {}, forward);
      const revised = policy.revise?.(state, report, changes);
      if (decision !== everything) changes = revised ?? changes;
    }
    if (length.fixed !== undefined && (revises || refine.length > 0)) {
      changes = changes.filter(({ position }) => !length.fixed!(position));
    }
    const written =
      refine.length === 0
        ? this.#canvas.write(changes, {
            range: state.range,
            revise: revises,
            who: 'decode: choose()',
          })
        : this.#write(changes);
    const splices = length.resize?.(
      state,
      reportFor(length.ask?.(state) ?? {}, forward), // nothing where lengths are fixed
      changes,
    );
    const native = forward.request.commit !== undefined && chosen.length === 0;
    this.#record(state, { written, splices, forwards, reused }, native);
  }

  /** Lets a decoder see canvases that might be, with soft masks, credits and limits of the step. */
  #look(state: StepState, decision: Decision, forward: Forward, forwards: Forward[][]): Look {
    const { softMask, credit, limits } = forward.request;
    const { mask } = this.#plan.run.tokens;
    return async (branches) => {
      const canvases = branches.map(({ changes }) => {
        const answer = this.#canvas.answer.slice();
        for (const { position, token } of changes) answer[position - this.#plan.run.prompt] = token;
        return answer;
      });
      const asks = branches.map(({ ask }, i): Ask => {
        const { suppress, unscored, allowMask } = decision.request ?? {};
        const token = (position: number) => canvases[i][position - this.#plan.run.prompt];
        const query = positionsIn(state.range).filter((position) => token(position) === mask);
        return { suppress, unscored, allowMask, softMask, credit, limits, query, ...ask };
      });
      const results = await this.#forwards.look(canvases, (i) =>
        forwardOptions(this.#plan, state, decision, [asks[i]]),
      );
      forwards.push(results);
      return results.map((forward, i) => reportFor(asks[i], forward));
    };
  }

  /** Ends the block where the model says, by a forward that the decoder then uses. */
  async #settle(block: number, widest: Range): Promise<[Range, Forward]> {
    const wide = this.#state(block, widest, 0, this.#canvas.masked(widest).length);
    const ask = this.#plan.adapt!.ask(widest);
    const forward = await this.#forward(wide, this.#plan.decode(wide) ?? {}, [ask]);
    const end = this.#plan.adapt!.end(widest, reportFor(ask, forward));
    return [{ start: widest.start, end }, forward];
  }

  /** Forwards that settle the length before anything is committed. */
  async #prepare(): Promise<void> {
    const { run, length } = this.#plan;
    for (let done = !length.prepare; !done && !this.#late && this.#step !== run.steps;) {
      throwIfAborted(this.#signal);
      const state = this.#state(0, this.#range(0)!, 0, 0);
      const ask = length.prepare!.ask(state);
      const forward = await this.#forwards.step(forwardOptions(this.#plan, state, {}, [ask]));
      const { splice, done: enough } = length.prepare!.decide(state, reportFor(ask, forward));
      this.#record(state, { written: [], splices: splice && [splice], forwards: [[forward]] });
      done = enough;
    }
  }

  #begin(): void {
    const { refine } = this.#plan;
    const changes = refine.flatMap((policy) => policy.begin?.(this.#canvas.tokens) ?? []);
    if (changes.length === 0) return;
    const state = this.#state(0, this.#range(0)!, 0, 0);
    this.#record(state, { written: this.#write(changes), forwards: [] });
  }

  /** Goes on after a full answer that has no end, if the length plan wants that. */
  async #extend(): Promise<boolean> {
    const { run, view, length } = this.#plan;
    const answer = this.#answer();
    const open =
      answerEnd(answer, view.ends) === answer.length && !answer.includes(run.tokens.mask);
    const splice = open ? length.extend?.(this.#canvas.tokens) : undefined;
    if (splice === undefined) return false;
    await this.#ahead?.forward; // it found nothing to do
    const before = this.#canvas.length;
    const state = this.#state(0, { start: before, end: before }, 0, 0);
    this.#record(state, { written: [], splices: [splice], forwards: [] });
    return this.#canvas.length > before;
  }

  /** The `block`-th block as far as the canvas reaches; `undefined` beyond it. */
  #range(block: number): Range | undefined {
    const { run, adapt } = this.#plan;
    const { length } = this.#canvas;
    if (adapt !== undefined) {
      return this.#blockEnd < length ? adapt.range(this.#blockEnd, length) : undefined;
    }
    const planned = run.blocks.at(block);
    if (planned === undefined || planned.start >= length) return undefined;
    return { start: planned.start, end: Math.min(planned.end, length) };
  }

  /** Whether whatever is still masked is to be committed now. */
  get #late(): boolean {
    return this.#plan.deadline?.aborted ?? false;
  }

  get #whole(): Range {
    return { start: this.#plan.run.prompt, end: this.#canvas.length };
  }

  #write(changes: readonly Change[]): Written[] {
    const options = { range: this.#whole, revise: true, who: 'refine: a policy' };
    return this.#canvas.write(changes, options);
  }

  /** Brings sessions, trace and counters up to date. @param native the session has it already */
  #record(
    { step, block, range }: StepState,
    outcome: Omit<Outcome, 'stable'>,
    native = false,
  ): void {
    const { written, splices = [] } = outcome;
    const { length } = this.#canvas;
    this.#settleRows(outcome, length);
    for (const splice of splices.toReversed()) this.#canvas.splice(splice);
    if (splices.length > 0) {
      this.#fresh = 0;
      if (splices[0].at < range.start) this.#reopened = splices[0].at;
    }
    if ((written.length > 0 && !native) || splices.length > 0) {
      this.#forwards.write(this.#canvas.answer);
    }
    const forwarded = outcome.forwards.length > 0 || outcome.reused !== undefined;
    const kept = forwarded ? [] : this.#changed;
    const changed = new Set([...kept, ...written.map(({ position }) => position)]);
    this.#changed = Int32Array.from(changed).sort();
    if (forwarded) this.#forwarded++;
    this.#step++;
    const { mask } = this.#plan.run.tokens;
    const stable = Math.max(this.#final, this.#stable(range));
    this.#told = { block, stable };
    this.#emit(traceStep(step, block, { ...outcome, stable }, length, mask));
  }

  /** How much of the answer is known up to its first mask, and safe from those who revise. */
  #stable({ start }: Range): number {
    const { run, revises, revisesAll, length } = this.#plan;
    if (revisesAll || (revises && length.stable !== undefined)) return 0;
    const answer = this.#answer();
    const mask = answer.indexOf(run.tokens.mask);
    const most = length.stable?.(this.#canvas.tokens) ?? answer.length;
    const known = Math.min(mask < 0 ? answer.length : mask, most);
    return revises ? Math.max(0, Math.min(known, start - run.prompt)) : known;
  }

  /** Which rows are as their tokens want them, after a step on a canvas of `length`. */
  #settleRows(
    { written, splices = [], forwards, reused }: Omit<Outcome, 'stable'>,
    length: number,
  ): void {
    const [main = reused] = forwards.flat();
    if (main !== undefined) this.#stale = computedFrom(this.#stale, main.request.rows, length);
    const first = [...written.map(({ position }) => position), ...splices.map(({ at }) => at)];
    this.#stale = Math.min(this.#stale, ...first);
  }

  /** The block that holds masks again, because what follows has moved to the left. */
  #again(block: number): number | undefined {
    const from = this.#reopened;
    this.#reopened = undefined;
    if (from === undefined) return undefined;
    const first = this.#plan.run.blocks.findIndex(({ end }) => end > from);
    return first < block ? first : undefined;
  }

  #answer(): Int32Array {
    const { run, view } = this.#plan;
    return this.#canvas.tokens.subarray(run.prompt, run.prompt + view.maxTokens);
  }

  /** Everything is known up to the end of the answer. */
  #finished(): boolean {
    const { run, view, stopAtEos } = this.#plan;
    const answer = this.#answer();
    const end = stopAtEos ? answerEnd(answer, view.ends) : answer.length;
    return !answer.subarray(0, end).includes(run.tokens.mask);
  }
}
