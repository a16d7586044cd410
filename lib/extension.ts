/** A running answer that is to become longer, and the plan that it goes on with. */
import { factsOf, named } from './decoding/named.js';
import type { Change, LengthPlan, Splice } from './decoding/policy.js';
import { LacunaError } from './errors.js';
import { planOf, type GenerationModel, type Plan, type Settings } from './plan.js';
import { integer } from './validate.js';

/** What a run goes on with. */
export interface Longer {
  plan: Plan;
  /** End tokens that are not final become masks again: where the answer ends is open. */
  changes: Change[];
  splices: Splice[];
}

export class Extension {
  readonly #model: GenerationModel;
  readonly #settings: Settings;
  #plan: Plan;
  #asked = 0;
  #over = false;

  /** @param plan of the run as it begins */
  constructor(model: GenerationModel, settings: Settings, plan: Plan) {
    this.#model = model;
    this.#settings = settings;
    this.#plan = plan;
  }

  get plan(): Plan {
    return this.#plan;
  }

  /** Most tokens of the answer, with what was asked for. */
  get maxTokens(): number {
    return this.#plan.view.maxTokens + this.#asked;
  }

  /** How many tokens more may be asked for; 0: none. */
  get room(): number {
    return this.#refusal === undefined ? Math.max(0, this.#most - this.maxTokens) : 0;
  }

  /** Something was asked for that the run does not know of yet. */
  get asked(): boolean {
    return this.#asked > 0;
  }

  /** Throws `INVALID_ARGUMENT`. */
  ask(tokens: number): number {
    const refusal = this.#refusal;
    if (refusal !== undefined) throw new LacunaError('INVALID_ARGUMENT', `extend: ${refusal}`);
    integer('extend: tokens', tokens, { min: 1, max: this.room });
    this.#planOf(this.maxTokens + tokens, this.#settings.length); // roles may refuse it
    this.#asked += tokens;
    return this.maxTokens;
  }

  /** The run has ended. */
  close(): void {
    this.#over = true;
  }

  /**
   * Goes on from a canvas with what was asked for.
   * @param stable so many tokens of the answer are final
   */
  next(canvas: Int32Array, stable: number): Longer {
    const { run, view, length } = this.#plan;
    const own = (position: number) =>
      position < run.prompt + stable || (length.fixed?.(position) ?? false);
    const end = Math.min(canvas.length, run.prompt + view.maxTokens);
    const changes: Change[] = [];
    for (let position = run.prompt + stable; position < end; position++) {
      if (view.ends.has(canvas[position]) && !own(position)) {
        changes.push({ position, token: run.tokens.mask });
      }
    }
    const answer = canvas.slice(run.prompt, end);
    for (const { position, token } of changes) answer[position - run.prompt] = token;
    this.#plan = this.#planOf(this.maxTokens, continued(this.#settings.length, answer, own));
    this.#asked = 0;
    const tokens = this.#plan.view.initial.slice(answer.length);
    const splice = { at: end, remove: canvas.length - end, tokens };
    const moved = splice.remove > 0 || tokens.length > 0;
    return { plan: this.#plan, changes, splices: moved ? [splice] : [] };
  }

  #planOf(maxTokens: number, length: LengthPlan): Plan {
    const { prompt } = this.#plan.view; // as token ids: it was made from its text already
    const plain = { bos: undefined, special: undefined, chat: undefined };
    return planOf(this.#model, prompt, { ...this.#settings, ...plain, maxTokens, length });
  }

  /** The longest answer whose canvas the context holds. */
  get #most(): number {
    const { context } = this.#model.info;
    if (context === 0) return Infinity;
    const { prompt } = this.#plan.run;
    let most = context - prompt;
    while (most > 0 && this.#settings.blocks(prompt, most).length > context) most--;
    return most;
  }

  get #refusal(): string | undefined {
    const { run, deadline } = this.#plan;
    const { decode, length } = run.policies;
    const { steps = run.steps } = (decode.options ?? {}) as { steps?: number };
    if (this.#over) return 'the answer is complete';
    if (deadline?.aborted) return 'the answer is being completed';
    if (length.traits.includes('holes')) return 'text with gaps is as long as its gaps';
    if (steps !== undefined) return `its ${steps} steps are shared out among the tokens it has`;
    return undefined;
  }
}

/** An answer of which so much is written. It gets all its masks, unless its plan appends them itself. */
function continued(
  plan: LengthPlan,
  answer: Int32Array,
  fixed: (position: number) => boolean,
): LengthPlan {
  const { name, options, traits } = factsOf(plan);
  const longer: LengthPlan = (run) => {
    const own = plan(run);
    const length = own.extend === undefined ? run.length - run.prompt : answer.length;
    const initial = Array.from({ length }, (_, i) => answer.at(i) ?? run.tokens.mask);
    return { ...own, prepare: undefined, initial, fixed };
  };
  return named(name, options, longer, traits);
}
