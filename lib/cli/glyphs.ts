/** Text as a terminal shows it: graphemes, how many cells each takes, nothing that steers the terminal. */
import { eastAsianWidth } from 'get-east-asian-width';

/** One grapheme and its width in terminal cells: 0, 1 or 2. A line break is the glyph `'\n'` of width 0. */
export interface Glyph {
  text: string;
  width: number;
}

const segmenter = new Intl.Segmenter('en', { granularity: 'grapheme' });
const unsafe = /[\p{Cc}\p{Cs}\u2028\u2029\u202a-\u202e\u2066-\u2069]/gu;
const plainAscii = /^[ -~]*$/;
const zeroWidth = /^[\p{Mark}\p{Default_Ignorable_Code_Point}]*$/u;
const emoji = /\p{Emoji_Presentation}|\p{Emoji}\ufe0f/u;

/**
 * Makes text safe to print: control characters appear as their pictures (ESC as ␛), tabs as spaces;
 * C1 controls, lone surrogates and bidirectional overrides as �. Line breaks stay.
 */
export function sanitise(text: string): string {
  if (plainAscii.test(text)) return text;
  return text.replaceAll('\r\n', '\n').replace(unsafe, (char) => {
    const code = char.charCodeAt(0);
    if (char === '\n') return char;
    if (char === '\t') return '    ';
    if (code < 0x20) return String.fromCharCode(0x2400 + code);
    if (code === 0x7f) return '\u2421';
    return code === 0x2028 || code === 0x2029 ? ' ' : '\ufffd';
  });
}

/** The glyphs of sanitised text. */
export function glyphs(text: string): Glyph[] {
  const safe = sanitise(text);
  if (plainAscii.test(safe)) return Array.from(safe, (char) => ({ text: char, width: 1 }));
  return Array.from(segmenter.segment(safe), ({ segment }) => ({
    text: segment,
    width: graphemeWidth(segment),
  }));
}

/** Cells that text takes on one line. */
export function width(text: string): number {
  return glyphs(text).reduce((sum, glyph) => sum + glyph.width, 0);
}

/** Cuts text so that it takes at most `cells`, with `…` where something was cut. */
export function truncate(text: string, cells: number): string {
  if (width(text) <= cells) return sanitise(text);
  let used = 0;
  let cut = '';
  for (const glyph of glyphs(text)) {
    if (used + glyph.width > cells - 1) break;
    used += glyph.width;
    cut += glyph.text;
  }
  return cells > 0 ? `${cut}…` : '';
}

function graphemeWidth(grapheme: string): number {
  if (grapheme === '\n' || zeroWidth.test(grapheme)) return 0;
  if (emoji.test(grapheme)) return 2;
  return eastAsianWidth(grapheme.codePointAt(0) ?? 0);
}
