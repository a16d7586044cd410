/**
 * The weights of a Hugging Face folder: safetensors files, whole or in shards, of which pieces are
 * read on demand. The format: https://huggingface.co/docs/safetensors (8 bytes of header length, a
 * JSON header, tensor data without holes). Files are taken for hostile.
 */
import { open, readdir, type FileHandle } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { LacunaError } from '../errors.js';
import { bad, isObject, parseObject, readObject, show, type Json } from './folder.js';

/** What a tensor's numbers are; the names are those of GGUF, too. */
export type SourceType = 'F32' | 'F16' | 'BF16';

const sourceBytes: Record<SourceType, number> = { F32: 4, F16: 2, BF16: 2 };

/** Bytes of an element of any type of the format, for the check of the layout. */
const otherBytes: Record<string, number> = {
  ...{ BOOL: 1, U8: 1, I8: 1, F8_E4M3: 1, F8_E5M2: 1, F8_E8M0: 1 },
  ...{ I16: 2, U16: 2, I32: 4, U32: 4, F64: 8, I64: 8, U64: 8, C64: 8 },
};

export interface SourceTensor {
  name: string;
  type: SourceType;
  /** Slowest dimension first, as in PyTorch. */
  shape: readonly number[];
  /** Bytes of a number. */
  size: number;
  path: string;
  file: FileHandle;
  /** Of the data in the file, in bytes. */
  offset: number;
}

/** As the reference implementation allows. */
const largestHeader = 100_000_000;

const indexName = 'model.safetensors.index.json';
const singleName = 'model.safetensors';

export class Checkpoint implements AsyncDisposable {
  readonly tensors = new Map<string, SourceTensor>();
  readonly #files: FileHandle[] = [];

  private constructor(readonly folder: string) {}

  /** Opens all files and reads their headers. Throws BAD_CHECKPOINT, FILE_ERROR, UNSUPPORTED_TYPE. */
  static async open(folder: string): Promise<Checkpoint> {
    const checkpoint = new Checkpoint(folder);
    try {
      const index = await readObject(folder, indexName);
      if (index) await checkpoint.#addShards(index);
      else await checkpoint.#addFile(await singleFile(folder));
      return checkpoint;
    } catch (error) {
      await checkpoint[Symbol.asyncDispose]();
      throw error;
    }
  }

  async #addShards(index: Json): Promise<void> {
    const path = join(this.folder, indexName);
    const map = index.weight_map;
    if (!isObject(map)) throw bad(path, 'weight_map must be an object: tensor name → file');
    for (const [name, file] of Object.entries(map))
      if (typeof file !== 'string' || !/^[^/\\:]+\.safetensors$/.test(file))
        throw bad(path, `${name} is in ${show(file)}, must be a .safetensors file of the folder`);
    for (const file of new Set(Object.values(map) as string[])) await this.#addFile(file);
    for (const [name, file] of Object.entries(map))
      if (this.tensors.get(name)?.path !== join(this.folder, file as string))
        throw bad(path, `tensor ${name} is not in ${String(file)}, which must have it`);
    for (const name of this.tensors.keys())
      if (!Object.hasOwn(map, name)) throw bad(path, `weight_map lacks ${name}, which a shard has`);
  }

  async #addFile(name: string): Promise<void> {
    const path = join(this.folder, name);
    let file;
    try {
      file = await open(path);
    } catch (cause) {
      throw new LacunaError('FILE_ERROR', `${path}: cannot open: ${String(cause)}`, { cause });
    }
    this.#files.push(file);
    for (const tensor of await readHeader(path, file)) {
      const twin = this.tensors.get(tensor.name);
      if (twin) throw bad(path, `tensor ${tensor.name} is in ${twin.path} too`);
      this.tensors.set(tensor.name, tensor);
    }
  }

  /** Throws INVALID_ARGUMENT for the path of one of the files: nobody could undo that. */
  refuseOutput(path: string): void {
    for (const tensor of this.tensors.values())
      if (resolve(path) === resolve(tensor.path))
        throw new LacunaError('INVALID_ARGUMENT', `${path} is read and cannot be written`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#files.splice(0).map((file) => file.close()));
  }
}

async function singleFile(folder: string): Promise<string> {
  let names: string[];
  try {
    names = await readdir(folder);
  } catch (cause) {
    throw new LacunaError('FILE_ERROR', `${folder}: cannot list: ${String(cause)}`, { cause });
  }
  if (names.includes(singleName)) return singleName;
  if (names.includes('adapter_model.safetensors'))
    throw bad(folder, 'holds an adapter; merge it into its base model and save that');
  const others = names.filter((name) => /\.(safetensors|bin|pt|pth)$/.test(name));
  const found = others.length > 0 ? `; it has ${others.slice(0, 4).join(', ')}` : '';
  throw bad(folder, `has neither ${singleName} nor ${indexName}${found}`);
}

/** `length` bytes from `offset`. Throws FILE_ERROR. */
export async function readBytes(
  { path, file }: { path: string; file: FileHandle },
  offset: number,
  length: number,
): Promise<Uint8Array> {
  // A buffer of its own, at its start: the numbers in it are aligned for typed arrays.
  const bytes = new Uint8Array(length);
  for (let done = 0; done < length;) {
    let read: number;
    try {
      ({ bytesRead: read } = await file.read(bytes, done, length - done, offset + done));
    } catch (cause) {
      throw new LacunaError('FILE_ERROR', `${path}: cannot read: ${String(cause)}`, { cause });
    }
    if (read === 0) throw new LacunaError('FILE_ERROR', `${path}: ends before its tensors do`);
    done += read;
  }
  return bytes;
}

async function readHeader(path: string, file: FileHandle): Promise<SourceTensor[]> {
  const { size } = await file.stat();
  if (size < 8) throw bad(path, `has ${size} bytes, must begin with the 8 of a header length`);
  const start = await readBytes({ path, file }, 0, 8);
  const length = Number(new DataView(start.buffer).getBigUint64(0, true));
  if (length > Math.min(size - 8, largestHeader))
    throw bad(
      path,
      `header length is ${length}, must be at most ${Math.min(size - 8, largestHeader)}`,
    );
  const text = new TextDecoder().decode(await readBytes({ path, file }, 8, length));
  const entries = Object.entries(parseObject(path, text)).filter(([key]) => key !== '__metadata__');
  const spans = entries.map(([name, value]) => readEntry(path, name, value));
  checkSpans(path, spans, size - 8 - length);
  return spans.map(({ name, type, shape, begin }) => {
    if (!isSourceType(type))
      throw new LacunaError(
        'UNSUPPORTED_TYPE',
        `${path}: tensor ${name} is ${type}; supported are ${Object.keys(sourceBytes).join(', ')}`,
      );
    return { name, type, shape, size: sourceBytes[type], path, file, offset: 8 + length + begin };
  });
}

interface Span {
  name: string;
  type: string;
  shape: number[];
  begin: number;
  end: number;
}

const isSourceType = (type: string): type is SourceType => Object.hasOwn(sourceBytes, type);

const isCount = (value: unknown): value is number =>
  Number.isSafeInteger(value) && (value as number) >= 0;

function readEntry(path: string, name: string, value: unknown): Span {
  const fail = (what: string): LacunaError => bad(path, `tensor ${show(name)}: ${what}`);
  if (!isObject(value)) throw fail('must be an object of dtype, shape and data_offsets');
  const { dtype, shape, data_offsets: offsets } = value;
  if (typeof dtype !== 'string') throw fail(`dtype is ${show(dtype)}, must be a string`);
  if (!Array.isArray(shape) || !shape.every(isCount))
    throw fail(`shape is ${show(shape)}, must be an array of whole numbers`);
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isCount))
    throw fail(`data_offsets is ${show(offsets)}, must be two whole numbers`);
  const [begin, end] = offsets;
  const size = isSourceType(dtype) ? sourceBytes[dtype] : otherBytes[dtype];
  if (size === undefined)
    throw new LacunaError('UNSUPPORTED_TYPE', `${path}: tensor ${show(name)} is ${show(dtype)}`);
  const bytes = shape.reduce((product, n) => product * n, size);
  if (end - begin !== bytes)
    throw fail(`has ${end - begin} bytes, must have ${bytes} for ${dtype} ${show(shape)}`);
  return { name, type: dtype, shape, begin, end };
}

/** The data of the tensors, in order, must fill the file: no overlap, no hole, nothing outside. */
function checkSpans(path: string, spans: readonly Span[], bytes: number): void {
  let at = 0;
  for (const { name, begin, end } of [...spans].sort(
    (a, b) => a.begin - b.begin || a.end - b.end,
  )) {
    if (begin !== at)
      throw bad(
        path,
        `tensor ${show(name)} begins at byte ${begin} of the data, must begin at ${at}`,
      );
    at = end;
  }
  if (at !== bytes)
    throw bad(path, `the tensors take ${at} bytes, but the file has ${bytes} of data`);
}
