/** Draws a canvas of tokens: text in place, masks between, each token in the colour of its confidence. */
import { plural } from './format.js';
import { width } from './glyphs.js';
import { layout, window, type Line, type Span } from './layout.js';

/** What drawing needs to know of a vocabulary. */
export interface Pieces {
  /** UTF-8 bytes of a token; a character may be spread over several tokens. */
  bytes(token: number): Uint8Array;
  /** The name of a control token; undefined for ordinary text. */
  special(token: number): string | undefined;
}

/** A canvas at one moment. All arrays have one entry per position. */
export interface CanvasState {
  tokens: ArrayLike<number>;
  mask: number;
  /** Of the token when it was committed, 0…1. */
  confidence: ArrayLike<number>;
  /** Positions committed a moment ago. */
  fresh: ReadonlySet<number>;
}

export interface RunState {
  /** Counts from 0. */
  block: number;
  blocks: number;
  remaining: number;
  committed: number;
  forwards: number;
  milliseconds: number;
}

/**
 * The text of a mask: a space, where a line may break, and blocks. As wide as the mean token of
 * `sample`, so that the text moves little when tokens appear.
 */
export function maskText(sample: ArrayLike<number>, pieces: Pieces): string {
  const ordinary = Array.from(sample).filter((token) => pieces.special(token) === undefined);
  const text = Buffer.concat(ordinary.map((token) => pieces.bytes(token))).toString();
  const mean = ordinary.length > 0 ? width(text) / ordinary.length : 4;
  return ` ${'░'.repeat(Math.min(6, Math.max(2, Math.round(mean))) - 1)}`;
}

/**
 * The canvas as coloured text. A control token that repeats is shown once, with `×` and the count.
 * @param lineLength tokens after which a line ends, for answers that are grids
 */
export function canvasSpans(
  state: CanvasState,
  pieces: Pieces,
  mask: string,
  lineLength = Infinity,
): Span[] {
  const spans: Span[] = [];
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true }); // U+FEFF is text like any other
  const flush = (): void => {
    const text = decoder.decode(); // \ufffd for an unfinished character; starts afresh
    if (text !== '') spans.push({ text, ink: 'dim' });
  };
  for (let i = 0; i < state.tokens.length; i++) {
    // A space more than the break: a mask that begins a line would lose its own, a token would not.
    if (i > 0 && i % lineLength === 0) spans.push({ text: '\n ', ink: 'plain' });
    const token = state.tokens[i];
    const name = token === state.mask ? mask : pieces.special(token);
    if (name === undefined) {
      const text = decoder.decode(pieces.bytes(token), { stream: true });
      spans.push({ text, ink: state.fresh.has(i) ? 'fresh' : state.confidence[i] });
      continue;
    }
    flush();
    if (token === state.mask) {
      spans.push({ text: mask, ink: 'mask' });
      continue;
    }
    const first = i;
    while (i + 1 < state.tokens.length && state.tokens[i + 1] === token) i++;
    spans.push({ text: first < i ? `${name}×${i - first + 1} ` : name, ink: 'dim' });
  }
  flush();
  return spans;
}

/** The lines of the spans that fit in a terminal; of a tall canvas, the part that is being written. */
export function visibleLines(spans: Span[], columns: number, rows: number): Line[] {
  const lines = layout(spans, Math.max(1, columns));
  const focus = lines.findLastIndex((line) => line.some(({ ink }) => ink !== 'mask'));
  return window(lines, Math.max(1, rows), focus);
}

/** `block 3/8 · 41 tokens left · 1.9 tokens/forward · 34 tokens/s · 1.2 s` */
export function statusLine(run: RunState): string {
  const seconds = run.milliseconds / 1000;
  const parts = [
    `block ${run.block + 1}/${run.blocks}`,
    `${plural(run.remaining, 'token')} left`,
    `${ratio(run.committed, run.forwards)} tokens/forward`,
    `${ratio(run.committed, seconds)} tokens/s`,
    `${seconds.toFixed(1)} s`,
  ];
  return parts.join(' · ');
}

/** Cells of a line. */
export function lineWidth(line: Line): number {
  return line.reduce((sum, { text }) => sum + width(text), 0);
}

/** `a / b` with one decimal; `–` when there is nothing to divide by. */
export function ratio(a: number, b: number): string {
  return b > 0 ? (a / b).toFixed(1) : '–';
}
