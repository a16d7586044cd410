/** Sets of rows. */
import type { Range } from '../../types.js';
import type { Rows, RunFacts } from '../policy.js';

/** With a logit shift, the row before a position predicts it and must be computed too. */
export function sourceRow({ logitShift }: RunFacts, position: number): number {
  return Math.max(0, position - logitShift);
}

/** Positions that the lists and ranges name, once each, ascending. */
export function union(length: number, ...parts: (Range | Int32Array)[]): Int32Array {
  const named = new Uint8Array(length);
  for (const part of parts) {
    if (part instanceof Int32Array) for (const position of part) named[position] = 1;
    else named.fill(1, part.start, part.end);
  }
  return where(length, (position) => named[position] === 1);
}

/** Positions for which `test` holds, ascending. */
export function where(length: number, test: (position: number) => boolean): Int32Array {
  const positions: number[] = [];
  for (let i = 0; i < length; i++) if (test(i)) positions.push(i);
  return Int32Array.from(positions);
}

/**
 * The same rows and keys without the positions that `dropped` marks.
 * @param added rows to compute as well, as far as they are visible
 */
export function without({ rows, visible }: Rows, dropped: Uint8Array, added?: Range): Rows {
  const length = dropped.length;
  const all = { start: 0, end: length };
  const keys = typeof visible === 'number' ? { start: 0, end: visible } : (visible ?? all);
  const kept = (...parts: (Range | Int32Array)[]): Int32Array =>
    union(length, ...parts).filter((position) => dropped[position] === 0);
  const seen = kept(keys);
  const more = seen.filter((position) => position >= (added?.start ?? length));
  return { rows: kept(rows ?? all, more), visible: seen };
}

/** The first row from `from` on that is not among the rows of a forward. */
export function computedFrom(from: number, rows: Rows['rows'], length: number): number {
  if (rows === undefined) return length;
  if ('start' in rows) return rows.start <= from ? Math.max(from, rows.end) : from;
  const computed = new Set(rows);
  let first = from;
  while (computed.has(first)) first++;
  return first;
}
