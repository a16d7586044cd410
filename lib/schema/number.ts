/** Numbers, digit by digit: a number is an integer multiple of 10^-places, so all sums are exact. */
import type { Guide } from './types.js';

/** Values n / 10^places with least ≤ n ≤ most, n a multiple of `step`. */
export interface NumberRange {
  places: number;
  least: bigint;
  most: bigint;
  step: bigint;
}

/** n and places of a finite number: 0.25 is 25 / 10². */
export function decimal(value: number): { n: bigint; places: number } {
  const [, sign, whole, fraction = '', exponent = '0'] =
    /^(-?)(\d+)(?:\.(\d+))?(?:e([+-]\d+))?$/.exec(String(value))!;
  const places = fraction.length - Number(exponent);
  const n = BigInt(`${sign}${whole}${fraction}`);
  return places >= 0 ? { n, places } : { n: n * 10n ** BigInt(-places), places: 0 };
}

function divideUp(n: bigint, by: bigint): bigint {
  return n / by + (n > 0n && n % by !== 0n ? 1n : 0n);
}

/** Whether the range has a value from `low` to `high`, both in units of 10^-places. */
function meets({ least, most, step }: NumberRange, low: bigint, high: bigint): boolean {
  const from = low > least ? low : least;
  const to = high < most ? high : most;
  return from <= to && divideUp(from, step) * step <= to;
}

export function isEmpty(range: NumberRange): boolean {
  return !meets(range, range.least, range.most);
}

const form = /^(-?)(0|[1-9]\d*)(\.\d*)?$/;

/** Whether a text is a number of the range, or its beginning. Texts have no exponents. */
function begins(range: NumberRange, text: string): boolean {
  const { places, least, most } = range;
  if (text === '') return !isEmpty(range);
  if (text === '-') return meets(range, least, -1n);
  const parts = form.exec(text);
  if (parts === null) return false;
  const [, sign, whole, tail] = parts;
  const digits = tail === undefined ? '' : tail.slice(1);
  if (digits.length > places || (tail !== undefined && places === 0)) return false;
  const within = (low: bigint, high: bigint) =>
    sign === '' ? meets(range, low, high) : meets(range, -high, low > 0n ? -low : -1n);
  const unit = 10n ** BigInt(places - digits.length);
  const first = BigInt(whole + digits) * unit;
  if (within(first, first + unit - 1n)) return true;
  if (tail !== undefined || whole === '0') return false;
  const size = (n: bigint) => String(n).length;
  const more = Math.max(size(least), size(most)) - places - whole.length;
  for (let k = 1; k <= more; k++) {
    const scale = unit * 10n ** BigInt(k);
    if (within(BigInt(whole) * scale, (BigInt(whole) + 1n) * scale - 1n)) return true;
  }
  return false;
}

function isValue(range: NumberRange, text: string): boolean {
  const parts = form.exec(text);
  if (parts === null || parts[3] === '.') return false;
  const digits = parts[3]?.slice(1) ?? '';
  if (digits.length > range.places) return false;
  const size = BigInt(parts[2] + digits) * 10n ** BigInt(range.places - digits.length);
  const n = parts[1] === '' ? size : -size;
  return (parts[1] === '' || n < 0n) && meets(range, n, n);
}

/** The texts of the numbers in a range; one space may be in front. */
export function numberGuide(range: NumberRange): Guide {
  const digits = (state: string) => state.trimStart();
  return {
    start: '',
    closing: ',}] \n',
    next: (state, unit) => {
      if (state === '' && unit === ' ') return ' ';
      return begins(range, digits(state) + unit) ? state + unit : undefined;
    },
    ends: (state) => isValue(range, digits(state)),
  };
}
