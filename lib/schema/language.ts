/** Regular expressions as automata, for `pattern` and `format`: Brzozowski's derivatives (1964). */

/** Inclusive ranges of code units, ascending. */
type Units = readonly (readonly [number, number])[];

type Expression =
  | { kind: 'empty' }
  | { kind: 'units'; units: Units }
  | { kind: 'sequence'; first: Expression; then: Expression }
  | { kind: 'any'; of: readonly Expression[] }
  | { kind: 'star'; of: Expression };

/** A deterministic automaton; state 0 is the first. */
export interface Language {
  /** Lower ends of the classes that units fall into, ascending from 0. */
  starts: readonly number[];
  /** (states, classes) the next state, −1: none. */
  next: readonly (readonly number[])[];
  accepts: readonly boolean[];
}

/** What a pattern has that is not understood. */
export class PatternError extends Error {}

export const mostStates = 3000;
const mostRepeats = 200;
/** Parts of an expression once its repeats are written out. */
const mostParts = 4000;
/** Groups inside of each other. */
const mostDepth = 100;
/** Letters of all expressions that are compared: what making an automaton costs. */
const mostLetters = 1 << 25;
const last = 0xffff;

/** In JSON these need an escape or a partner: nothing that is written here has them. */
const outside: Units = [
  [0, 0x1f],
  [0x22, 0x22],
  [0x5c, 0x5c],
  [0xd800, 0xdfff],
];

// ---- Sets of units -----------------------------------------------------------------------------

function normal(units: Units): Units {
  const sorted = [...units].sort((a, b) => a[0] - b[0]);
  const merged: [number, number][] = [];
  for (const [from, to] of sorted) {
    const before = merged.at(-1);
    if (before !== undefined && from <= before[1] + 1) before[1] = Math.max(before[1], to);
    else merged.push([from, to]);
  }
  return merged;
}

function complement(units: Units): Units {
  const rest: [number, number][] = [];
  let next = 0;
  for (const [from, to] of normal(units)) {
    if (from > next) rest.push([next, from - 1]);
    next = to + 1;
  }
  if (next <= last) rest.push([next, last]);
  return rest;
}

const holds = (units: Units, unit: number) =>
  units.some(([from, to]) => unit >= from && unit <= to);

const span = (text: string): Units =>
  text.split(' ').map((pair) => [pair.charCodeAt(0), pair.charCodeAt(pair.length - 1)]);
const digits = span('0-9');
const word = span('A-Z a-z 0-9 _');
const spaces: Units = [
  [9, 13],
  [32, 32],
  [0xa0, 0xa0],
  [0x2028, 0x2029],
  [0xfeff, 0xfeff],
];
const lines: Units = [
  [10, 10],
  [13, 13],
  [0x2028, 0x2029],
];
const classes: Record<string, Units> = {
  d: digits,
  D: complement(digits),
  w: word,
  W: complement(word),
  s: spaces,
  S: complement(spaces),
};
const controls: Record<string, number> = { n: 10, r: 13, t: 9, f: 12, v: 11, '0': 0 };

// ---- Expressions -------------------------------------------------------------------------------

const empty: Expression = { kind: 'empty' };
const none: Expression = { kind: 'any', of: [] };
const anything: Expression = { kind: 'star', of: { kind: 'units', units: complement(lines) } };

const isNone = (e: Expression) => e.kind === 'any' && e.of.length === 0;

function sequence(first: Expression, then: Expression): Expression {
  if (isNone(first) || isNone(then)) return none;
  if (first.kind === 'empty') return then;
  if (then.kind === 'empty') return first;
  if (first.kind !== 'sequence') return { kind: 'sequence', first, then };
  return sequence(first.first, sequence(first.then, then));
}

const keys = new WeakMap<Expression, string>();
/** Equal texts, equal expressions. */
function keyOf(e: Expression): string {
  let key = keys.get(e);
  if (key === undefined) {
    if (e.kind === 'empty') key = '()';
    else if (e.kind === 'units') key = `[${e.units.join(';')}]`;
    else if (e.kind === 'star') key = `(${keyOf(e.of)})*`;
    else if (e.kind === 'sequence') key = `${keyOf(e.first)}.${keyOf(e.then)}`;
    else key = `(${e.of.map(keyOf).join('|')})`;
    keys.set(e, key);
  }
  return key;
}

function any(of: readonly Expression[]): Expression {
  const parts = of.flatMap((e) => (e.kind === 'any' ? e.of : [e]));
  const distinct = new Map(parts.map((e) => [keyOf(e), e]));
  const sorted = [...distinct].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, e]) => e);
  return sorted.length === 1 ? sorted[0] : { kind: 'any', of: sorted };
}

function nullable(e: Expression): boolean {
  if (e.kind === 'sequence') return nullable(e.first) && nullable(e.then);
  if (e.kind === 'any') return e.of.some(nullable);
  return e.kind === 'empty' || e.kind === 'star';
}

/** What may follow `unit`. */
function derivative(e: Expression, unit: number): Expression {
  switch (e.kind) {
    case 'empty':
      return none;
    case 'units':
      return holds(e.units, unit) ? empty : none;
    case 'any':
      return any(e.of.map((part) => derivative(part, unit)));
    case 'star':
      return sequence(derivative(e.of, unit), e);
    case 'sequence': {
      const first = sequence(derivative(e.first, unit), e.then);
      return nullable(e.first) ? any([first, derivative(e.then, unit)]) : first;
    }
  }
}

function boundaries(e: Expression, into: Set<number>): void {
  if (e.kind === 'units') {
    for (const [from, to] of e.units) into.add(from).add(to + 1);
  } else if (e.kind === 'sequence') {
    boundaries(e.first, into);
    boundaries(e.then, into);
  } else if (e.kind === 'any') e.of.forEach((part) => boundaries(part, into));
  else if (e.kind === 'star') boundaries(e.of, into);
}

function automaton(expression: Expression): Language {
  const edges = new Set([0]);
  boundaries(expression, edges);
  boundaries({ kind: 'units', units: outside }, edges);
  const starts = [...edges].filter((unit) => unit <= last).sort((a, b) => a - b);
  const states = [expression];
  const index = new Map([[keyOf(expression), 0]]);
  const next: number[][] = [];
  let letters = 0;
  for (let at = 0; at < states.length; at++) {
    next.push(
      starts.map((unit) => {
        const to = holds(outside, unit) ? none : derivative(states[at], unit);
        if (isNone(to)) return -1;
        const key = keyOf(to);
        letters += key.length;
        if (letters > mostLetters) throw new PatternError('needs too much work');
        if (!index.has(key)) index.set(key, states.push(to) - 1);
        return index.get(key)!;
      }),
    );
    if (states.length > mostStates) throw new PatternError('needs too many states');
  }
  return { starts, next, accepts: states.map(nullable) };
}

// ---- Syntax ------------------------------------------------------------------------------------

class Parser {
  #at = 0;
  #parts = 0;
  #depth = 0;
  readonly #pattern: string;
  constructor(pattern: string) {
    this.#pattern = pattern;
  }

  parse(): Expression {
    const whole = this.#alternatives(true);
    if (this.#at < this.#pattern.length) this.#refuse('an unmatched )');
    return whole;
  }

  #refuse(what: string): never {
    throw new PatternError(`has ${what} at ${this.#at}`);
  }

  #eat(text: string): boolean {
    if (!this.#pattern.startsWith(text, this.#at)) return false;
    this.#at += text.length;
    return true;
  }

  /** @param outer a search begins and ends anywhere, unless ^ and $ say otherwise */
  #alternatives(outer: boolean): Expression {
    const parts: Expression[] = [];
    do {
      const start = outer && !this.#eat('^') ? anything : empty;
      let body = empty;
      let open = outer;
      while (this.#at < this.#pattern.length && !'|)'.includes(this.#pattern[this.#at])) {
        if (outer && this.#eat('$')) {
          if (this.#at < this.#pattern.length && this.#pattern[this.#at] !== '|') {
            this.#refuse('text behind $');
          }
          open = false;
        } else body = sequence(body, this.#repeated());
      }
      parts.push(sequence(start, sequence(body, open ? anything : empty)));
    } while (this.#eat('|'));
    return any(parts);
  }

  #repeated(): Expression {
    const before = this.#parts;
    const one = this.#atom();
    let result = one;
    for (;;) {
      const [least, most] = this.#quantifier() ?? [-1, -1];
      if (least < 0) return result;
      const times = Math.max(1, most === Infinity ? least : most);
      this.#parts = before + (this.#parts - before) * times;
      if (this.#parts > mostParts) throw new PatternError('needs too many states');
      const part = result;
      const tail = most === Infinity ? { kind: 'star' as const, of: part } : empty;
      let optional: Expression = tail;
      for (let i = least; i < most && most !== Infinity; i++) {
        optional = any([empty, sequence(part, optional)]);
      }
      result = optional;
      for (let i = 0; i < least; i++) result = sequence(part, result);
    }
  }

  #quantifier(): [number, number] | undefined {
    const rest = this.#pattern.slice(this.#at);
    const [text, , low, comma, high] = /^(?:[*+?]|(\{(\d+)(,?)(\d*)\}))\??/.exec(rest) ?? [];
    if (text === undefined) return undefined;
    this.#at += text.length;
    if (text.startsWith('*')) return [0, Infinity];
    if (text.startsWith('+')) return [1, Infinity];
    if (text.startsWith('?')) return [0, 1];
    const least = Number(low);
    const most = high !== '' ? Number(high) : comma === '' ? least : Infinity;
    const finite = most === Infinity ? least : most;
    if (finite > mostRepeats || finite < least) this.#refuse(`a repeat beyond ${mostRepeats}`);
    return [least, most];
  }

  #atom(): Expression {
    if (++this.#parts > mostParts) throw new PatternError('needs too many states');
    if (this.#eat('(?:') || (!this.#pattern.startsWith('(?', this.#at) && this.#eat('('))) {
      return this.#group();
    }
    const [named] = /^\(\?<[A-Za-z_]\w*>/.exec(this.#pattern.slice(this.#at)) ?? [];
    if (named !== undefined) {
      this.#at += named.length;
      return this.#group();
    }
    if (this.#pattern.startsWith('(?', this.#at)) this.#refuse('a look-around');
    if (this.#eat('[')) return { kind: 'units', units: this.#set() };
    if (this.#eat('.')) return { kind: 'units', units: complement(lines) };
    if (this.#eat('\\')) return { kind: 'units', units: this.#escape(false) };
    const unit = this.#pattern[this.#at];
    if ('^$*+?{'.includes(unit)) this.#refuse(`${unit} where it has no meaning here`);
    return { kind: 'units', units: this.#unit() };
  }

  #group(): Expression {
    if (++this.#depth > mostDepth) this.#refuse(`groups deeper than ${mostDepth}`);
    const inner = this.#alternatives(false);
    this.#depth--;
    if (!this.#eat(')')) this.#refuse('an unmatched (');
    return inner;
  }

  #unit(): Units {
    const code = this.#pattern.charCodeAt(this.#at++);
    if (code >= 0xd800 && code <= 0xdfff) this.#refuse('a character beyond U+FFFF');
    return [[code, code]];
  }

  #escape(inSet: boolean): Units {
    const letter = this.#pattern[this.#at] ?? '';
    if (letter in classes) return (this.#at++, classes[letter]);
    if (letter in controls) return (this.#at++, [[controls[letter], controls[letter]]]);
    const [hex] = /^(?:x[\da-f]{2}|u[\da-f]{4})/i.exec(this.#pattern.slice(this.#at)) ?? [];
    if (hex !== undefined) {
      this.#at += hex.length;
      const code = parseInt(hex.slice(1), 16);
      return [[code, code]];
    }
    if (/[A-Za-z1-9]/.test(letter) || letter === '') this.#refuse(`\\${letter}`);
    if (!inSet && letter === '-') this.#refuse('\\-');
    return this.#unit();
  }

  #set(): Units {
    const inverted = this.#eat('^');
    const units: (readonly [number, number])[] = [];
    while (!this.#eat(']')) {
      if (this.#at >= this.#pattern.length) this.#refuse('an unmatched [');
      const from = this.#eat('\\') ? this.#escape(true) : this.#unit();
      const ranged = this.#pattern[this.#at] === '-' && this.#pattern[this.#at + 1] !== ']';
      const single = from.length === 1 && from[0][0] === from[0][1];
      if (!ranged || !single) {
        units.push(...from);
        continue;
      }
      this.#at++;
      const to = this.#eat('\\') ? this.#escape(true) : this.#unit();
      if (to.length !== 1 || to[0][1] < from[0][0]) this.#refuse('a range that is none');
      units.push([from[0][0], to[0][1]]);
    }
    return inverted ? complement(units) : normal(units);
  }
}

/**
 * What a pattern of JSON Schema finds somewhere in a text. Without look-around, back references, word
 * boundaries and classes by Unicode property; and without texts that JSON would have to escape.
 *
 * Throws `PatternError`.
 */
export function languageOf(pattern: string): Language {
  return automaton(new Parser(pattern).parse());
}
