/** The one loop of the library: asks the policies, steps the session, reports what happened. */
import { setImmediate } from 'node:timers/promises';
import { LacunaError } from './errors.js';
import { answerEnd, Generation, throwIfAborted } from './generation.js';
import type { AnswerView, TraceStep } from './generation.js';
import { checkOptions, layOut, policies } from './plan.js';
import type { GenerateOptions, GenerationModel, GenerationSession, Prompt } from './plan.js';
import type {
  CachePolicy,
  Decision,
  DecodePolicy,
  RunFacts,
  StepState,
} from './decoding/policy.js';
import type { Commit, Sampling, StepRequest, StepResult } from './types.js';

/** Everything the loop needs, settled before the first forward. */
interface Plan {
  model: GenerationModel;
  run: RunFacts;
  view: AnswerView;
  decode: DecodePolicy;
  cache: CachePolicy;
  sampling: Sampling;
  cfgScale: number;
  suppress: Int32Array;
  stopAtEos: boolean;
}

/**
 * Fills an answer of `maxTokens` masks after the prompt.
 *
 * Throws at once: `INVALID_ARGUMENT` for options that are misspelt, out of range or do not fit
 * together or the model, `BAD_TEMPLATE` for messages that cannot be rendered. Whatever happens later
 * rejects `result` and ends the iteration: `ABORTED`, `DISPOSED`, `OUT_OF_MEMORY`.
 *
 * @param prompt text (encoded as it is, without a chat template), chat messages, or token ids
 */
export function generate(
  model: GenerationModel,
  prompt: Prompt,
  options: GenerateOptions = {},
): Generation {
  const settings = checkOptions(model, options);
  const { run, view: layout } = layOut(model, prompt, settings);
  const { temperature, topK, topP, seed, cfgScale, suppress, stopAtEos } = settings;
  const { decode, cache } = policies(run, settings);
  const { name, reason } = cache;
  const view: AnswerView = { ...layout, cache: { name, ...(reason !== undefined && { reason }) } };
  const plan: Plan = {
    model,
    run,
    view,
    decode,
    cache,
    sampling: { temperature, topK, topP, seed },
    cfgScale,
    suppress,
    stopAtEos,
  };
  return new Generation(view, (emit, signal) => denoise(plan, emit, signal), options.signal);
}

async function denoise(
  plan: Plan,
  emit: (step: TraceStep) => void,
  signal: AbortSignal,
): Promise<Int32Array> {
  throwIfAborted(signal);
  const sessions: GenerationSession[] = [];
  try {
    sessions.push(plan.model.createSession({ length: plan.run.length }));
    // LLaDA's unconditional canvas has masks for the prompt, and the same answer.
    if (plan.cfgScale > 0) sessions.push(plan.model.createSession({ length: plan.run.length }));
    const [session, unconditional] = sessions;
    session.set(0, plan.view.prompt);
    return await new Denoiser(plan, session, unconditional, emit, signal).run();
  } finally {
    for (const session of sessions) session.dispose();
  }
}

class Denoiser {
  readonly #plan: Plan;
  readonly #session: GenerationSession;
  readonly #unconditional: GenerationSession | undefined;
  readonly #emit: (step: TraceStep) => void;
  readonly #signal: AbortSignal;
  readonly #canvas: Int32Array; // (length) what the session holds
  #step = 0;
  #forwards = 0;
  #changed = new Int32Array(); // by the last forward

  constructor(
    plan: Plan,
    session: GenerationSession,
    unconditional: GenerationSession | undefined,
    emit: (step: TraceStep) => void,
    signal: AbortSignal,
  ) {
    this.#plan = plan;
    this.#session = session;
    this.#unconditional = unconditional;
    this.#emit = emit;
    this.#signal = signal;
    this.#canvas = new Int32Array(plan.run.length).fill(plan.run.tokens.mask);
    this.#canvas.set(plan.view.prompt);
  }

  async run(): Promise<Int32Array> {
    for (let block = 0; block < this.#plan.run.blocks.length; block++) {
      await this.#fillBlock(block);
      if (this.#finished()) break;
    }
    return this.#canvas;
  }

  async #fillBlock(block: number): Promise<void> {
    const { run, decode } = this.#plan;
    const range = run.blocks[block];
    const blockMasks = this.#masked(range.start, range.end).length;
    let blockForwards = 0;
    for (let blockStep = 0; !this.#finished() && this.#step !== run.steps; blockStep++) {
      throwIfAborted(this.#signal);
      const masked = this.#masked(range.start, range.end);
      if (masked.length === 0) return;
      const canvas = this.#canvas;
      const counts = { step: this.#step, blockStep, forwards: this.#forwards, blockForwards };
      const changed = this.#changed;
      const state = { ...counts, block, range, masked, blockMasks, canvas, changed };
      const decision = decode(state);
      if (decision === undefined) return;
      if (decision.commit === undefined && decision.choose === undefined) {
        // Nothing can change: no forward. The event loop still gets its turn, and the signal.
        await setImmediate();
        this.#emit({ step: this.#step, block, rows: 0, committed: [] });
      } else {
        this.#emit(await this.#forward(state, decision));
        blockForwards++;
        this.#forwards++;
      }
      this.#step++;
    }
  }

  async #forward(state: StepState, decision: Decision): Promise<TraceStep> {
    const request = this.#request(state, decision);
    const result = await this.#session.step(request, { signal: this.#signal });
    const queried = (request.query ?? []).length; // shadow rows follow
    const proposals = new Map<number, number>(); // position -> index into the result
    result.position.subarray(0, queried).forEach((position, i) => proposals.set(position, i));
    const commits = [...result.committed].map((position) => ({
      position,
      token: result.token[proposals.get(position)!],
    }));
    if (decision.choose !== undefined) commits.push(...this.#choose(state, decision, result));
    const committed = commits
      .sort((a, b) => a.position - b.position)
      .map(({ position, token }): TraceStep['committed'][number] => {
        this.#canvas[position] = token;
        const i = proposals.get(position);
        const proposed = i !== undefined && result.token[i] === token;
        return [position, token, proposed ? result.probability[i] : NaN];
      });
    this.#changed = Int32Array.from(committed, ([position]) => position);
    const { step, block } = state;
    return { step, block, rows: result.rows, committed, timing: result.timing };
  }

  #request(state: StepState, { request, commit }: Decision): StepRequest<never> {
    const { cache, sampling, suppress, cfgScale } = this.#plan;
    const { step, range, masked } = state;
    const { statistics, ...extras } = request ?? {};
    const suppressed = new Set([...suppress, ...(extras.suppress ?? [])]);
    const unconditional = this.#unconditional as never;
    const guidance = this.#unconditional && { unconditional, scale: cfgScale + 1 };
    return {
      query: masked,
      ...extras,
      ...cache.rows(state),
      suppress: Int32Array.from(suppressed).sort(),
      sampling: { ...sampling, statistics, step },
      guidance,
      commit: commit && { seed: sampling.seed, step, ...commit, within: range },
    };
  }

  /** Commits what the policy chose from the statistics. */
  #choose({ range }: StepState, decision: Decision, result: StepResult): Commit[] {
    const { mask } = this.#plan.run.tokens;
    const taken = new Set(result.committed);
    const commits = decision.choose!(result);
    for (const { position, token } of commits) {
      const inside = position >= range.start && position < range.end;
      const open = inside && this.#canvas[position] === mask && !taken.has(position);
      if (!open || token === mask) {
        throw new LacunaError(
          'INVALID_ARGUMENT',
          `decode: the policy's choose() put token ${token} at position ${position}; it may only put ` +
            `tokens other than MASK (${mask}) at masked positions from ${range.start} to ` +
            `${range.end - 1}, each once`,
        );
      }
      taken.add(position);
    }
    this.#session.commit(commits);
    this.#unconditional?.commit(commits);
    return commits;
  }

  #masked(start: number, end: number): Int32Array {
    const { mask } = this.#plan.run.tokens;
    const positions: number[] = [];
    for (let i = start; i < end; i++) if (this.#canvas[i] === mask) positions.push(i);
    return Int32Array.from(positions);
  }

  /** Everything is known up to the end of the answer. */
  #finished(): boolean {
    const { run, view, stopAtEos } = this.#plan;
    const answer = this.#canvas.subarray(run.prompt, run.prompt + view.maxTokens);
    const end = stopAtEos ? answerEnd(answer, view.ends) : answer.length;
    return !answer.subarray(0, end).includes(run.tokens.mask);
  }
}
