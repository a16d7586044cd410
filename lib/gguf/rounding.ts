import { LacunaError } from '../errors.js';
import { tensorTypes, type TensorType } from './types.js';

// Simple quantisers, round to nearest, for fixtures and synthetic models. Good models come from
// tools that search for the best scales.

const float = new Float32Array(1);
const floatBits = new Uint32Array(float.buffer);

/** IEEE binary16, rounded to nearest even; too large becomes infinity. */
export function floatToHalf(value: number): number {
  float[0] = value;
  const bits = floatBits[0];
  const sign = (bits >>> 16) & 0x8000;
  const rest = bits & 0x7fffffff;
  if (rest > 0x7f800000) return sign | 0x7e00; // NaN
  if (rest >= 0x477ff000) return sign | 0x7c00; // rounds to 65536 or more
  if (rest < 0x38800000) return sign | roundEven(Math.abs(float[0]) * 2 ** 24); // below 2^-14
  const rebiased = rest - (112 << 23);
  return sign | ((rebiased + 0xfff + ((rebiased >>> 13) & 1)) >>> 13);
}

/** bfloat16, rounded to nearest even. */
export function floatToBfloat(value: number): number {
  float[0] = value;
  const bits = floatBits[0];
  if ((bits & 0x7fffffff) > 0x7f800000) return (bits >>> 16) | 0x40; // NaN
  return ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16) & 0xffff;
}

function roundEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  return rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? floor + 1 : floor;
}

export function halfToFloat(half: number): number {
  const sign = half & 0x8000 ? -1 : 1;
  const exponent = (half >> 10) & 31;
  const mantissa = half & 1023;
  if (exponent === 31) return mantissa ? NaN : sign * Infinity;
  return sign * (exponent === 0 ? mantissa * 2 ** -24 : (1024 + mantissa) * 2 ** (exponent - 25));
}

function encodeWords(values: Float32Array, word: (value: number) => number): Uint8Array {
  const words = new Uint16Array(values.length);
  for (let i = 0; i < values.length; i++) words[i] = word(values[i]);
  return new Uint8Array(words.buffer);
}

/** Scale: largest magnitude / 127. */
function encodeQ8(values: Float32Array): Uint8Array {
  const { blockSize, blockBytes } = tensorTypes.Q8_0;
  const out = new DataView(new ArrayBuffer((values.length / blockSize) * blockBytes));
  for (let first = 0, at = 0; first < values.length; first += blockSize, at += blockBytes) {
    let most = 0;
    for (let i = 0; i < blockSize; i++) most = Math.max(most, Math.abs(values[first + i]));
    const inverse = most > 0 ? 127 / most : 0;
    out.setUint16(at, floatToHalf(most / 127), true);
    for (let i = 0; i < blockSize; i++)
      out.setInt8(at + 2 + i, Math.round(values[first + i] * inverse));
  }
  return new Uint8Array(out.buffer);
}

/** Scale: the value of largest magnitude / −8, so that it is met exactly by the integer −8. */
function encodeQ4(values: Float32Array): Uint8Array {
  const { blockSize, blockBytes } = tensorTypes.Q4_0;
  const out = new DataView(new ArrayBuffer((values.length / blockSize) * blockBytes));
  for (let first = 0, at = 0; first < values.length; first += blockSize, at += blockBytes) {
    let most = 0;
    for (let i = 0; i < blockSize; i++)
      if (Math.abs(values[first + i]) > Math.abs(most)) most = values[first + i]!;
    const inverse = most !== 0 ? -8 / most : 0;
    const level = (i: number): number =>
      Math.min(15, Math.max(0, Math.round(values[first + i] * inverse) + 8));
    out.setUint16(at, floatToHalf(most / -8), true);
    for (let i = 0; i < 16; i++) out.setUint8(at + 2 + i, level(i) | (level(i + 16) << 4));
  }
  return new Uint8Array(out.buffer);
}

/** Types that {@link roundTo} can write. */
export type EncodableType = 'F32' | 'F16' | 'BF16' | 'Q8_0' | 'Q4_0';

export function isEncodable(type: TensorType): type is EncodableType {
  return ['F32', 'F16', 'BF16', 'Q8_0', 'Q4_0'].includes(type);
}

/**
 * Encodes numbers as tensor data.
 *
 * @param values (n), n a multiple of the type's block size
 * @throws LacunaError INVALID_ARGUMENT when n is not
 */
export function roundTo(type: EncodableType, values: Float32Array): Uint8Array {
  const { blockSize } = tensorTypes[type];
  if (values.length % blockSize !== 0)
    throw new LacunaError(
      'INVALID_ARGUMENT',
      `${values.length} values, must be a multiple of ${blockSize} for ${type}`,
    );
  switch (type) {
    case 'F32':
      return new Uint8Array(values.slice().buffer);
    case 'F16':
      return encodeWords(values, floatToHalf);
    case 'BF16':
      return encodeWords(values, floatToBfloat);
    case 'Q8_0':
      return encodeQ8(values);
    case 'Q4_0':
      return encodeQ4(values);
  }
}
