/** Guides against what they stand for: every number of a range, every text of a pattern. */
import { expect, test } from 'vitest';
import { Random } from '../../lib/gguf/random.js';
import { languageOf } from '../../lib/schema/language.js';
import { decimal, numberGuide } from '../../lib/schema/number.js';
import { both, languageGuide } from '../../lib/schema/strings.js';
import type { Guide } from '../../lib/schema/types.js';

/** All values of a guide over some units; every state on the way must lead to one. */
function values(guide: Guide, units: readonly string[], state = guide.start, text = ''): string[] {
  const here = guide.ends(state) ? [text] : [];
  const more = units.flatMap((unit) => {
    const then = guide.next(state, unit);
    return then === undefined ? [] : values(guide, units, then, text + unit);
  });
  expect(here.length + more.length, `${text} leads nowhere`).toBeGreaterThan(0);
  return [...here, ...more];
}

test('numbers: exactly those of the range, each beginning leads to one', () => {
  const random = new Random(3);
  for (let run = 0; run < 150; run++) {
    const places = random.bits() % 3;
    const least = BigInt((random.bits() % 400) - 200);
    const most = least + BigInt(random.bits() % 250);
    const step = BigInt(1 + (random.bits() % 12));
    const wanted: number[] = [];
    for (let n = least; n <= most; n++) if (n % step === 0n) wanted.push(Number(n) / 10 ** places);
    if (wanted.length === 0) continue;
    const texts = values(numberGuide({ places, least, most, step }), '-.0123456789'.split(''));
    const found = [...new Set(texts.map(Number))].sort((a, b) => a - b);
    expect(found.map((x) => x.toFixed(4))).toEqual(wanted.map((x) => x.toFixed(4)));
    expect(texts.every((text) => String(JSON.parse(text)) === String(Number(text)))).toBe(true);
  }
});

test('decimals are exact', () => {
  expect(decimal(0.25)).toEqual({ n: 25n, places: 2 });
  expect(decimal(-1e-7)).toEqual({ n: -1n, places: 7 });
  expect(decimal(1.5e21)).toEqual({ n: 1500000000000000000000n, places: 0 });
});

test.each([
  '^a(b|c)*d?$',
  'ab',
  '^(ab|a)(c|bcd)$',
  '^[^ab]{1,2}$',
  'a|^b$',
  '^\\w\\d?\\s*$',
  '^(?:a{2,3}|b+?)c*$',
  '^(?<name>a.)*$',
  '^[a-c\\-]+$',
  '^$',
])('pattern %s: the texts that a RegExp finds', (pattern) => {
  const units = 'abcd1 -'.split('');
  const guide = languageGuide(languageOf(pattern), 0, 4)!;
  const expression = new RegExp(pattern, 'u');
  const all = [''];
  for (const text of all) if (text.length < 4) all.push(...units.map((unit) => text + unit));
  expect(values(guide, units).sort()).toEqual(all.filter((text) => expression.test(text)).sort());
});

test('lengths and a second language narrow a language', () => {
  const language = both(languageOf('^[ab]+$'), languageOf('b'));
  expect(values(languageGuide(language, 2, 2)!, ['a', 'b']).sort()).toEqual(['ab', 'ba', 'bb']);
  expect(languageGuide(languageOf('^a$'), 2, 5)).toBeUndefined();
});
