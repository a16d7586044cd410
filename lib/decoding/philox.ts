/**
 * Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011): noise as a
 * pure function of (seed, step, position), equal bit for bit to native/session/philox.h. All random
 * choices of the decoding policies come from here.
 */

/** Which use of a position's noise; each is its own stream. 0 is native code's Gumbel noise. */
export const Stream = {
  score: 1,
  order: 2,
  transfer: 3,
  suffix: 4,
  start: 5,
  startToken: 6,
} as const;

/** Upper 32 bits of a 64-bit product of unsigned 32-bit integers; doubles hold only 53 bits. */
function mulHigh(a: number, b: number): number {
  const aHigh = a >>> 16;
  const aLow = a & 0xffff;
  const bHigh = b >>> 16;
  const bLow = b & 0xffff;
  const middle = aHigh * bLow + ((aLow * bLow) >>> 16);
  const carry = (middle & 0xffff) + aLow * bHigh;
  return (aHigh * bHigh + Math.floor(middle / 0x10000) + Math.floor(carry / 0x10000)) >>> 0;
}

/**
 * One block of four random words.
 * @param seed an integer from 0 to 2^53 − 1
 * @param counter four unsigned 32-bit words
 */
export function philox(
  seed: number,
  counter: readonly [number, number, number, number],
): [number, number, number, number] {
  let [a, b, c, d] = counter;
  let key0 = seed >>> 0;
  let key1 = Math.floor(seed / 0x100000000) >>> 0;
  for (let round = 0; round < 10; round++) {
    const nextA = (mulHigh(0xcd9e8d57, c) ^ b ^ key0) >>> 0;
    const nextC = (mulHigh(0xd2511f53, a) ^ d ^ key1) >>> 0;
    b = Math.imul(0xcd9e8d57, c) >>> 0;
    d = Math.imul(0xd2511f53, a) >>> 0;
    a = nextA;
    c = nextC;
    key0 = (key0 + 0x9e3779b9) >>> 0;
    key1 = (key1 + 0xbb67ae85) >>> 0;
  }
  return [a, b, c, d];
}

/** Uniform in (0, 1), never 0 or 1, exact in float32. */
export function uniform(seed: number, step: number, position: number, stream: number): number {
  const [word] = philox(seed, [0, position, step, stream]);
  return fraction(word);
}

function fraction(word: number): number {
  return ((word >>> 9) + 0.5) / 8388608;
}

/** Standard Gumbel noise. */
export function gumbel(seed: number, step: number, position: number, stream: number): number {
  return -Math.log(-Math.log(uniform(seed, step, position, stream)));
}

/** Native code's Gumbel noise of a token: what a drawn token's logit got added. */
export function tokenGumbel(seed: number, step: number, position: number, token: number): number {
  const word = philox(seed, [token >>> 2, position, step, 0])[token & 3];
  return -Math.log(-Math.log(fraction(word)));
}
