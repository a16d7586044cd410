/** The addon, typed one to one. Everything above works with these plain values only. */
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { SoftMaskParameters } from './decoding/soft-masking.js';
import { LacunaError, type LacunaErrorCode } from './errors.js';

export interface NativeLoadOptions {
  device: 'auto' | 'cpu' | 'ref' | 'cuda';
  /** Of `'cuda'`, among the machine's cards. */
  card: number;
  /** 0: as many as cores. */
  threads: number;
  /** '' = the best of this machine. */
  isa: string;
  /** Negative numbers: what the file says. */
  attentionBlock: number;
  logitShift: number;
  mask: number;
}

export interface NativeSpec {
  architecture: string;
  name: string;
  layers: number;
  dim: number;
  heads: number;
  kvHeads: number;
  headDim: number;
  ffn: number;
  vocabulary: number;
  context: number;
  experts: number;
  expertsUsed: number;
  expertFfn: number;
  attentionBlock: number;
  logitShift: number;
  /** Present when the file names them. */
  softMask?: SoftMaskParameters;
  /** Token ids; −1: absent. */
  mask: number;
  bos: number;
  eos: number;
  eot: number;
  pad: number;
  tiedHead: boolean;
  parameters: number;
}

export interface NativeTensor {
  name: string;
  type: string;
  /** Fastest dimension first, as in the file. */
  shape: number[];
  bytes: number;
}

/** Metadata values; string arrays come packed, so that 126,464 tokens cross in one piece. */
export type NativeValue =
  string | number | bigint | boolean | Float64Array | { strings: Uint8Array; offsets: Uint32Array };

export interface NativeFile {
  path: string;
  version: number;
  fileBytes: number;
  metadata: Record<string, NativeValue>;
  tensors: NativeTensor[];
  /** Absent when the architecture is unknown. */
  spec?: NativeSpec;
  /** Why the file cannot be loaded. */
  specError?: { code: string; message: string };
  /** Present when the file can be loaded. */
  memory?: NativeMemory;
}

/** An NVIDIA card. */
export interface NativeCard {
  /** The number in `device: 'cuda:N'`. */
  index: number;
  name: string;
  /** `'8.9'` */
  computeCapability: string;
  totalBytes: number;
  freeBytes: number;
  /** Why models cannot run on it; absent when they can. */
  problem?: string;
}

/** What this machine has for `device: 'cuda'`. */
export interface NativeDevices {
  /** What the NVIDIA driver speaks: `'CUDA 13.0'`; absent when there is no driver. */
  driver?: string;
  /** Why no card can be used; absent when it depends on the card. */
  problem?: string;
  cards: NativeCard[];
}

/** What a model will take in memory, in bytes. */
export interface NativeMemory {
  /** The one that `'auto'` chooses: `'cpu'` or `'cuda'`. */
  device: string;
  /** In its layout. */
  weights: number;
  /** (lengths) K/V rows and canvas of a session of each length asked for. */
  caches: Float64Array;
  /** (lengths) working memory of a step over that length; sessions of one model share it. */
  activations: Float64Array;
}

/** Work on a native thread. */
export interface NativeTask<T> {
  promise: Promise<T>;
  /** For `cancel`. */
  id: number;
}

export interface NativeStep {
  session: NativeSession;
  rows: Int32Array;
  visible: Int32Array;
  query: Int32Array;
  /** −1: `query` holds. Else the positions from here to before `maskedTo` that hold MASK. */
  maskedFrom: number;
  maskedTo: number;
  shadow: Int32Array;
  unconditional: NativeSession | null;
  guidance: number;
  soft: {
    position: Int32Array;
    alpha: Float32Array;
    token: Int32Array;
    weight: Float32Array;
  } | null;
  credit: { position: Int32Array; token: Int32Array; value: Float32Array } | null;
  temperature: number;
  topK: number;
  topP: number;
  tempered: boolean;
  seed: number;
  step: number;
  suppress: Int32Array;
  allow: Int32Array;
  /** In place of the step's own sets; no position twice. */
  limits: { positions: Int32Array; suppress: Int32Array; allow: Int32Array }[];
  unchosen: Int32Array;
  unscored: Int32Array;
  probe: Int32Array;
  list: number;
  kl: boolean;
  logits: boolean;
  commit: NativeCommit | null;
}

export interface NativeCommit {
  score: 'probability' | 'margin' | 'negEntropy' | 'random' | 'position';
  select: 'topK' | 'threshold' | 'factor' | 'entropyBound' | 'all';
  k: number;
  tau: number;
  strict: boolean;
  min: number;
  factor: number;
  literal: boolean;
  gamma: number;
  begin: number;
  end: number;
  bias: Float32Array | null;
  seed: number;
  step: number;
}

export interface NativeStepResult {
  position: Int32Array;
  token: Int32Array;
  probability: Float64Array;
  margin: Float64Array;
  entropy: Float64Array;
  /** These five are absent if they are empty. */
  topToken?: Int32Array;
  topProbability?: Float32Array;
  probe?: Float32Array;
  kl?: Float32Array;
  logits?: Float32Array;
  committed: Int32Array;
  rows: number;
  /** Milliseconds: embed, norm, linear, rope, attend, moe, head, commit, total. */
  timing: Float64Array;
}

export interface NativeSession {
  readonly length: number;
  /** A copy of the canvas; during a step, of the canvas as the step found it. */
  tokens(): Int32Array;
  /** Throws BUSY, DISPOSED; so does `fork`. */
  set(position: number, tokens: Int32Array): void;
  fork(): NativeSession;
  /** A step that uses the session rejects with DISPOSED; the memory is freed after it. */
  dispose(): void;
}

export interface NativeModel {
  readonly spec: NativeSpec;
  /** `'cpu (AVX2, 2 threads)'`; the first word is the device. */
  readonly backend: string;
  readonly weightBytes: number;
  /** Of all parts. */
  readonly fileBytes: number;
  /** Metadata and tensors alone. */
  file(): NativeFile;
  createSession(length: number): NativeSession;
  sessionBytes(length: number): number;
  /** @param queue wait for running steps of the sessions, instead of BUSY */
  step(items: NativeStep[], queue: boolean): NativeTask<NativeStepResult[]>;
  /** Resolves when running work has ended and the memory is free. Sessions die with it. */
  dispose(): Promise<void>;
}

/** What the arithmetic units do at most: 10⁹ operations a second over all threads. */
export interface NativePeak {
  isa: string;
  int8: number;
  f32: number;
}

/** Where everything lies in a file; of a split one all parts. */
export interface NativeLayout {
  /** Paths of the files. */
  parts: string[];
  /** Keys in file order, each with its type and value as they lie in the file. */
  metadata: [key: string, value: Uint8Array][];
  /** `offset`: of the first byte in file number `part`. */
  tensors: (NativeTensor & { part: number; offset: number })[];
  /** `general.alignment`, where the file has it. */
  alignment?: number;
}

/** Tensor data as another type. */
export interface NativeEncoded {
  data: Uint8Array;
  /** Σ value² */
  power: number;
  /** Σ (value − decoded value)² */
  error: number;
  /** First value that is not finite or that the type cannot hold, −1 if all are well. */
  bad: number;
}

export interface NativeBinding {
  /** ISAs usable on this machine, best first. */
  isas(): string[];
  /** Of every usable ISA, best first. `threads` 0: as many as cores. */
  peaks(threads: number): NativeTask<NativePeak[]>;
  inspect(path: string, lengths?: Int32Array): NativeTask<NativeFile>;
  layout(path: string): NativeTask<NativeLayout>;
  devices(): NativeTask<NativeDevices>;
  /**
   * Decodes rows of one tensor type and encodes them as another; the same type is copied.
   * @param data whole rows of `columns` elements; copied at once
   * @param threads 0: as many as cores
   */
  encode(
    from: string,
    to: string,
    columns: number,
    data: Uint8Array,
    threads: number,
  ): NativeTask<NativeEncoded>;
  /** A `progress` that throws ends the loading with that error. */
  load(
    path: string,
    options: NativeLoadOptions,
    progress?: (done: number, total: number) => void,
  ): NativeTask<NativeModel>;
  /** Makes a task fail with ABORTED soon; does nothing if it has ended. */
  cancel(id: number): void;
  /** All weights that this process holds, on every thread; those that models share count once. */
  weightsHeld(): { count: number; bytes: number };
  /** Runs a commit rule on given statistics and a canvas; writes the canvas. For cross-checks. */
  applyRule(
    rule: NativeCommit,
    canvas: Int32Array,
    mask: number,
    statistics: {
      position: Int32Array;
      token: Int32Array;
      probability: Float64Array;
      margin: Float64Array;
      entropy: Float64Array;
    },
  ): Int32Array;
}

let binding: NativeBinding | undefined;

/** Loads the addon on first use. Throws NO_BINARY with what was looked for. */
export function native(): NativeBinding {
  binding ??= loadBinding();
  return binding;
}

function loadBinding(): NativeBinding {
  const require = createRequire(import.meta.url);
  const root = packageRoot();
  try {
    const nodeGypBuild = require('node-gyp-build') as (dir: string) => NativeBinding;
    return nodeGypBuild(root);
  } catch (cause) {
    throw new LacunaError(
      'NO_BINARY',
      `No native binary for ${process.platform}-${process.arch} (Node ${process.versions.node}) in ` +
        `${join(root, 'prebuilds')} or ${join(root, 'build', 'Release')}. Install a release that carries ` +
        'one for this platform, or build it in a source checkout with `npm run build:native`.',
      { cause },
    );
  }
}

/** lib/ and dist/ both lie directly below the package root. */
function packageRoot(): string {
  return dirname(dirname(fileURLToPath(import.meta.url)));
}

const nativeCodes: readonly string[] = [
  'BAD_GGUF',
  'FILE_ERROR',
  'UNSUPPORTED_ARCHITECTURE',
  'UNSUPPORTED_TYPE',
  'OUT_OF_MEMORY',
  'INVALID_ARGUMENT',
  'BUSY',
  'DISPOSED',
  'ABORTED',
  'NO_CUDA',
  'INTERNAL',
] satisfies LacunaErrorCode[];

/** What native code threw, as a `LacunaError`; anything else (an error of a callback) as it is. */
function translated(error: unknown): unknown {
  if (!(error instanceof Error) || LacunaError.isInstance(error)) return error;
  const { code } = error as { code?: unknown };
  if (typeof code !== 'string' || !nativeCodes.includes(code)) return error;
  return new LacunaError(code as LacunaErrorCode, error.message);
}

/** Makes a native call whose errors are `LacunaError`s. */
export function call<T>(body: () => T): T {
  try {
    return body();
  } catch (error) {
    throw translated(error);
  }
}

/** Starts a native task and waits for it; the signal cancels it and then is the error's cause. */
export async function finish<T>(start: () => NativeTask<T>, signal?: AbortSignal): Promise<T> {
  throwIfAborted(signal);
  const task = call(start);
  const cancel = () => native().cancel(task.id);
  signal?.addEventListener('abort', cancel, { once: true });
  try {
    return await task.promise;
  } catch (error) {
    const failure = translated(error);
    if (LacunaError.isInstance(failure) && failure.code === 'ABORTED') throwIfAborted(signal);
    throw failure;
  } finally {
    signal?.removeEventListener('abort', cancel);
  }
}

function throwIfAborted(signal: AbortSignal | undefined): void {
  if (!signal?.aborted) return;
  throw new LacunaError('ABORTED', 'aborted by the signal', { cause: signal.reason });
}
