/** A loaded model: facts, tokenizer, sessions, steps, generation. */
import { LacunaError } from './errors.js';
import { generate } from './generate.js';
import type { Generation } from './generation.js';
import { fileTokenizer, modelInfo, type Attention, type ModelInfo } from './info.js';
import { call, finish, native } from './native.js';
import type { NativeFile, NativeLoadOptions, NativeModel } from './native.js';
import type { GenerateOptions, Prompt } from './plan.js';
import type { PlainPrompt } from './prompt.js';
import { object as writeObject } from './schema/object.js';
import type { JsonSchema, ObjectOptions, ObjectResult, StandardSchema } from './schema/types.js';
import { DiffusionSession, type StepOptions } from './session.js';
import { segmentsOf } from './template/hole.js';
import type { Hole, Template } from './template/types.js';
import type { Tokenizer } from './text/tokenizer.js';
import type { StepRequest, StepResult } from './types.js';
import {
  boolean,
  abortSignal,
  integer,
  invalid,
  knownKeys,
  list,
  object,
  oneOf,
  string,
} from './validate.js';

export type { Attention, ModelInfo };

const deviceNames = ['auto', 'cpu', 'cuda', 'ref'] as const;

export interface LoadOptions {
  /**
   * What computes. `'auto'` (default): the first NVIDIA card that can, else the CPU; the CPU when
   * `threads` or `isa` is set. `'cuda'` is the first card, `'cuda:1'` the second; `'ref'` the slow
   * reference that the others are tested against.
   */
  device?: (typeof deviceNames)[number] | `cuda:${number}`;
  /** CPU threads. Default: as many as cores. Results do not depend on it. */
  threads?: number;
  /** CPU instruction set: `'scalar'`, `'avx2'`, `'avx512'`, `'neon'`. Default: the best here. */
  isa?: string;
  /** Which keys a row sees. `'block-causal:8'` is `{ blockCausal: 8 }`. Default: as the file says. */
  attention?: Attention | `block-causal:${number}`;
  /** 1: row i − 1 predicts token i. Default: as the file or the architecture says. */
  shift?: 0 | 1;
  /** Token id of MASK. Default: as the file or the architecture says. */
  maskToken?: number;
  /** Pre-tokenizer instead of the file's: how text is cut into words. */
  pre?: string;
  /** Jinja chat template instead of the file's. */
  chatTemplate?: string;
  /** Ends the loading with `ABORTED`. */
  signal?: AbortSignal;
  /**
   * Bytes of the tensors that are ready, and all of them: rises, at most some 50 times a second, and
   * ends with `loaded === total`. An error thrown here ends the loading.
   */
  onProgress?: (progress: { loaded: number; total: number }) => void;
}

const loadOptionNames = [
  'device',
  'threads',
  'isa',
  'attention',
  'shift',
  'maskToken',
  'pre',
  'chatTemplate',
  'signal',
  'onProgress',
];

/**
 * Loads a GGUF file; of a split one (`-00001-of-0000N`), give any part.
 *
 * Models of the same file share their weights, on whichever threads of the process they are loaded:
 * from the second on, loading takes next to no time and memory. `device` and `isa` must be the same;
 * all other options may differ. The memory is free when the last of them is disposed of.
 *
 * Rejects with `FILE_ERROR`, `BAD_GGUF`, `UNSUPPORTED_ARCHITECTURE`, `UNSUPPORTED_TYPE`, `NO_CUDA`,
 * `NO_BINARY`, `OUT_OF_MEMORY`, `ABORTED`, and with `INVALID_ARGUMENT` for options that are
 * misspelt or out of range.
 */
export async function loadModel(path: string, options: LoadOptions = {}): Promise<Model> {
  string('path', path);
  knownKeys('load options', options, loadOptionNames);
  const nativeOptions = nativeLoadOptions(options);
  const signal = abortSignal('signal', options.signal);
  const text = {
    pre: optionalString('pre', options.pre),
    chatTemplate: optionalString('chatTemplate', options.chatTemplate),
  };
  const { onProgress } = options;
  if (onProgress !== undefined && typeof onProgress !== 'function') {
    invalid('onProgress', onProgress, 'a function');
  }
  const report = onProgress && ((loaded: number, total: number) => onProgress({ loaded, total }));
  const binding = native();
  const model = await finish(() => binding.load(path, nativeOptions, report), signal);
  return new Model(model, path, text);
}

function optionalString(name: string, value: unknown): string | undefined {
  return value === undefined ? undefined : string(name, value);
}

function nativeLoadOptions(options: LoadOptions): NativeLoadOptions {
  const { device = 'auto', threads, isa = '', attention, shift, maskToken } = options;
  const largest = 2 ** 31 - 1;
  return {
    ...deviceAndCard(device),
    threads: threads === undefined ? 0 : integer('threads', threads, { min: 1, max: 1024 }),
    isa: string('isa', isa),
    attentionBlock: attention === undefined ? -1 : attentionBlock(attention),
    logitShift: shift === undefined ? -1 : oneOf('shift', shift, [0, 1]),
    mask: maskToken === undefined ? -1 : integer('maskToken', maskToken, { min: 0, max: largest }),
  };
}

function deviceAndCard(device: unknown): Pick<NativeLoadOptions, 'device' | 'card'> {
  const [, card] = /^cuda:(\d{1,3})$/.exec(String(device)) ?? [];
  if (card !== undefined) return { device: 'cuda', card: Number(card) };
  const choices = [...deviceNames, 'cuda:N'] as const;
  const named = oneOf('device', device, choices);
  return named === 'cuda:N'
    ? invalid('device', device, 'a number after cuda:')
    : { device: named, card: 0 };
}

/** @internal 0 full, 1 causal, n block-causal. */
export function attentionBlock(attention: NonNullable<LoadOptions['attention']>): number {
  if (attention === 'full') return 0;
  if (attention === 'causal') return 1;
  const right = "'full', 'causal', { blockCausal: n } or 'block-causal:n'";
  const bounds = { min: 1, max: 2 ** 31 - 1 };
  if (typeof attention === 'string') {
    const [, n] = /^block-causal:(\d+)$/.exec(attention) ?? [];
    return n === undefined
      ? invalid('attention', attention, right)
      : integer('attention: block length', Number(n), bounds);
  }
  if (typeof attention !== 'object' || attention === null) {
    return invalid('attention', attention, right);
  }
  knownKeys('attention', attention, ['blockCausal']);
  return integer('attention.blockCausal', attention.blockCausal, bounds);
}

/**
 * Reads a GGUF file without loading it: metadata, tensors, the numbers of the model, and the memory
 * that it and its sessions will take, in all within 10 % of what is then measured. Rejects with
 * `FILE_ERROR`, `BAD_GGUF`, `UNSUPPORTED_TYPE`.
 *
 * @param options `lengths`: canvas lengths to give the memory for
 */
export async function inspectFile(
  path: string,
  options: { lengths?: ArrayLike<number> } = {},
): Promise<NativeFile> {
  string('path', path);
  knownKeys('inspect options', options, ['lengths']);
  const lengths = Int32Array.from(options.lengths ?? [], (length, i) =>
    integer(`lengths[${i}]`, length, { min: 1, max: largestLength }),
  );
  const binding = native();
  return finish(() => binding.inspect(path, lengths));
}

const largestLength = 2 ** 24;

/** One of the sessions of a common forward: with a request of its own, or the default one. */
export type StepItem =
  DiffusionSession | (StepRequest<DiffusionSession> & { session: DiffusionSession });

/** Those of `generate` that a template leaves open, and what goes around it. */
export interface InfillOptions
  extends
    Omit<GenerateOptions, 'maxTokens' | 'length' | 'stopAtEos'>,
    Pick<Template, 'prompt' | 'end'> {}

export type InfillValue = Hole | string | number;
export type InfillTag = (strings: TemplateStringsArray, ...values: InfillValue[]) => Generation;

/** Made by `loadModel`. */
export class Model implements AsyncDisposable {
  readonly info: ModelInfo;
  readonly #native: NativeModel;
  readonly #text: { pre?: string; chatTemplate?: string };
  #tokenizer: Tokenizer | undefined;
  #disposal: Promise<void> | undefined;

  /** @internal */
  constructor(model: NativeModel, path: string, text: { pre?: string; chatTemplate?: string }) {
    this.info = modelInfo(model, path);
    this.#native = model;
    this.#text = text;
  }

  /** @internal Steps can wait for each other: see `StepOptions.queue`. */
  readonly queues = true;

  /** Made on first use. Throws `UNSUPPORTED_TOKENIZER`; token ids work without one. */
  get tokenizer(): Tokenizer {
    this.#tokenizer ??= call(() =>
      fileTokenizer(this.#native.file(), this.#native.spec, this.#text),
    );
    return this.#tokenizer;
  }

  /**
   * A canvas of `length` masks. Throws `OUT_OF_MEMORY`, `DISPOSED`, and `INVALID_ARGUMENT` if the
   * model has no mask token.
   */
  createSession(options: { length: number }): DiffusionSession {
    knownKeys('session options', options, ['length']);
    const length = integer('length', options.length, { min: 1, max: largestLength });
    if (this.info.tokens.mask === undefined && !this.disposed) {
      throw new LacunaError(
        'INVALID_ARGUMENT',
        `${this.info.file.path} names no mask token; set the load option maskToken`,
      );
    }
    return new DiffusionSession(
      this,
      call(() => this.#native.createSession(length)),
    );
  }

  /** Memory that a session of `length` positions takes, in bytes. */
  sessionBytes(length: number): number {
    integer('length', length, { min: 1, max: largestLength });
    return call(() => this.#native.sessionBytes(length));
  }

  /**
   * One forward for several sessions of this model, which share the work on the weights. Results
   * come in the order of the items and are those of separate steps.
   *
   * Rejects like `session.step`, and then no session has changed.
   */
  async step(items: readonly StepItem[], options: StepOptions = {}): Promise<StepResult[]> {
    knownKeys('step options', options, ['signal', 'queue']);
    const signal = abortSignal('signal', options.signal);
    const queue = boolean('queue', options.queue ?? false);
    const given = list('items', items, 'an array of sessions or requests');
    const parts = given.map((item, i) => this.#part(`items[${i}]`, item));
    const steps = parts.map(({ session, request }) => session.resolve(request));
    const results = await finish(() => this.#native.step(steps, queue), signal);
    return results.map((result, i) => parts[i].session.accept(parts[i].request, result));
  }

  #part(name: string, item: unknown) {
    const { session, ...request } =
      item instanceof DiffusionSession ? { session: item } : object(name, item);
    if (!(session instanceof DiffusionSession)) invalid(`${name}.session`, session, 'a session');
    if (session.model !== this) {
      throw new LacunaError('INVALID_ARGUMENT', `${name}: the session belongs to another model`);
    }
    return { session, request: request as StepRequest<DiffusionSession> };
  }

  /**
   * Fills an answer after the prompt: text, chat messages or token ids; of a template, the holes. The
   * run starts at once; iterate over its frames, or await its `result`. See `GenerateOptions`.
   */
  generate(prompt: Prompt, options: GenerateOptions = {}): Generation {
    if (this.disposed) throw new LacunaError('DISPOSED', 'the model was disposed of');
    return generate(this, prompt, options);
  }

  /**
   * A value that fits a Standard Schema with JSON Schema export (Zod ≥ 4.2), or a JSON Schema. See
   * `ObjectOptions`. It parses and fits whatever the model is; what it says is up to the model.
   *
   * Rejects with `INVALID_ARGUMENT` for a keyword that is not supported, which it names with its path,
   * for a schema that leaves no value, and for a prompt and answer longer than the model's context.
   */
  object<Output>(
    schema: StandardSchema<Output>,
    prompt: PlainPrompt,
    options?: ObjectOptions,
  ): Promise<ObjectResult<Output>>;
  object<Output = unknown>(
    schema: JsonSchema,
    prompt: PlainPrompt,
    options?: ObjectOptions,
  ): Promise<ObjectResult<Output>>;
  async object(
    schema: JsonSchema | StandardSchema,
    prompt: PlainPrompt,
    options: ObjectOptions = {},
  ): Promise<ObjectResult<unknown>> {
    if (this.disposed) throw new LacunaError('DISPOSED', 'the model was disposed of');
    return writeObject(this, schema, prompt, options);
  }

  /**
   * Fills the holes of a template; the text around them stays as it is. Alone it is a tag,
   * `` model.infill`${hole()} and ${hole({ max: 8 })}` ``; with options it returns one,
   * `` model.infill({ prompt, decode })`…` ``. Values that are no holes are text.
   *
   * The run is one of `generate`; its result also has `holes`. Throws like `generate`.
   */
  infill(options: InfillOptions): InfillTag;
  infill(strings: TemplateStringsArray, ...values: InfillValue[]): Generation;
  infill(
    first: InfillOptions | TemplateStringsArray,
    ...values: InfillValue[]
  ): InfillTag | Generation {
    if ('raw' in first) return this.generate({ segments: segmentsOf(first, values) });
    const { prompt, end, ...options } = first;
    return (strings, ...values) =>
      this.generate({ prompt, end, segments: segmentsOf(strings, values) }, options);
  }

  get disposed(): boolean {
    return this.#disposal !== undefined;
  }

  /**
   * Frees all sessions, and the weights unless other models share them. Running steps reject with
   * `DISPOSED` first.
   * @returns resolves when the memory is free; the same promise on later calls
   */
  dispose(): Promise<void> {
    this.#disposal ??= this.#native.dispose();
    return this.#disposal;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }
}
