/** Several policies, one forward: puts together what they ask for, and shows each its own part. */
import { LacunaError } from '../errors.js';
import type { StepResult } from '../types.js';
import type { Ask } from './policy.js';

/** One request for all. `query` and `shadow` are always given. */
export function mergeAsks(asks: readonly Ask[]): Required<Pick<Ask, 'query' | 'shadow'>> & Ask {
  const topK = Math.max(0, ...asks.map((ask) => ask.topK ?? 0));
  const probe = union(asks.map((ask) => ask.probe));
  const limits = asks.flatMap((ask) => ask.limits ?? []);
  return {
    query: union(asks.map((ask) => ask.query)),
    shadow: union(asks.map((ask) => ask.shadow)),
    suppress: union(asks.map((ask) => ask.suppress)),
    ...(asks.some((ask) => ask.unscored) && { unscored: union(asks.map((ask) => ask.unscored)) }),
    ...(asks.some((ask) => ask.allowMask) && { allowMask: true }),
    ...(asks.some((ask) => ask.kl) && { kl: true }),
    ...(probe.length > 0 && { probe }),
    ...(limits.length > 0 && { limits }),
    ...(topK > 0 && { topK }),
    softMask: onlyOne(asks, 'softMask'),
    credit: onlyOne(asks, 'credit'),
  };
}

/** Ascending, each once. */
function union(lists: readonly (Int32Array | undefined)[]): Int32Array {
  const given = lists.filter((list) => list !== undefined);
  const all = new Int32Array(given.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const list of given) {
    all.set(list, at);
    at += list.length;
  }
  return all.sort().filter((x, i) => i === 0 || x !== all[i - 1]);
}

function onlyOne<Key extends 'softMask' | 'credit'>(asks: readonly Ask[], key: Key): Ask[Key] {
  const given = asks.map((ask) => ask[key]).filter((value) => value !== undefined);
  if (given.length <= 1) return given[0];
  throw new LacunaError('INVALID_ARGUMENT', `two policies give a ${key}; a step has one`);
}

/**
 * What `own` asked for, as if it had been the only one.
 * @param forward what was asked for in all, and the result: its `query`, then its `shadow`
 */
export function reportFor(
  own: Ask,
  { request, result }: { request: { query?: Int32Array; probe?: Int32Array }; result: StepResult },
): StepResult {
  const reported = request.query!.length;
  const rows = [
    ...indices(own.query ?? [], result.position.subarray(0, reported), 0),
    ...indices(own.shadow ?? [], result.position.subarray(reported), reported),
  ];
  const everything = rows.length === result.position.length; // as nearly always
  const ints = (from: Int32Array) => (everything ? from : Int32Array.from(rows, (i) => from[i]));
  const doubles = (from: Float64Array) =>
    everything ? from : Float64Array.from(rows, (i) => from[i]);
  const { committed, rows: computed, timing } = result;
  return {
    position: ints(result.position),
    token: ints(result.token),
    probability: doubles(result.probability),
    margin: doubles(result.margin),
    entropy: doubles(result.entropy),
    ...(result.top && own.topK && { top: topOf(result.top, rows, own.topK) }),
    ...(result.probe && own.probe && { probe: probesOf(result.probe, rows, own.probe, request) }),
    ...(result.kl && own.kl && { kl: Float32Array.from(rows, (i) => result.kl![i]) }),
    committed,
    rows: computed,
    timing,
  };
}

/** Where the wanted positions are, in ascending order; those that were not computed are left out. */
function indices(wanted: ArrayLike<number>, position: Int32Array, offset: number): number[] {
  const found: number[] = [];
  if (wanted.length === 0) return found;
  const set = new Set(Array.from(wanted));
  position.forEach((p, i) => {
    if (set.has(p)) found.push(i + offset);
  });
  return found;
}

function topOf(top: NonNullable<StepResult['top']>, rows: number[], k: number) {
  const cells = rows.flatMap((row) => Array.from({ length: k }, (_, j) => row * top.k + j));
  return {
    k,
    token: Int32Array.from(cells, (cell) => top.token[cell]),
    probability: Float32Array.from(cells, (cell) => top.probability[cell]),
  };
}

/** (rows × own probes), columns in the order of `own`. */
function probesOf(
  probe: Float32Array,
  rows: number[],
  own: Int32Array,
  request: { probe?: Int32Array },
) {
  const width = request.probe!.length;
  const columns = [...own].map((token) => request.probe!.indexOf(token));
  return Float32Array.from(rows.flatMap((row) => columns.map((c) => probe[row * width + c])));
}
