import { describe, expect, test } from 'vitest';
import { glyphs, sanitise, truncate, width } from '../../lib/cli/glyphs.js';
import { layout, window, type Line } from '../../lib/cli/layout.js';
import * as format from '../../lib/cli/format.js';
import { operations } from '../../lib/cli/speed.js';

const text = (line: Line): string => line.map((span) => span.text).join('');
const wrap = (source: string, columns: number): string[] =>
  layout([{ text: source, ink: 'plain' }], columns).map(text);

describe('sanitise', () => {
  test('leaves ordinary text alone, in any script', () => {
    for (const plain of ['Hello, world!', 'Grüße\nän', '日本語', 'العربية', '👨‍👩‍👧‍👦 ok']) {
      expect(sanitise(plain)).toBe(plain);
    }
  });

  test('no escape sequence survives', () => {
    expect(sanitise('\x1b[2Jx')).toBe('␛[2Jx');
    expect(sanitise('\x1b]0;title\x07')).toBe('␛]0;title␇');
    expect(sanitise('a\u009b31mb')).toBe('a\ufffd31mb'); // C1 control sequence introducer
    for (let code = 0; code < 0xa0; code++) {
      const safe = sanitise(`a${String.fromCharCode(code)}b`);
      if (code !== 10) expect(safe).not.toMatch(/\p{Cc}/u);
    }
  });

  test('carriage returns, tabs, deletes, overrides, lone surrogates', () => {
    expect(sanitise('a\r\nb\rc')).toBe('a\nb␍c');
    expect(sanitise('a\tb\x7f')).toBe('a    b␡');
    expect(sanitise('x\u202eevil\u2066y')).toBe('x\ufffdevil\ufffdy');
    expect(sanitise('\ud800 \u2028')).toBe('\ufffd  ');
  });
});

describe('width', () => {
  test.each([
    ['', 0],
    ['abc', 3],
    ['é', 1],
    ['e\u0301', 1],
    ['日本', 4],
    ['ｱ', 1],
    ['Ａ', 2],
    ['👍', 2],
    ['👍🏽', 2],
    ['👨‍👩‍👧‍👦', 2],
    ['❤️', 2],
    ['❤', 1],
    ['🇫🇷', 2],
    ['한글', 4],
    ['\u200b', 0],
    ['░', 1],
  ])('%s', (source, cells) => {
    expect(width(source)).toBe(cells);
  });

  test('glyphs join back to the text', () => {
    const source = 'a👨‍👩‍👧‍👦é日\nb';
    expect(
      glyphs(source)
        .map((glyph) => glyph.text)
        .join(''),
    ).toBe(source);
  });

  test('truncate counts cells', () => {
    expect(truncate('abcdef', 6)).toBe('abcdef');
    expect(truncate('abcdef', 4)).toBe('abc…');
    expect(truncate('日本語', 5)).toBe('日本…');
    expect(truncate('abc', 0)).toBe('');
  });
});

describe('layout', () => {
  test('breaks at spaces, and in words that are too long', () => {
    expect(wrap('the quick brown fox', 10)).toEqual(['the quick ', 'brown fox']);
    expect(wrap('abcdefghij', 4)).toEqual(['abcd', 'efgh', 'ij']);
    expect(wrap('abcd efgh', 4)).toEqual(['abcd', 'efgh']);
  });

  test('line breaks, also at the end and doubled', () => {
    expect(wrap('a\n\nb\n', 10)).toEqual(['a', '', 'b', '']);
  });

  test('no line is wider than the terminal; nothing but spaces at breaks is lost', () => {
    const source =
      'To be, or 日本語の文章はここ not 👍👍👍 to be: that is thequestionwithoutspaces \n end';
    for (let columns = 2; columns < 40; columns++) {
      const lines = wrap(source, columns);
      for (const line of lines) expect(width(line)).toBeLessThanOrEqual(columns);
      expect(lines.join('').replaceAll(' ', '')).toBe(source.replace(/[ \n]/g, ''));
    }
  });

  test('keeps inks apart, across a break as well', () => {
    const lines = layout(
      [
        { text: 'ab', ink: 0.5 },
        { text: 'cd ef', ink: 'dim' },
      ],
      5,
    );
    expect(lines).toEqual([
      [
        { text: 'ab', ink: 0.5 },
        { text: 'cd ', ink: 'dim' },
      ],
      [{ text: 'ef', ink: 'dim' }],
    ]);
  });

  test('masks do not begin a line with their space', () => {
    const lines = layout(
      [
        { text: 'a\n', ink: 'plain' },
        { text: ' ░░', ink: 'mask' },
        { text: ' ░░', ink: 'mask' },
      ],
      5,
    );
    expect(lines.map(text)).toEqual(['a', '░░ ░░']);
  });

  test('a window shows the line in focus and two more', () => {
    const lines = Array.from({ length: 20 }, (_, i) => i);
    expect(window(lines, 5, 0)).toEqual([0, 1, 2, 3, 4]);
    expect(window(lines, 5, 10)).toEqual([8, 9, 10, 11, 12]);
    expect(window(lines, 5, 19)).toEqual([15, 16, 17, 18, 19]);
    expect(window(lines, 50, 3)).toEqual(lines);
    expect(window([], 5, -1)).toEqual([]);
  });
});

describe('format', () => {
  test.each([
    [0, '0 B'],
    [1023, '1023 B'],
    [1024, '1.00 KiB'],
    [1024 * 1023.9, '1.00 MiB'],
    [7_847_680, '7.48 MiB'],
    [4.9 * 2 ** 30, '4.90 GiB'],
  ])('bytes %d', (value, shown) => {
    expect(format.bytes(value)).toBe(shown);
  });

  test.each([
    [999, '999'],
    [1000, '1.00 K'],
    [7_344_128, '7.34 M'],
    [999_999, '1.00 M'],
    [8_015_581_184, '8.02 B'],
  ])('count %d', (value, shown) => {
    expect(format.count(value)).toBe(shown);
  });

  test.each([
    [0.5, '0.500 ms'],
    [12.34, '12.3 ms'],
    [999.4, '999 ms'],
    [999.6, '1.00 s'],
    [12_340, '12.3 s'],
    [125_000, '2 min 05 s'],
  ])('duration %d', (value, shown) => {
    expect(format.duration(value)).toBe(shown);
  });

  test('a table is aligned by width in cells', () => {
    expect(
      format.table(
        ['name', '>size'],
        [
          ['日本', '5'],
          ['x', '100'],
        ],
      ),
    ).toBe('name  size\n日本     5\nx      100');
  });

  test('quoted and oneLine keep to one safe line', () => {
    expect(format.quoted('a\n"b"\u009b', 40)).toBe('"a\\n\\"b\\"\ufffd"');
    expect(format.quoted('x'.repeat(100), 10)).toBe('"xxxxxxxx…');
    expect(format.oneLine('first\n  second\x1b[0m')).toBe('first second␛[0m');
  });

  test('median', () => {
    expect(format.median([3, 1, 2])).toBe(2);
    expect(format.median([4, 1, 2, 3])).toBe(2.5);
    expect(format.median([])).toBeNaN();
  });
});

describe('operations of a forward', () => {
  const shape = { layers: 1, dim: 2, heads: 1, kvHeads: 1, headDim: 2, vocabulary: 8 };
  const dense = { ...shape, ffn: 4, experts: 0, expertsUsed: 0, expertFfn: 0 };

  test('dense: keys and values 8 weights, q and o 8, feed-forward 24, five keys', () => {
    const whole = 2 * (8 + 8 + 24) + 2 * 2 * 8;
    expect(operations(dense, 1, 1, 5)).toEqual({ matrix: whole, attention: 4 * 5 * 2 });
    // Rows that are not reported end with their keys and values in the last layer.
    expect(operations(dense, 3, 1, 5)).toEqual({ matrix: whole + 2 * 2 * 8, attention: 40 });
    const { matrix, attention } = operations({ ...dense, layers: 2 }, 3, 1, 5);
    expect(matrix).toBe(whole + 2 * 2 * 8 + 3 * 2 * (8 + 8 + 24));
    expect(attention).toBe(4 * 40);
  });

  test('a mixture counts the router and the experts in use', () => {
    const mixture = { ...dense, ffn: 0, experts: 4, expertsUsed: 2, expertFfn: 3 };
    const { matrix } = operations(mixture, 1, 1, 5);
    expect(matrix).toBe(2 * (16 + 2 * 4 + 2 * 3 * 2 * 3) + 2 * 2 * 8);
  });

  test('fewer key and value heads are fewer weights', () => {
    const grouped = { ...dense, heads: 2, ffn: 0 };
    const { matrix, attention } = operations(grouped, 1, 1, 1);
    expect(matrix).toBe(2 * (8 + 4 + 4 + 8) + 2 * 2 * 8);
    expect(attention).toBe(4 * 2 * 2);
  });
});
