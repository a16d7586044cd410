/** A GGUF file with its matrices in other types. */
import { open, realpath, type FileHandle } from 'node:fs/promises';
import { LacunaError } from '../errors.js';
import { finish, native, type NativeEncoded, type NativeLayout } from '../native.js';
import { abortSignal, integer, invalid, knownKeys, oneOf, string } from '../validate.js';
import { mixes, mixNames, planTypes, type Mix, type PlannedType } from './mixes.js';
import { oneAhead } from './one-ahead.js';
import { encode, pieceElements } from './quantise.js';
import { tensorTypes, type TensorType } from './types.js';
import { writeGguf, type GgufTensor, type MetadataValue } from './writer.js';

export interface QuantiseFileOptions {
  /** What the file is to be: `'Q4_K_M'`. */
  type: Mix;
  /** Default: as many as cores. The file does not depend on it. */
  threads?: number;
  /** Ends the work with `ABORTED`; nothing is left of the file. */
  signal?: AbortSignal;
  /**
   * Bytes of the file that are written, and all of them: rises, and ends with `written === total`. An
   * error thrown here ends the work.
   */
  onProgress?: (progress: { written: number; total: number }) => void;
}

/** What became of a tensor. */
export interface QuantisedTensor {
  name: string;
  /** Fastest dimension first. */
  shape: number[];
  from: TensorType;
  to: TensorType;
  /** What the mix says, where the rows are no multiple of that type's block size. */
  wanted?: TensorType;
  /** As written. */
  bytes: number;
  /** Root mean square of new − old value. */
  rms: number;
  /** `rms` ÷ root mean square of the old values. */
  relative: number;
}

/** What {@link quantiseFile} wrote. */
export interface QuantisedFile {
  path: string;
  type: Mix;
  /** Of the whole file; of the one it was made from, with all its parts. */
  bytes: number;
  sourceBytes: number;
  /** In file order. */
  tensors: QuantisedTensor[];
  /** Over all elements of the matrices. */
  rms: number;
  relative: number;
}

/**
 * Writes a model with its matrices in other types: those that a mix such as `Q4_K_M` gives each of
 * them. Norms, biases and routers, all other metadata and the tokenizer stay as they are. The source
 * may be split (give any part), and of any types; what a quantised source lost stays lost, and
 * errors are counted from its values.
 *
 * Everything is streamed: some 100 MB are in memory at a time. The file grows under another name and
 * appears at `output` when it is whole; one that is there is replaced.
 *
 * Rejects with `INVALID_ARGUMENT` (also for a number that is not finite or too large for the type,
 * by tensor and index), `FILE_ERROR`, `BAD_GGUF`, `UNSUPPORTED_TYPE`, `ABORTED`.
 */
export async function quantiseFile(
  input: string,
  output: string,
  options: QuantiseFileOptions,
): Promise<QuantisedFile> {
  string('input', input);
  string('output', output);
  const { type, threads, signal, onProgress } = checked(options);
  const layout = await finish(() => native().layout(input), signal);
  await checkPaths(layout.parts, output);
  const types = planTypes(type, layout.tensors);
  const sources = new Sources(layout.parts);
  try {
    const sums = new Map<string, Sums>();
    const tensors = layout.tensors.map((tensor, i): GgufTensor => {
      const to = types[i].type ?? (tensor.type as TensorType);
      const total: Sums = { power: 0, error: 0 };
      sums.set(tensor.name, total);
      const data = () => tensorData(sources, tensor, to, total, { threads, signal });
      return { name: tensor.name, type: to, shape: tensor.shape, data };
    });
    const contents = { metadata: metadata(layout, type), tensors, alignment: layout.alignment };
    const bytes = await writeGguf(output, contents, { signal, onProgress });
    const sourceBytes = await sources.bytes();
    const lines = layout.tensors.map((tensor, i) =>
      report(tensor, types[i], sums.get(tensor.name)!),
    );
    return {
      path: output,
      type,
      bytes,
      sourceBytes,
      tensors: lines,
      ...overall(layout, types, sums),
    };
  } finally {
    await sources.close();
  }
}

function checked(options: QuantiseFileOptions) {
  knownKeys('quantise options', options, ['type', 'threads', 'signal', 'onProgress']);
  const { type, threads, onProgress } = options;
  if (onProgress !== undefined && typeof onProgress !== 'function')
    invalid('onProgress', onProgress, 'a function');
  return {
    type: oneOf('type', type, mixNames),
    threads: threads === undefined ? 0 : integer('threads', threads, { min: 1, max: 1024 }),
    signal: abortSignal('signal', options.signal),
    onProgress,
  };
}

/** A quantised file in the place of what it was made from would be a loss that nobody can undo. */
async function checkPaths(parts: readonly string[], output: string): Promise<void> {
  const target = await realpath(output).catch(() => undefined); // usually not there yet
  for (const part of parts)
    if (target !== undefined && (await realpath(part)) === target)
      throw new LacunaError(
        'INVALID_ARGUMENT',
        `output is ${output}, which is the input; must be another file`,
      );
}

/** Keys that say how the file is cut up, or that the writer writes. */
const dropped = ['split.no', 'split.count', 'split.tensors.count', 'general.alignment'];

function metadata({ metadata: keys }: NativeLayout, type: Mix): Record<string, MetadataValue> {
  const kept = keys
    .filter(([key]) => !dropped.includes(key))
    .map(([key, value]): [string, MetadataValue] => [key, { type: 'raw', value }]);
  return {
    ...Object.fromEntries(kept),
    'general.file_type': mixes[type].id,
    'general.quantization_version': 2,
  };
}

/** Σ value², and Σ of what they lost, squared. */
type Sums = Pick<NativeEncoded, 'power' | 'error'>;

/** The data of a tensor in another type; while a piece is written, the next one is encoded. */
async function* tensorData(
  sources: Sources,
  { name, type, shape, part, offset }: NativeLayout['tensors'][number],
  to: TensorType,
  sums: Sums,
  options: { threads: number; signal?: AbortSignal },
): AsyncGenerator<Uint8Array, void, undefined> {
  const from = type as TensorType;
  const { blockSize, blockBytes } = tensorTypes[from];
  const columns = shape[0];
  const elements = count(shape);
  const step = Math.max(1, Math.floor(pieceElements / columns)) * columns;
  const bytesOf = (n: number): number => (n / blockSize) * blockBytes;
  const piece = async (first: number): Promise<NativeEncoded> => {
    const n = Math.min(step, elements - first);
    const data = await sources.read(part, offset + bytesOf(first), bytesOf(n));
    const where = { name: `${sources.paths[part]}: tensor ${name}`, first };
    return encode(from, to, columns, data, { ...options, ...where });
  };
  function* pieces(): Iterable<() => Promise<NativeEncoded>> {
    for (let first = 0; first < elements; first += step) yield () => piece(first);
  }
  for await (const { data, power, error } of oneAhead(pieces())) {
    sums.power += power;
    sums.error += error;
    yield data;
  }
}

const count = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);

/** The files of the source, opened when they are first read. */
class Sources {
  readonly #handles = new Map<number, FileHandle>();

  constructor(readonly paths: readonly string[]) {}

  async read(part: number, offset: number, bytes: number): Promise<Uint8Array> {
    const data = new Uint8Array(bytes);
    await this.#use(part, async (handle) => {
      for (let done = 0; done < bytes;) {
        const { bytesRead } = await handle.read(data, done, bytes - done, offset + done);
        if (bytesRead === 0) throw new Error('it became shorter while it was read');
        done += bytesRead;
      }
    });
    return data;
  }

  /** Of all parts. */
  async bytes(): Promise<number> {
    let sum = 0;
    for (const part of this.paths.keys())
      await this.#use(part, async (handle) => {
        sum += (await handle.stat()).size;
      });
    return sum;
  }

  async #use(part: number, body: (handle: FileHandle) => Promise<void>): Promise<void> {
    const path = this.paths[part];
    try {
      let handle = this.#handles.get(part);
      if (!handle) this.#handles.set(part, (handle = await open(path, 'r')));
      await body(handle);
    } catch (cause) {
      throw new LacunaError('FILE_ERROR', `${path}: cannot read: ${String(cause)}`, { cause });
    }
  }

  async close(): Promise<void> {
    for (const handle of this.#handles.values()) await handle.close();
  }
}

const root = (error: number, n: number): number => Math.sqrt(error / n);
const share = ({ error, power }: Sums): number => (error > 0 ? Math.sqrt(error / power) : 0);

function report(
  { name, shape, type }: NativeLayout['tensors'][number],
  planned: PlannedType,
  sums: Sums,
): QuantisedTensor {
  const from = type as TensorType;
  const to = planned.type ?? from;
  const { blockSize, blockBytes } = tensorTypes[to];
  return {
    name,
    shape,
    from,
    to,
    ...(planned.wanted && { wanted: planned.wanted }),
    bytes: (count(shape) / blockSize) * blockBytes,
    rms: root(sums.error, count(shape)),
    relative: share(sums),
  };
}

function overall(
  { tensors }: NativeLayout,
  types: readonly PlannedType[],
  sums: ReadonlyMap<string, Sums>,
): { rms: number; relative: number } {
  const all: Sums = { power: 0, error: 0 };
  let elements = 0;
  tensors.forEach(({ name, shape }, i) => {
    if (types[i].type === undefined) return;
    const { power, error } = sums.get(name)!;
    all.power += power;
    all.error += error;
    elements += count(shape);
  });
  return { rms: elements > 0 ? root(all.error, elements) : 0, relative: share(all) };
}
