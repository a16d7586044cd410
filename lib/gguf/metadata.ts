import { LacunaError } from '../errors.js';
import { arrayTypeId, scalarTypes, stringTypeId, type ScalarType } from './types.js';

type ScalarValue = number | bigint | boolean;

/** A value whose type is spelt out. */
export type TypedValue =
  | { type: ScalarType; value: ScalarValue }
  | { type: 'string'; value: string }
  | { type: 'array'; element: ScalarType; value: ArrayLike<ScalarValue> }
  | { type: 'array'; element: 'string'; value: readonly string[] }
  /** Type and value as they lie in another file. */
  | { type: 'raw'; value: Uint8Array };

/**
 * A metadata value. Plain JavaScript values get the usual type: string; boolean; a whole number u32,
 * or i32 when negative; any other number f32; arrays of strings; arrays of whole numbers i32, of
 * others f32. A float that may be whole (a rope base) needs {@link f32}.
 */
export type MetadataValue =
  string | boolean | number | readonly string[] | readonly number[] | TypedValue;

export const f32 = (value: number): TypedValue => ({ type: 'f32', value });
export const u64 = (value: number | bigint): TypedValue => ({ type: 'u64', value: BigInt(value) });

const invalid = (message: string): LacunaError => new LacunaError('INVALID_ARGUMENT', message);

const utf8 = new TextEncoder(); // one for all 126,464 tokens of a vocabulary

/** Little-endian bytes that grow. */
export class ByteWriter {
  #bytes = new Uint8Array(1 << 12);
  #view = new DataView(this.#bytes.buffer);
  #length = 0;

  bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  scalar(type: ScalarType, value: ScalarValue): void {
    const at = this.#grow(scalarTypes[type].bytes);
    const view = this.#view;
    if (type === 'u64') return view.setBigUint64(at, BigInt(value), true);
    if (type === 'i64') return view.setBigInt64(at, BigInt(value), true);
    const number = Number(value);
    switch (type) {
      case 'u8':
      case 'bool':
        return view.setUint8(at, number);
      case 'i8':
        return view.setInt8(at, number);
      case 'u16':
        return view.setUint16(at, number, true);
      case 'i16':
        return view.setInt16(at, number, true);
      case 'u32':
        return view.setUint32(at, number, true);
      case 'i32':
        return view.setInt32(at, number, true);
      case 'f32':
        return view.setFloat32(at, number, true);
      case 'f64':
        return view.setFloat64(at, number, true);
    }
  }

  string(text: string): void {
    this.#reserve(8 + 3 * text.length);
    const { written } = utf8.encodeInto(text, this.#bytes.subarray(this.#length + 8));
    this.scalar('u64', written);
    this.#length += written;
  }

  raw(bytes: Uint8Array): void {
    const at = this.#grow(bytes.length);
    this.#bytes.set(bytes, at);
  }

  /** Makes room and returns the place of it. */
  #grow(bytes: number): number {
    this.#reserve(bytes);
    const at = this.#length;
    this.#length += bytes;
    return at;
  }

  #reserve(bytes: number): void {
    const needed = this.#length + bytes;
    if (needed <= this.#bytes.length) return;
    const grown = new Uint8Array(Math.max(needed, 2 * this.#bytes.length));
    grown.set(this.#bytes);
    this.#bytes = grown;
    this.#view = new DataView(grown.buffer);
  }
}

function infer(key: string, value: MetadataValue): TypedValue {
  if (typeof value === 'string') return { type: 'string', value };
  if (typeof value === 'boolean') return { type: 'bool', value };
  if (typeof value === 'number') return { type: inferNumber(key, value), value };
  if (!Array.isArray(value)) return value as TypedValue;
  if (value.length === 0)
    throw invalid(`Key ${key}: an empty array needs a type, { type: 'array', element, value }`);
  if (value.every((item) => typeof item === 'string'))
    return { type: 'array', element: 'string', value };
  const numbers = value as number[];
  const element = numbers.every((item) => Number.isInteger(item)) ? 'i32' : 'f32';
  return { type: 'array', element, value: numbers };
}

function inferNumber(key: string, value: number): ScalarType {
  if (!Number.isInteger(value)) return 'f32';
  if (value >= 0 && value < 2 ** 32) return 'u32';
  if (value < 0 && value >= -(2 ** 31)) return 'i32';
  throw invalid(`Key ${key}: ${value} fits neither u32 nor i32; give it as { type: 'u64', value }`);
}

function checkRange(key: string, type: ScalarType, value: ScalarValue): void {
  if (type === 'f32' || type === 'f64' || type === 'bool') return;
  const bits = 8 * scalarTypes[type].bytes;
  const signed = type.startsWith('i');
  const least = signed ? -(2 ** (bits - 1)) : 0;
  // 2^63 and 2^64 are numbers, too, and bigints compare with them exactly.
  const number = typeof value === 'boolean' ? Number(value) : value;
  const fits = number >= least && number < least + 2 ** bits;
  if ((typeof value === 'number' && !Number.isInteger(value)) || !fits)
    throw invalid(`Key ${key}: ${value} does not fit ${type}`);
}

/** Appends type and value of one key. Throws INVALID_ARGUMENT when they do not agree. */
export function writeValue(out: ByteWriter, key: string, value: MetadataValue): void {
  const typed = infer(key, value);
  if (typed.type === 'raw') {
    out.raw(typed.value);
  } else if (typed.type === 'string') {
    out.scalar('u32', stringTypeId);
    out.string(typed.value);
  } else if (typed.type === 'array') {
    out.scalar('u32', arrayTypeId);
    writeArray(out, key, typed);
  } else {
    checkRange(key, typed.type, typed.value);
    out.scalar('u32', scalarTypes[typed.type].id);
    out.scalar(typed.type, typed.value);
  }
}

function writeArray(out: ByteWriter, key: string, array: TypedValue & { type: 'array' }): void {
  out.scalar('u32', array.element === 'string' ? stringTypeId : scalarTypes[array.element].id);
  out.scalar('u64', array.value.length);
  if (array.element === 'string') {
    for (const text of array.value) out.string(text);
    return;
  }
  for (let i = 0; i < array.value.length; i++) {
    checkRange(key, array.element, array.value[i]);
    out.scalar(array.element, array.value[i]);
  }
}
