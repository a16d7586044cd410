/** Text: a generation, and of its frames whatever is final. */
import { answerEnd, type Frame } from '../../frames.js';
import { generate } from '../../generate.js';
import type { Generation, GenerationResult } from '../../generation.js';
import type { GenerateOptions, Prompt } from '../../plan.js';
import type { Job, Outcome, TokenLogprob } from '../answer.js';
import { observer, type Seen } from '../observe.js';
import { AnswerText } from '../text.js';
import { refinements } from '../settings.js';

/** How text ended that may go on in another way. */
export interface Written extends Outcome {
  text: string;
  /** The tokens of the answer that the client received. */
  ids: Int32Array;
  /** The text or token that ended it, of those that were to. */
  stopped: string | number | undefined;
}

export interface TextOptions {
  options: GenerateOptions;
  /** Texts that end the answer and are not part of it. */
  stop: readonly string[];
  /** A token that does the same. */
  stopToken?: number;
  /** Known from the beginning, with its probability: index of the answer to that. */
  drafted?: ReadonlyMap<number, number>;
}

/** What follows the prompt, or stands between it and a suffix, or fills holes. */
export function textWork(job: Job): Promise<Outcome> {
  const { wanted, engine, prompt, maxTokens } = job;
  const { stop, suffix } = wanted;
  const { template } = wanted.lacuna;
  if (template !== undefined) {
    const options = engine.holeSettings(wanted.options); // its length is its own
    return writeText(job, { prompt, segments: template }, { options, stop });
  }
  if (suffix === undefined) {
    const options = { ...engine.settings(wanted.options), maxTokens };
    return writeText(job, prompt, { options, stop });
  }
  const options = { ...engine.holeSettings(wanted.options), maxTokens };
  return writeText(job, { prefix: prompt, suffix }, { options, stop });
}

/** Starts at once, and throws at once what `generate` does. */
export function writeText(job: Job, prompt: Prompt, how: TextOptions): Promise<Written> {
  const { model, wanted, signal, seed, watch } = job;
  const looks = watch !== undefined || (wanted.logprobs ?? 0) > 0;
  const { refinement, seen } = observer(
    Math.max(watch ?? 0, wanted.logprobs ?? 0),
    wanted.lacuna.ahead,
  );
  const refine = [...refinements(how.options.refine), ...(looks ? [refinement] : [])];
  const run = generate(model, prompt, {
    ...how.options,
    ...{ seed, signal },
    ...(refine.length > 0 && { refine }),
  });
  return follow(job, run, seen, how);
}

/** Tells what is final of a run, frame by frame. */
export async function follow(
  { model, wanted, maxTokens, listener }: Pick<Job, 'model' | 'wanted' | 'maxTokens' | 'listener'>,
  run: Generation,
  seen: ReadonlyMap<number, Seen>,
  { stop, stopToken, drafted }: TextOptions,
): Promise<Written> {
  const text = new AnswerText(model.tokenizer, stop);
  const behind = wanted.suffix?.length ?? 0;
  const ends = new Set(run.shape.ends);
  if (stopToken !== undefined) ends.add(stopToken);
  const commits = new Commits(run.prompt.length, seen, drafted);
  let [forwards, slots, whole] = [0, maxTokens, ''];
  let firstForward: number | undefined;
  let ids = new Int32Array();
  let stopped: string | number | undefined;
  listener.started?.(run, seen);

  const push = (tokens: Int32Array, end: boolean): boolean => {
    const from = text.tokens;
    const piece = text.push(tokens, end);
    const told = wanted.logprobs !== undefined;
    const logprobs = told ? commits.of(tokens.subarray(0, text.tokens), from) : [];
    whole += piece.text;
    ids = tokens.slice(0, text.tokens);
    if (piece.text !== '' || logprobs.length > 0) listener.text(piece.text, logprobs);
    stopped ??= piece.stopped;
    return piece.stopped !== undefined;
  };

  const { pause = Infinity } = wanted.lacuna;
  let paused = false;
  for await (const frame of run) {
    ({ forwards } = frame);
    if (forwards > 0) firstForward ??= performance.now();
    slots = Math.max(slots, frame.tokens.length - behind);
    commits.note(frame);
    listener.frame?.(frame);
    const answer = frame.tokens.subarray(0, frame.tokens.length - behind);
    const end = Math.min(frame.stable, answerEnd(answer, ends));
    if (push(answer.subarray(0, end), false)) break;
    if (end < frame.stable && answer[end] === stopToken) {
      push(answer.subarray(0, end), true);
      stopped ??= stopToken;
      break;
    }
    paused = frame.step + 1 >= pause && frame.remaining > 0;
    if (paused) break;
  }
  const result = stopped === undefined && !paused ? await run.result : undefined;
  if (result !== undefined) push(answerOf(result, behind), true);
  const itself = result !== undefined && endsItself(result, behind);
  const finish = stopped !== undefined || itself ? 'stop' : 'length';
  const counts = { forwards, slots, tokens: text.tokens, firstForward };
  return { finish, result, ...counts, text: whole, ids, stopped };
}

/** Of an answer with a suffix, what stands before it. */
function answerOf({ tokens, holes }: GenerationResult, behind: number): Int32Array {
  return behind > 0 ? holes[0].tokens : tokens;
}

/** Or a template that has no gap left. */
function endsItself({ finishReason, holes }: GenerationResult, behind: number): boolean {
  if (behind > 0) return holes[0].ended === 'eos';
  return finishReason === 'eos' || finishReason === 'filled';
}

/** When each token of the answer was committed, and how sure the model was then. */
class Commits {
  readonly #first: number;
  readonly #seen: ReadonlyMap<number, Seen>;
  #probability: Float32Array = new Float32Array();
  readonly #step = new Map<number, number>();
  readonly #drafted: ReadonlyMap<number, number>;

  /** @param first canvas position of the answer's first token */
  constructor(
    first: number,
    seen: ReadonlyMap<number, Seen>,
    drafted: ReadonlyMap<number, number> = new Map(),
  ) {
    this.#first = first;
    this.#seen = seen;
    this.#drafted = drafted;
  }

  note({ probability, committed, step }: Frame): void {
    this.#probability = probability;
    for (const index of committed) this.#step.set(index, step);
  }

  /** Of the tokens of the answer from `from` on. */
  of(tokens: Int32Array, from: number): TokenLogprob[] {
    return Array.from(tokens.subarray(from), (token, i): TokenLogprob => {
      const position = from + i;
      const step = this.#step.get(position) ?? -1;
      const drafted = step < 0 ? this.#drafted.get(position) : undefined;
      const top = this.#seen.get(this.#first + position)?.top ?? [];
      return {
        token,
        logprob: logOf(drafted ?? this.#probability[position]),
        top: top.map((other) => ({ token: other.token, logprob: logOf(other.probability) })),
        ...{ step, position },
      };
    });
  }
}

/** JSON has no infinities; OpenAI's own least value is −9999. */
function logOf(probability: number): number {
  return probability > 0 ? Math.max(-9999, Math.log(probability)) : -9999;
}
