import { open, rm, type FileHandle } from 'node:fs/promises';
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

const invalid = (message: string): LacunaError => new LacunaError('INVALID_ARGUMENT', message);

const roundUp = (n: number, multiple: number): number => Math.ceil(n / multiple) * multiple;

/**
 * Writes a GGUF file, version 3, in the layout that every GGUF tool reads: header, metadata in the
 * order of the object's keys, tensor list, tensor data.
 *
 * @returns bytes written
 * @throws LacunaError INVALID_ARGUMENT (a tensor whose shape, type and data do not agree),
 * FILE_ERROR; nothing is left at `path` then
 */
export async function writeGguf(path: string, contents: GgufContents): Promise<number> {
  const alignment = contents.alignment ?? 32;
  if (!Number.isInteger(Math.log2(alignment)) || alignment < 8)
    throw invalid(`alignment is ${alignment}, must be a power of two of at least 8`);
  for (const tensor of contents.tensors) checkTensor(tensor);
  const head = header(contents, alignment);
  const file = await createFile(path);
  try {
    return await writeAll(file, head, contents.tensors, alignment);
  } catch (error) {
    await rm(path, { force: true });
    if (LacunaError.isInstance(error)) throw error;
    throw new LacunaError('FILE_ERROR', `${path}: cannot write: ${String(error)}`, {
      cause: error,
    });
  } finally {
    await file.close();
  }
}

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

async function writeAll(
  file: FileHandle,
  head: Uint8Array,
  tensors: readonly GgufTensor[],
  alignment: number,
): Promise<number> {
  let position = 0;
  const write = async (bytes: Uint8Array): Promise<void> => {
    for (let done = 0; done < bytes.length;)
      done += (await file.write(bytes, done, bytes.length - done)).bytesWritten;
    position += bytes.length;
  };
  const pad = (): Promise<void> => write(new Uint8Array(roundUp(position, alignment) - position));
  await write(head);
  await pad();
  for (const tensor of tensors) {
    const start = position;
    const pieces = typeof tensor.data === 'function' ? tensor.data() : [tensor.data];
    for await (const piece of pieces) await write(piece);
    checkLength(tensor, position - start);
    await pad();
  }
  return position;
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
