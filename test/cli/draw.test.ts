import { afterEach, describe, expect, test, vi } from 'vitest';
import {
  canvasSpans,
  maskText,
  statusLine,
  visibleLines,
  type CanvasState,
  type Pieces,
} from '../../lib/cli/canvas.js';
import { colourDepth, confidenceColour, painter } from '../../lib/cli/colour.js';
import { layout } from '../../lib/cli/layout.js';
import { loadProgress } from '../../lib/cli/progress.js';
import { Screen, type Terminal } from '../../lib/cli/screen.js';

const mask = 99;
// 0…: words; 10, 11: halves of é; 50: a control token
const words = ['The', ' quick', ' fox', '\n', ' end'];
const pieces: Pieces = {
  bytes: (token) => {
    if (token === 10) return Uint8Array.of(0xc3);
    if (token === 11) return Uint8Array.of(0xa9);
    return new TextEncoder().encode(words[token]);
  },
  special: (token) => (token === 50 ? '<|end|>' : token === mask ? '<|mask|>' : undefined),
};

function canvas(tokens: number[], fresh: number[] = []): CanvasState {
  return { tokens, mask, confidence: tokens.map((_, i) => i / 10), fresh: new Set(fresh) };
}

describe('canvas', () => {
  test('tokens in their colours, masks between', () => {
    expect(canvasSpans(canvas([0, mask, 2], [2]), pieces, '░░ ')).toEqual([
      { text: 'The', ink: 0 },
      { text: '░░ ', ink: 'mask' },
      { text: ' fox', ink: 'fresh' },
    ]);
  });

  test('a character over two tokens appears when both are there', () => {
    const whole = canvasSpans(canvas([10, 11]), pieces, '░');
    expect(whole.map((span) => span.text).join('')).toBe('é');
    const broken = canvasSpans(canvas([10, mask, 11]), pieces, '░');
    expect(broken.map((span) => span.text).join('')).toBe('\ufffd░\ufffd');
  });

  test('repeated control tokens are counted', () => {
    const spans = canvasSpans(canvas([0, 50, 50, 50, mask, 50]), pieces, '░');
    expect(spans.map((span) => span.text)).toEqual(['The', '<|end|>×3 ', '░', '<|end|>']);
  });

  test('a mask is as wide as the mean token, within bounds', () => {
    expect(maskText([0, 1, 2], pieces)).toBe(' ░░░'); // 3 + 6 + 4 cells
    expect(maskText([50], pieces)).toBe(' ░░░'); // nothing to go by
    expect(maskText([3, 3], pieces)).toBe(' ░');
  });

  test('a grid has a line for every row, its columns under each other', () => {
    const spans = canvasSpans(canvas([0, mask, mask, 0]), pieces, ' ░', 2);
    const lines = layout([{ text: ' ', ink: 'plain' }, ...spans], 40);
    const text = lines.map((line) => line.map((span) => span.text).join(''));
    expect(text).toHaveLength(2);
    expect(text[0].endsWith(' ░')).toBe(true);
    expect(text[1].startsWith('  ░')).toBe(true);
  });

  test('of a tall canvas the part that is being written is seen', () => {
    const tokens = Array.from({ length: 40 }, (_, i) => (i < 10 ? i % 2 : mask));
    const lines = visibleLines(canvasSpans(canvas(tokens), pieces, '░░░ '), 10, 4);
    expect(lines).toHaveLength(4);
    expect(lines.some((line) => line.some((span) => typeof span.ink === 'number'))).toBe(true);
  });

  test('status', () => {
    const run = { block: 2, blocks: 8, remaining: 1, committed: 19, forwards: 10 };
    expect(statusLine({ ...run, milliseconds: 500 })).toBe(
      'block 3/8 · 1 token left · 1.9 tokens/forward · 38.0 tokens/s · 0.5 s',
    );
    expect(statusLine({ ...run, committed: 0, forwards: 0, milliseconds: 0 })).toContain(
      '– tokens/forward · – tokens/s',
    );
  });
});

describe('colour', () => {
  afterEach(() => vi.unstubAllEnvs());

  test('red, yellow, green', () => {
    const [low, middle, high] = [0, 0.5, 1].map(confidenceColour);
    expect(low[0]).toBeGreaterThan(low[1] * 2);
    expect(Math.min(middle[0], middle[1])).toBeGreaterThan(150);
    expect(high[1]).toBeGreaterThan(high[0] * 2);
    expect(confidenceColour(7)).toEqual(high);
    expect(confidenceColour(-7)).toEqual(low);
  });

  test('each depth has its own codes', () => {
    expect(painter(1)('x', 0.9)).toBe('x');
    expect(painter(4)('x', 0.9)).toBe('\x1b[32mx\x1b[0m');
    expect(painter(4)('x', 0.1)).toBe('\x1b[31mx\x1b[0m');
    expect(painter(8)('x', 0)).toMatch(/^\x1b\[38;5;\d+mx\x1b\[0m$/);
    expect(painter(24)('x', 1)).toMatch(/^\x1b\[38;2;\d+;\d+;\d+mx\x1b\[0m$/);
    expect(painter(24)('x', 'plain')).toBe('x');
    expect(painter(24)('', 'dim')).toBe('');
  });

  test('NO_COLOR, --no-color and pipes mean none', () => {
    const stream = { isTTY: true, getColorDepth: () => 24 } as NodeJS.WriteStream;
    vi.stubEnv('NO_COLOR', '');
    expect(colourDepth(stream, true)).toBe(24);
    expect(colourDepth(stream, false)).toBe(1);
    expect(colourDepth({ isTTY: false } as NodeJS.WriteStream, true)).toBe(1);
    vi.stubEnv('NO_COLOR', '1');
    expect(colourDepth(stream, true)).toBe(1);
  });
});

/** Enough of a terminal: lines of text, a cursor, and the codes that `Screen` writes. */
class FakeTerminal implements Terminal {
  columns = 20;
  rows = 10;
  writableNeedDrain = false;
  cursorShown = true;
  wraps = true;
  lines: string[] = [''];
  row = 0;
  column = 0;

  write(text: string): boolean {
    for (const [, code, char] of text.matchAll(/\x1b\[([?\d]*[A-Za-z])|([^\x1b])/g)) {
      if (code === undefined) this.put(char);
      else this.control(code);
    }
    return true;
  }

  private put(char: string): void {
    if (char === '\r') this.column = 0;
    else if (char === '\n') {
      this.column = 0;
      this.row++;
      this.lines[this.row] ??= '';
    } else {
      const line = this.lines[this.row].padEnd(this.column);
      this.lines[this.row] = line.slice(0, this.column) + char + line.slice(this.column + 1);
      this.column++;
    }
  }

  private control(code: string): void {
    if (code === '?25l') this.cursorShown = false;
    else if (code === '?25h') this.cursorShown = true;
    else if (code === '?7l') this.wraps = false;
    else if (code === '?7h') this.wraps = true;
    else if (code === 'K') this.lines[this.row] = this.lines[this.row].slice(0, this.column);
    else if (code === 'J') {
      this.lines.length = this.row + 1;
      this.lines[this.row] = this.lines[this.row].slice(0, this.column);
    } else if (code.endsWith('A')) this.row -= parseInt(code);
    else if (!code.startsWith('?2026')) throw new Error(`unknown code ${code}`);
  }
}

describe('screen', () => {
  const lines = (...texts: string[]) => texts.map((text) => ({ text, width: text.length }));

  test('redraws only its own lines, and grows and shrinks', () => {
    const terminal = new FakeTerminal();
    terminal.write('before\n');
    const screen = new Screen(terminal);
    screen.draw(lines('one', 'two', 'status'));
    expect(terminal.lines).toEqual(['before', 'one', 'two', 'status', '']);
    expect([terminal.cursorShown, terminal.wraps]).toEqual([false, false]);
    screen.draw(lines('one', 'deux', 'trois', 'st'));
    expect(terminal.lines).toEqual(['before', 'one', 'deux', 'trois', 'st', '']);
    screen.draw(lines('1', 'st'));
    expect(terminal.lines).toEqual(['before', '1', 'st', '']);
    screen.close(lines('final'));
    expect(terminal.lines).toEqual(['before', 'final', '']);
    expect([terminal.cursorShown, terminal.wraps]).toEqual([true, true]);
    screen.close(lines('again'));
    expect(terminal.lines).toEqual(['before', 'final', '']);
  });

  test('a terminal made narrower is redrawn whole', () => {
    const terminal = new FakeTerminal();
    terminal.write('before\n');
    const screen = new Screen(terminal);
    screen.draw(lines('abcdefghijklmnop', 'status'));
    // what a reflowing terminal does with the first line
    terminal.columns = 10;
    terminal.lines = ['before', 'abcdefghij', 'klmnop', 'status', ''];
    terminal.row = 4;
    screen.draw(lines('abcdefghij', 'klmnop', 'st'));
    expect(terminal.lines).toEqual(['before', 'abcdefghij', 'klmnop', 'st', '']);
  });

  test('close without a draw writes nothing', () => {
    const terminal = new FakeTerminal();
    new Screen(terminal).close();
    expect(terminal.lines).toEqual(['']);
  });
});

describe('progress', () => {
  function stream(isTTY: boolean) {
    const written: string[] = [];
    const write = (text: string) => written.push(text) > 0;
    return { written, stream: { isTTY, columns: 60, write } as unknown as NodeJS.WriteStream };
  }

  test('shows up only after a while, once per percent, and goes away', () => {
    const { written, stream: terminal } = stream(true);
    let time = 0;
    const progress = loadProgress(terminal, 'x.gguf', () => time);
    progress.update({ loaded: 10, total: 1000 });
    time = 400;
    progress.update({ loaded: 500, total: 1000 });
    progress.update({ loaded: 501, total: 1000 });
    progress.update({ loaded: 510, total: 1000 });
    progress.done();
    progress.done();
    expect(written).toEqual([
      '\rloading x.gguf: 50 % of 1000 B\x1b[K',
      '\rloading x.gguf: 51 % of 1000 B\x1b[K',
      '\r\x1b[K',
    ]);
  });

  test('is silent when piped', () => {
    const { written, stream: pipe } = stream(false);
    let time = 0;
    const progress = loadProgress(pipe, 'x.gguf', () => (time += 1000));
    progress.update({ loaded: 500, total: 1000 });
    progress.done();
    expect(written).toEqual([]);
  });
});
