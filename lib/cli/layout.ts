/** Breaks coloured text into terminal lines. */
import { glyphs, type Glyph } from './glyphs.js';

/**
 * What a piece of text is, which decides its colour: a number is the confidence of a token, 0…1.
 * `fresh` was committed a moment ago.
 */
export type Ink = number | 'plain' | 'dim' | 'mask' | 'fresh';

export interface Span {
  text: string;
  ink: Ink;
}

export type Line = Span[];

interface Placed extends Glyph {
  ink: Ink;
}

/**
 * Lays spans out in lines of at most `columns` cells, broken at spaces where there are any. Masks
 * begin with a space, which a line does not need.
 */
export function layout(spans: Iterable<Span>, columns: number): Line[] {
  const lines: Line[] = [];
  let line: Placed[] = [];
  let used = 0;
  const close = (kept: Placed[]): void => {
    lines.push(merge(line));
    line = kept;
    used = kept.reduce((sum, glyph) => sum + glyph.width, 0);
  };
  for (const { text, ink } of spans) {
    for (const glyph of glyphs(text)) {
      if (glyph.text === '\n') {
        close([]);
        continue;
      }
      if (used + glyph.width > columns) {
        if (glyph.text === ' ') {
          close([]);
          continue;
        }
        const space = line.findLastIndex(({ text }) => text === ' ');
        close(line.splice(space < 0 ? line.length : space + 1));
      }
      if (ink === 'mask' && glyph.text === ' ' && line.length === 0) continue;
      line.push({ ...glyph, ink });
      used += glyph.width;
    }
  }
  close([]);
  return lines;
}

function merge(line: Placed[]): Line {
  const spans: Line = [];
  for (const { text, ink } of line) {
    const last = spans.at(-1);
    if (last && last.ink === ink) last.text += text;
    else spans.push({ text, ink });
  }
  return spans;
}

/**
 * The part of the lines that fits in `height`, so that line `focus` is seen with what comes before
 * it, and with up to two lines after it.
 */
export function window<T>(lines: T[], height: number, focus: number): T[] {
  const end = Math.min(lines.length, Math.max(height, focus + 3));
  return lines.slice(Math.max(0, end - height), end);
}
