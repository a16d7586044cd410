/** Allowed and suppressed tokens of a step and of its positions, as native code takes them. */
import { LacunaError } from './errors.js';
import type { Limit } from './types.js';
import { invalid, knownKeys, list, object, positions, tokenIds } from './validate.js';

/** Lists of a step, ascending and without repeats; an empty `allow` allows all. */
export interface TokenSets {
  allow: Int32Array;
  suppress: Int32Array;
  unchosen: Int32Array;
  unscored: Int32Array;
}

type NativeLimit = { positions: Int32Array; allow: Int32Array; suppress: Int32Array };

/** Ascending, without repeats. */
export function tokenSet(name: string, value: unknown, vocabulary: number): Int32Array {
  return ascending(tokenIds(name, value ?? [], vocabulary));
}

function ascending(tokens: Int32Array): Int32Array {
  for (let i = 1; i < tokens.length; i++) {
    if (tokens[i] > tokens[i - 1]) continue;
    return tokens.sort().filter((token, j) => j === 0 || token !== tokens[j - 1]);
  }
  return tokens; // as a list that is made once and used in every step should be
}

function union(a: Int32Array, b: Int32Array): Int32Array {
  if (a.length === 0 || b.length === 0) return a.length === 0 ? b : a;
  const all = new Int32Array(a.length + b.length);
  all.set(a);
  all.set(b, a.length);
  return ascending(all);
}

/** Whether an ascending list holds a token. */
export function has(list: Int32Array, token: number): boolean {
  let low = 0;
  for (let high = list.length; low < high;) {
    const middle = (low + high) >> 1;
    if (list[middle] < token) low = middle + 1;
    else high = middle;
  }
  return list[low] === token;
}

function intersection(a: Int32Array, b: Int32Array): Int32Array {
  return a.filter((token) => has(b, token));
}

/**
 * Something must be left to choose, and something for the softmax to run over.
 * @param where for the message: `''`, or the limit
 */
export function refuseEmptyChoice(where: string, vocabulary: number, sets: TokenSets): void {
  const { allow, suppress, unchosen, unscored } = sets;
  const mostOut = suppress.length + unchosen.length + unscored.length;
  if (allow.length === 0 && mostOut < vocabulary) return;
  for (const [what, out] of [
    ['token to choose', unchosen],
    ['token in the softmax', unscored],
  ] as const) {
    const left =
      allow.length > 0
        ? allow.some((token) => !has(suppress, token) && !has(out, token))
        : union(suppress, out).length < vocabulary;
    if (left) continue;
    throw new LacunaError(
      'INVALID_ARGUMENT',
      `${where}suppress, allow and unscored leave no ${what}`,
    );
  }
}

/**
 * The limits, each with what the step's own sets add to it.
 * @param reported the positions of an explicit query and the shadows; `undefined`: not known yet
 */
export function resolveLimits(
  value: unknown,
  step: TokenSets,
  reported: readonly number[] | undefined,
  { vocabulary, length }: { vocabulary: number; length: number },
): NativeLimit[] {
  const open = reported && new Set(reported);
  const taken = new Set<number>();
  return list('limits', value, 'an array of { positions, allow, suppress }').map((item, i) => {
    const name = `limits[${i}]`;
    knownKeys(name, item, ['positions', 'allow', 'suppress']);
    const limit = object(name, item) as Partial<Limit>;
    const at = positions(`${name}.positions`, limit.positions, length);
    for (const position of at) {
      if (taken.has(position)) refuse(name, position, 'is in an earlier limit, too; make them one');
      if (open?.has(position) === false)
        refuse(name, position, 'is neither in query nor in shadow');
      taken.add(position);
    }
    const suppress = tokenSet(`${name}.suppress`, limit.suppress, vocabulary);
    const allow = tokenSet(`${name}.allow`, limit.allow, vocabulary);
    if (limit.allow !== undefined && allow.length === 0) {
      invalid(`${name}.allow`, limit.allow, 'left out, or hold a token');
    }
    const both = allow.length > 0 && step.allow.length > 0;
    const sets = {
      suppress: union(step.suppress, suppress),
      allow: both ? intersection(allow, step.allow) : union(allow, step.allow),
    };
    if (both && sets.allow.length === 0) {
      const message = `${name}.allow and the step's allow have no token in common`;
      throw new LacunaError('INVALID_ARGUMENT', message);
    }
    refuseEmptyChoice(`${name}: `, vocabulary, { ...step, ...sets });
    return { positions: at, ...sets };
  });
}

function refuse(name: string, position: number, problem: string): never {
  throw new LacunaError('INVALID_ARGUMENT', `${name}.positions: ${position} ${problem}`);
}
