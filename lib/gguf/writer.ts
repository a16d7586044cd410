import { open, rename, rm, type FileHandle } from 'node:fs/promises';
import { LacunaError } from '../errors.js';
import { ByteWriter, writeValue, type MetadataValue } from './metadata.js';
import { tensorBytes, tensorTypes, type TensorType } from './types.js';

export { f32, u64, type MetadataValue, type TypedValue } from './metadata.js';

/** One tensor to write. */
export interface GgufTensor {
  name: string;
  type: TensorType;
  /** Fastest dimension first, 1 to 4 of them; the first a multiple of the type's block size. */
  shape: readonly number[];
  /** Its bytes as they lie in the file, whole or in pieces, so that large tensors can be streamed. */
  data: Uint8Array | (() => Iterable<Uint8Array> | AsyncIterable<Uint8Array>);
}

/** What goes into a GGUF file. */
export interface GgufContents {
  metadata: Record<string, MetadataValue>;
  tensors: readonly GgufTensor[];
  /** Of tensor data, a power of two; default 32. Written as general.alignment when given. */
  alignment?: number;
}

export interface WriteOptions {
  /** Ends the writing with `ABORTED`. */
  signal?: AbortSignal;
  /** Bytes of the file: after every piece, and at the end `written === total`. */
  onProgress?: (progress: { written: number; total: number }) => void;
}

const invalid = (message: string): LacunaError => new LacunaError('INVALID_ARGUMENT', message);

const roundUp = (n: number, multiple: number): number => Math.ceil(n / multiple) * multiple;

/**
 * Writes a GGUF file, version 3, in the layout that every GGUF tool reads: header, metadata in the
 * order of the object's keys, tensor list, tensor data. It grows as `<path>.part` and gets its name
 * when it is whole, so that a file at `path` is never half of one.
 *
 * @returns bytes written
 * @throws LacunaError INVALID_ARGUMENT (a tensor whose shape, type and data do not agree),
 * FILE_ERROR, ABORTED, and what the data of a tensor throws; nothing new is left at `path` then
 */
export async function writeGguf(
  path: string,
  contents: GgufContents,
  options: WriteOptions = {},
): Promise<number> {
  const alignment = contents.alignment ?? 32;
  if (!Number.isInteger(Math.log2(alignment)) || alignment < 8)
    throw invalid(`alignment is ${alignment}, must be a power of two of at least 8`);
  for (const tensor of contents.tensors) checkTensor(tensor);
  const head = header(contents, alignment);
  const part = partOf(path);
  const file = await createFile(part);
  try {
    try {
      await new Output(file, contents.tensors, alignment, options).run(head);
    } finally {
      await file.close();
    }
    await rename(part, path);
  } catch (error) {
    await rm(part, { force: true });
    const { syscall } = error as NodeJS.ErrnoException;
    if (LacunaError.isInstance(error) || syscall === undefined) throw error;
    throw new LacunaError('FILE_ERROR', `${path}: cannot write: ${String(error)}`, {
      cause: error,
    });
  }
  return fileBytes(head.length, contents.tensors, alignment);
}

/** The name of a file while {@link writeGguf} writes it. */
export const partOf = (path: string): string => `${path}.part`;

async function createFile(path: string): Promise<FileHandle> {
  try {
    return await open(path, 'w');
  } catch (cause) {
    throw new LacunaError('FILE_ERROR', `${path}: cannot create: ${String(cause)}`, { cause });
  }
}

function checkTensor({ name, type, shape, data }: GgufTensor): void {
  const { blockSize } = tensorTypes[type];
  if (shape.length < 1 || shape.length > 4 || shape.some((n) => !Number.isInteger(n) || n < 1))
    throw invalid(
      `Tensor ${name}: shape is [${shape.join(', ')}], must be 1 to 4 positive integers`,
    );
  if (shape[0] % blockSize !== 0)
    throw invalid(
      `Tensor ${name}: rows of ${shape[0]}, must be a multiple of ${blockSize} for ${type}`,
    );
  if (typeof data !== 'function') checkLength({ name, type, shape, data }, data.length);
}

function checkLength(tensor: GgufTensor, length: number): void {
  const wanted = tensorBytes(tensor.type, tensor.shape);
  if (length !== wanted)
    throw invalid(`Tensor ${tensor.name}: data has ${length} bytes, must have ${wanted}`);
}

function header({ metadata, tensors, alignment }: GgufContents, align: number): Uint8Array {
  const entries = Object.entries(metadata);
  if (alignment !== undefined) entries.push(['general.alignment', alignment]);
  const out = new ByteWriter();
  out.raw(new TextEncoder().encode('GGUF'));
  out.scalar('u32', 3);
  out.scalar('u64', tensors.length);
  out.scalar('u64', entries.length);
  for (const [key, value] of entries) {
    out.string(key);
    writeValue(out, key, value);
  }
  let offset = 0;
  for (const { name, type, shape } of tensors) {
    out.string(name);
    out.scalar('u32', shape.length);
    for (const n of shape) out.scalar('u64', n);
    out.scalar('u32', tensorTypes[type].id);
    out.scalar('u64', offset);
    offset = roundUp(offset + tensorBytes(type, shape), align);
  }
  return out.bytes();
}

function fileBytes(head: number, tensors: readonly GgufTensor[], alignment: number): number {
  const data = tensors.map(({ type, shape }) => roundUp(tensorBytes(type, shape), alignment));
  return data.reduce((sum, bytes) => sum + bytes, roundUp(head, alignment));
}

class Output {
  #written = 0;

  constructor(
    readonly file: FileHandle,
    readonly tensors: readonly GgufTensor[],
    readonly alignment: number,
    readonly options: WriteOptions,
  ) {}

  async run(head: Uint8Array): Promise<void> {
    const total = fileBytes(head.length, this.tensors, this.alignment);
    const { onProgress } = this.options;
    await this.#write(head);
    await this.#pad();
    for (const tensor of this.tensors) {
      const start = this.#written;
      const pieces = typeof tensor.data === 'function' ? tensor.data() : [tensor.data];
      for await (const piece of pieces) {
        await this.#write(piece);
        if (this.#written < total) onProgress?.({ written: this.#written, total });
      }
      checkLength(tensor, this.#written - start);
      await this.#pad();
    }
    onProgress?.({ written: total, total });
  }

  async #write(bytes: Uint8Array): Promise<void> {
    if (this.options.signal?.aborted) throw new LacunaError('ABORTED', 'writing was aborted');
    for (let done = 0; done < bytes.length;)
      done += (await this.file.write(bytes, done, bytes.length - done)).bytesWritten;
    this.#written += bytes.length;
  }

  #pad(): Promise<void> {
    return this.#write(new Uint8Array(roundUp(this.#written, this.alignment) - this.#written));
  }
}

/**
 * Writes a model as `parts` files named `<stem>-00001-of-0000N.gguf`, the tensors in order and shared
 * out evenly. All metadata is in the first part; every part carries the keys split.no, split.count
 * and split.tensors.count.
 *
 * @returns the paths, in order
 * @throws as {@link writeGguf}
 */
export async function splitGguf(
  stem: string,
  contents: GgufContents,
  parts: number,
): Promise<string[]> {
  if (!Number.isInteger(parts) || parts < 1 || parts > 99_999)
    throw invalid(`parts is ${parts}, must be an integer from 1 to 99999`);
  const { metadata, tensors } = contents;
  const share = Math.ceil(tensors.length / parts);
  const number = (n: number): string => String(n).padStart(5, '0');
  const paths: string[] = [];
  for (let no = 0; no < parts; no++) {
    const path = `${stem}-${number(no + 1)}-of-${number(parts)}.gguf`;
    await writeGguf(path, {
      ...contents,
      metadata: {
        ...(no === 0 ? metadata : {}),
        'split.no': { type: 'u16', value: no },
        'split.count': { type: 'u16', value: parts },
        'split.tensors.count': { type: 'i32', value: tensors.length },
      },
      tensors: tensors.slice(no * share, (no + 1) * share),
    });
    paths.push(path);
  }
  return paths;
}
