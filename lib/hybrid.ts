/** A diffusion model plans, an autoregressive one writes: two runs of `generate`, one after the other. */
import { Stream, uniform } from './decoding/philox.js';
import type { Frame } from './frames.js';
import { generate } from './generate.js';
import type { Generation, GenerationResult } from './generation.js';
import type { GenerateOptions, GenerationModel } from './plan.js';
import type { PlainPrompt } from './prompt.js';
import { abortSignal, integer, invalid, knownKeys, object, string } from './validate.js';

/** One of the two models, and how it works. */
export interface HybridRole {
  model: GenerationModel;
  /**
   * The prompt of this role. For the planner from the question, for the writer from question and plan.
   * Default: chat messages where the model's file has a chat template, else text; see `hybrid`.
   */
  prompt?: (question: string, plan: string) => PlainPrompt;
  /** Options of its `generate`. `maxTokens` defaults to 64 for the planner. */
  options?: Omit<GenerateOptions, 'signal'>;
}

export interface HybridOptions {
  /** Makes the plan: usually a diffusion model. */
  planner: HybridRole | GenerationModel;
  /** Writes the answer: usually an autoregressive model. May be the same one. */
  writer: HybridRole | GenerationModel;
  /**
   * Changes the plan before the writer sees it; `undefined` leaves it out of the writer's prompt.
   * Controls: `() => undefined` is the writer alone, `shufflePlan(seed)` a plan without its order.
   */
  revise?: (plan: string) => string | undefined;
}

/** A frame of one of the two runs. */
export interface HybridFrame extends Frame {
  readonly phase: 'plan' | 'answer';
}

export interface HybridResult {
  /** The answer. */
  text: string;
  /** What the planner wrote. */
  plan: string;
  /** What the writer saw of it. */
  revised: string | undefined;
  /** Of both models, and together. */
  forwards: { plan: number; answer: number; total: number };
  /** The two results. */
  runs: { plan: GenerationResult; answer: GenerationResult };
}

/**
 * A running hybrid: iterate over the frames of both phases, or await `result`. It starts at once and runs
 * to its end; leaving an iteration early, disposing, or the signal end it with `ABORTED`.
 */
export class HybridGeneration implements AsyncIterable<HybridFrame> {
  readonly result: Promise<HybridResult>;
  readonly #controller = new AbortController();
  readonly #plan: Generation;
  readonly #answer: Promise<Generation>;

  /** @internal */
  constructor(roles: Roles, question: string, signal: AbortSignal | undefined) {
    const given = signal === undefined ? [] : [signal];
    const both = AbortSignal.any([this.#controller.signal, ...given]);
    const { planner, writer, revise } = roles;
    this.#plan = start(planner, question, '', both);
    const revised = this.#plan.result.then(({ text }) => revise(text.trim()));
    this.#answer = revised.then((plan) => start(writer, question, plan ?? '', both));
    this.result = this.#finish(revised);
    for (const promise of [revised, this.#answer, this.result]) promise.catch(() => {});
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<HybridFrame, void, undefined> {
    try {
      for await (const frame of this.#plan) yield of('plan', frame);
      for await (const frame of await this.#answer) yield of('answer', frame);
      await this.result;
    } finally {
      await this[Symbol.asyncDispose]();
    }
  }

  /** Ends the run if it is not done, and waits until its sessions are freed. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#controller.abort(new Error('the generation was closed by its caller'));
    await this.result.catch(() => {});
  }

  async #finish(revised: Promise<string | undefined>): Promise<HybridResult> {
    const plan = await this.#plan.result;
    const answer = await (await this.#answer).result;
    const forwards = { plan: plan.forwards, answer: answer.forwards };
    return {
      text: answer.text,
      plan: plan.text.trim(),
      revised: await revised,
      forwards: { ...forwards, total: forwards.plan + forwards.answer },
      runs: { plan, answer },
    };
  }
}

/** Two models as one. */
export interface Hybrid {
  /** Plans, then writes. Throws for a planner that cannot take the question; see `generate`. */
  generate(question: string, options?: { signal?: AbortSignal }): HybridGeneration;
}

interface Role {
  model: GenerationModel;
  prompt: (question: string, plan: string) => PlainPrompt;
  options: Omit<GenerateOptions, 'signal'>;
}

interface Roles {
  planner: Role;
  writer: Role;
  revise: (plan: string) => string | undefined;
}

/**
 * A diffusion model makes the plan or the reasoning, an autoregressive model of the same engine (causal
 * attention, block length 1, shift 1) writes the answer from it. Both may be the same model.
 *
 * The hand-over is text: the planner sees the question and writes at most 64 tokens, the writer sees the
 * question and what the planner wrote. By default the prompts are
 *
 *     planner   Question: {question}\nPlan:
 *     writer    Question: {question}\nPlan: {plan}\nAnswer:      without a plan: no such line
 *
 * and for files with a chat template the same as a message of the user, with an instruction.
 *
 * Source: Planner and Executor (arXiv 2510.15244), its text-space variant with 64 plan tokens; the
 * prompts are ours. Throws `INVALID_ARGUMENT`.
 */
export function hybrid(options: HybridOptions): Hybrid {
  knownKeys('hybrid()', options, ['planner', 'writer', 'revise']);
  const { revise = (plan: string) => plan } = options;
  if (typeof revise !== 'function') invalid('hybrid(): revise', revise, 'a function of the plan');
  const roles = {
    planner: roleOf('planner', options.planner, planPrompt, { maxTokens: 64 }),
    writer: roleOf('writer', options.writer, answerPrompt, {}),
    revise,
  };
  return {
    generate: (question, run = {}) => {
      string('question', question);
      knownKeys('hybrid generate options', run, ['signal']);
      return new HybridGeneration(roles, question, abortSignal('signal', run.signal));
    },
  };
}

/** For `revise`: the words of the plan in a random order, the same for the same seed. */
export function shufflePlan(seed = 0): (plan: string) => string {
  integer('shufflePlan(seed)', seed, { min: 0 });
  return (plan) =>
    plan
      .split(/\s+/)
      .map((word, i) => ({ word, key: uniform(seed, i, 0, Stream.order) }))
      .sort((a, b) => a.key - b.key)
      .map(({ word }) => word)
      .join(' ');
}

function roleOf(
  name: 'planner' | 'writer',
  given: HybridRole | GenerationModel,
  prompt: (model: GenerationModel) => Role['prompt'],
  usual: GenerateOptions,
): Role {
  const role = 'info' in object(`hybrid(): ${name}`, given) ? { model: given } : given;
  const { model, options, ...rest } = (role ?? {}) as HybridRole;
  knownKeys(`hybrid(): ${name}`, role, ['model', 'prompt', 'options']);
  if (model?.info === undefined) invalid(`hybrid(): ${name}`, model, 'a model, or { model }');
  if (rest.prompt !== undefined && typeof rest.prompt !== 'function') {
    invalid(
      `hybrid(): ${name}.prompt`,
      rest.prompt,
      'a function from question and plan to a prompt',
    );
  }
  const all = { ...usual, ...object(`hybrid(): ${name}.options`, options) };
  return { model, prompt: rest.prompt ?? prompt(model), options: all };
}

const planPrompt = (model: GenerationModel) => (question: string) =>
  worded(
    model,
    `Question: ${question}`,
    'Write a short plan for the answer: what to say, step by step.',
    'Plan:',
  );

const answerPrompt = (model: GenerationModel) => (question: string, plan: string) => {
  const known = plan === '' ? '' : `\nPlan: ${plan}`;
  const order = plan === '' ? 'Answer it.' : 'Answer it by the plan.';
  return worded(model, `Question: ${question}${known}`, order, 'Answer:');
};

/** As a message for a model with a chat template, else as text to go on with. */
function worded(
  { tokenizer }: GenerationModel,
  facts: string,
  order: string,
  opening: string,
): PlainPrompt {
  if (tokenizer.chatTemplate === undefined) return `${facts}\n${opening}`;
  return [{ role: 'user', content: `${facts}\n\n${order}` }];
}

function start(
  { model, prompt, options }: Role,
  question: string,
  plan: string,
  signal: AbortSignal,
) {
  return generate(model, prompt(question, plan), { ...options, signal });
}

function of(phase: HybridFrame['phase'], frame: Frame): HybridFrame {
  // `text` is made on demand.
  return Object.defineProperties({ phase } as HybridFrame, Object.getOwnPropertyDescriptors(frame));
}
