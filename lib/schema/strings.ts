/** What may stand between the quotes of a string. */
import { mostStates, PatternError, type Language } from './language.js';
import type { Guide } from './types.js';

/** No quote, no escape, no control character: what is written is the value. */
export const mustEscape = /["\\\u0000-\u001f]/;

const isLow = (unit: string) => unit >= '\udc00' && unit <= '\udfff';

/** `min` to `max` characters. States are their count. */
export function textGuide(min: number, max: number): Guide {
  return {
    start: '0',
    closing: '"',
    next: (state, unit) => {
      if (mustEscape.test(unit)) return undefined;
      const count = Number(state) + (isLow(unit) ? 0 : 1);
      return count <= max ? String(count) : undefined;
    },
    ends: (state) => Number(state) >= min,
  };
}

/** (max + 1, states) whether a text of the language with that many characters so far can be finished. */
function finishable({ next, accepts }: Language, min: number, max: number): boolean[][] {
  const able: boolean[][] = [];
  for (let count = max; count >= 0; count--) {
    able[count] = next.map((to, state) => {
      if (accepts[state] && count >= min) return true;
      return count < max && to.some((then) => then >= 0 && able[count + 1][then]);
    });
  }
  return able;
}

function classOf(starts: readonly number[], unit: number): number {
  let low = 0;
  for (let high = starts.length; high - low > 1;) {
    const middle = (low + high) >> 1;
    if (starts[middle] <= unit) low = middle;
    else high = middle;
  }
  return low;
}

/** Whether a text belongs to a language. */
export function matchesAll({ starts, next, accepts }: Language, text: string): boolean {
  let state = 0;
  for (const unit of text.split('')) {
    state = next[state][classOf(starts, unit.charCodeAt(0))];
    if (state < 0) return false;
  }
  return accepts[state];
}

/** Texts of both languages. Throws `PatternError`. */
export function both(a: Language, b: Language): Language {
  const starts = [...new Set([...a.starts, ...b.starts])].sort((x, y) => x - y);
  const pairs: [number, number][] = [[0, 0]];
  const index = new Map([['0/0', 0]]);
  const next: number[][] = [];
  for (let at = 0; at < pairs.length; at++) {
    if (pairs.length > mostStates) throw new PatternError('needs too many states');
    const [left, right] = pairs[at];
    next.push(
      starts.map((unit) => {
        const to = a.next[left][classOf(a.starts, unit)];
        const then = b.next[right][classOf(b.starts, unit)];
        if (to < 0 || then < 0) return -1;
        const key = `${to}/${then}`;
        if (!index.has(key)) index.set(key, pairs.push([to, then]) - 1);
        return index.get(key)!;
      }),
    );
  }
  return { starts, next, accepts: pairs.map(([x, y]) => a.accepts[x] && b.accepts[y]) };
}

/** Length of the shortest text of a language; Infinity: there is none. */
export function shortest({ next, accepts }: Language): number {
  const seen = new Set([0]);
  let level = [0];
  for (let length = 0; level.length > 0; length++) {
    if (level.some((state) => accepts[state])) return length;
    level = [...new Set(level.flatMap((state) => next[state]))].filter(
      (to) => to >= 0 && !seen.has(to),
    );
    level.forEach((state) => seen.add(state));
  }
  return Infinity;
}

/**
 * Texts of a language with `min` to `max` characters. States are `'state/count'`.
 * @returns `undefined`: there are none
 */
export function languageGuide(language: Language, min: number, max: number): Guide | undefined {
  const able = finishable(language, min, max);
  if (!able[0][0]) return undefined;
  const { starts, next, accepts } = language;
  const parse = (text: string) => text.split('/').map(Number);
  return {
    start: '0/0',
    closing: '"',
    next: (at, unit) => {
      const [state, count] = parse(at);
      const to = next[state][classOf(starts, unit.charCodeAt(0))];
      return to >= 0 && able[count + 1]?.[to] ? `${to}/${count + 1}` : undefined;
    },
    ends: (at) => {
      const [state, count] = parse(at);
      return accepts[state] && count >= min;
    },
  };
}
