import { floatToHalf, isEncodable, roundTo, type EncodableType } from './rounding.js';
import { tensorTypes, type TensorType } from './types.js';

/** Uniform 32-bit numbers by seed: xorshift (Marsaglia 2003), its seed scrambled first. */
export class Random {
  #state: number;

  constructor(seed: number) {
    let s = (seed | 0) + 0x9e3779b9;
    s = Math.imul(s ^ (s >>> 16), 0x85ebca6b);
    s = Math.imul(s ^ (s >>> 13), 0xc2b2ae35);
    this.#state = (s ^ (s >>> 16)) >>> 0 || 1;
  }

  /** In [0, 2³²). */
  bits(): number {
    let s = this.#state;
    s ^= s << 13;
    s ^= s >>> 17;
    s ^= s << 5;
    return (this.#state = s >>> 0);
  }

  /** In (0, 1). */
  uniform(): number {
    return (this.bits() + 0.5) / 2 ** 32;
  }

  /** (n) standard normal numbers, by Box and Muller's method. */
  normals(n: number): Float32Array {
    const values = new Float32Array(n);
    for (let i = 0; i < n; i += 2) {
      const radius = Math.sqrt(-2 * Math.log(this.uniform()));
      const angle = 2 * Math.PI * this.uniform();
      values[i] = radius * Math.cos(angle);
      if (i + 1 < n) values[i + 1] = radius * Math.sin(angle);
    }
    return values;
  }
}

type RandomType = Exclude<TensorType, EncodableType>;

/**
 * What makes a block of random bits decode to numbers of mean about 0 and standard deviation `d`
 * times `spread`: where its half floats lie, and what else has to be set.
 */
interface BlockPlan {
  /** Byte offset of the scale d. */
  d: number;
  /** Byte offset of the minimum m, and m / d. */
  m?: [offset: number, ratio: number];
  spread: number;
  /** Makes the minima of the groups equal to their scales. */
  pair?: (block: Uint8Array) => void;
}

/** Standard deviation of the integers 0 … 2^bits − 1. */
const spreadOf = (bits: number): number => Math.sqrt((4 ** bits - 1) / 12);
/** Root mean square of an unsigned and of a signed 6-bit or 8-bit group scale. */
const unsigned6 = Math.sqrt((63 * 127) / 6);
const signed6 = spreadOf(6);
const signed8 = spreadOf(8);
/** Root mean square of the 16 levels of IQ4_NL and IQ4_XS. */
const levels = 67.44;

/** Bytes 0–3 hold scales and 4–7 minima, 8–11 a nibble of each. */
const pairScales = (at: number) => (block: Uint8Array) => {
  block.copyWithin(at + 4, at, at + 4);
  for (let i = at + 8; i < at + 12; i++) block[i] = (block[i] & 15) * 0x11;
};

const blockPlans: Record<RandomType, BlockPlan> = {
  Q4_1: { d: 0, m: [2, -7.5], spread: spreadOf(4) },
  Q5_0: { d: 0, spread: spreadOf(5) },
  Q5_1: { d: 0, m: [2, -15.5], spread: spreadOf(5) },
  Q2_K: {
    d: 80,
    m: [82, 1.5],
    spread: spreadOf(2) * Math.sqrt((15 * 31) / 6),
    pair: (block) => {
      for (let i = 0; i < 16; i++) block[i] = (block[i] & 15) * 0x11;
    },
  },
  Q3_K: { d: 108, spread: spreadOf(3) * signed6 },
  Q4_K: { d: 0, m: [2, 7.5], spread: spreadOf(4) * unsigned6, pair: pairScales(4) },
  Q5_K: { d: 0, m: [2, 15.5], spread: spreadOf(5) * unsigned6, pair: pairScales(4) },
  Q6_K: { d: 208, spread: spreadOf(6) * signed8 },
  IQ4_NL: { d: 0, spread: levels },
  IQ4_XS: { d: 0, spread: levels * signed6 },
};

function randomBlocks(type: RandomType, n: number, sigma: number, random: Random): Uint8Array {
  const { blockSize, blockBytes } = tensorTypes[type];
  const { d, m, spread, pair } = blockPlans[type];
  const bytes = new Uint8Array((n / blockSize) * blockBytes);
  for (let i = 0; i < bytes.length; i++) bytes[i] = random.bits() >>> 24;
  const view = new DataView(bytes.buffer);
  for (let at = 0; at < bytes.length; at += blockBytes) {
    view.setUint16(at + d, floatToHalf(sigma / spread), true);
    if (m) view.setUint16(at + m[0], floatToHalf((m[1] * sigma) / spread), true);
    pair?.(bytes.subarray(at, at + blockBytes));
  }
  return bytes;
}

/**
 * Random tensor data of n elements, n a multiple of the block size: normal with the given mean and
 * standard deviation for float types, Q8_0 and Q4_0; for the rest random bits of mean about 0 and
 * about that standard deviation (`mean` is not used).
 */
export function randomData(
  type: TensorType,
  n: number,
  sigma: number,
  random: Random,
  mean = 0,
): Uint8Array {
  if (!isEncodable(type)) return randomBlocks(type, n, sigma, random);
  const values = random.normals(n);
  for (let i = 0; i < n; i++) values[i] = mean + sigma * values[i];
  return roundTo(type, values);
}

/** Elements of a piece: a whole number of blocks of every type, and less than a row of a large model. */
const pieceSize = 256;
const bufferPieces = 4096;

/**
 * Random weights for any number of large tensors out of one pool. The pool is used up piece by
 * piece; after that pieces are drawn at random, so that rows stay different from each other.
 */
export class WeightPool {
  readonly #pool: Buffer;
  readonly #random: Random;
  readonly #type: TensorType;
  #used = 0;

  /** @param n elements of the pool: all that will be asked for, or fewer */
  constructor(type: TensorType, n: number, sigma: number, seed: number) {
    const { blockSize } = tensorTypes[type];
    this.#type = type;
    this.#random = new Random(seed);
    const size = Math.ceil(n / blockSize) * blockSize;
    this.#pool = Buffer.from(randomData(type, size, sigma, this.#random).buffer);
  }

  /** Data of n elements in pieces. Each piece is valid until the next one is asked for. */
  *take(n: number): Iterable<Uint8Array> {
    const { blockSize, blockBytes } = tensorTypes[this.#type];
    const pieceBytes = (pieceSize / blockSize) * blockBytes;
    let left = (n / blockSize) * blockBytes;
    const buffer = Buffer.allocUnsafe(Math.min(bufferPieces * pieceBytes, left));
    while (left > 0) {
      let at = 0;
      for (let bytes; at < buffer.length && left > 0; at += bytes, left -= bytes) {
        bytes = Math.min(pieceBytes, left);
        const start = this.#next(bytes, blockBytes);
        this.#pool.copy(buffer, at, start, start + bytes);
      }
      yield buffer.subarray(0, at);
    }
  }

  #next(bytes: number, blockBytes: number): number {
    const start = this.#used;
    if (start + bytes <= this.#pool.length) {
      this.#used += bytes;
      return start;
    }
    const blocks = Math.floor((this.#pool.length - bytes) / blockBytes);
    return (this.#random.bits() % (blocks + 1)) * blockBytes;
  }
}
