/** Follows a generation in a terminal: the canvas as it is denoised, and a status line below. */
import type { Frame } from '../frames.js';
import type { Generation, GenerationResult } from '../generation.js';
import type { Tokenizer } from '../text/tokenizer.js';
import {
  canvasSpans,
  lineWidth,
  statusLine,
  visibleLines,
  type CanvasState,
  type Pieces,
  type RunState,
} from './canvas.js';
import type { Paint } from './colour.js';
import { truncate, width } from './glyphs.js';
import { layout, type Line, type Span } from './layout.js';
import type { Screen, ScreenLine } from './screen.js';

const frameTime = 33; // milliseconds: 30 redraws a second
const maxShare = 0.1; // of the time that drawing may take
const idleTime = 100; // milliseconds between redraws while a slow model computes
const flashTime = 150; // milliseconds that a new token stays bright

export function tokenizerPieces(tokenizer: Tokenizer): Pieces {
  const names = new Map(Array.from(tokenizer.controlTokens, ([name, id]) => [id, name]));
  return { bytes: (id) => tokenizer.bytes(id), special: (id) => names.get(id) };
}

/** What is drawn, and where. */
export interface LiveOptions {
  screen: Screen;
  terminal: { columns: number; rows: number };
  paint: Paint;
  pieces: Pieces;
  /** Token id of the mask. */
  mask: number;
  maskText: string;
  /** What the answer continues, shown dim in front of it. */
  before: string;
  maxTokens: number;
  /** Tokens after which a line ends, for answers that are grids. Default: none. */
  lineLength?: number;
}

export class LiveView {
  #canvas: Omit<CanvasState, 'fresh'>;
  #run: Omit<RunState, 'milliseconds'> | undefined;
  readonly #committedAt = new Map<number, number>(); // index in the answer -> time
  readonly #start = performance.now();
  #nextDraw = 0;

  constructor(private readonly options: LiveOptions) {
    const { maxTokens, mask: id } = options;
    this.#canvas = {
      tokens: new Int32Array(maxTokens).fill(id),
      mask: id,
      confidence: new Float32Array(maxTokens),
    };
  }

  /** Draws until the generation ends; then its text stays, and the cursor is below it. */
  async follow(generation: Generation): Promise<GenerationResult> {
    await this.watch(generation, async () => {
      const { finishReason, tokens } = await generation.result;
      return finishReason === 'steps' ? Infinity : tokens.length;
    });
    return generation.result;
  }

  /**
   * Draws frames as they come.
   * @param end how much of the answer stays at last: not the end of text and what follows it
   */
  async watch(frames: AsyncIterable<Frame>, end: () => number | Promise<number>): Promise<void> {
    const timer = setInterval(() => this.#draw(), idleTime);
    try {
      this.#draw();
      for await (const frame of frames) {
        this.#take(frame);
        this.#draw();
      }
      this.#cut(await end());
    } finally {
      clearInterval(timer);
      this.#leaveText();
    }
  }

  #take({ tokens, probability, committed, ...frame }: Frame): void {
    const now = performance.now();
    for (const index of committed) this.#committedAt.set(index, now);
    this.#canvas = { tokens, mask: this.options.mask, confidence: probability };
    this.#run = { ...frame, committed: tokens.length - frame.remaining };
  }

  #cut(length: number): void {
    this.#canvas = { ...this.#canvas, tokens: Array.from(this.#canvas.tokens).slice(0, length) };
  }

  #draw(): void {
    const now = performance.now();
    const { screen, terminal } = this.options;
    if (now < this.#nextDraw || screen.behind) return;
    const { columns, rows } = terminal;
    const run = this.#run && { ...this.#run, milliseconds: now - this.#start };
    const status = truncate(run ? statusLine(run) : 'first forward …', columns - 1);
    // One row for the status line, one for the cursor below it.
    const lines = visibleLines(this.#spans(now), columns - 1, rows - 2);
    const last = { text: this.options.paint(status, 'dim'), width: width(status) };
    screen.draw([...lines.map((line) => this.#painted(line)), last]);
    const spent = performance.now() - now;
    this.#nextDraw = now + Math.max(frameTime, spent / maxShare);
  }

  /** Masks at the end, of a run that did not come so far, are not part of the text. */
  #leaveText(): void {
    const { tokens, mask } = this.#canvas;
    this.#cut(Array.from(tokens).findLastIndex((token) => token !== mask) + 1);
    const lines = layout(this.#spans(Infinity), this.options.terminal.columns - 1);
    this.options.screen.close(lines.map((line) => this.#painted(line)));
  }

  #spans(now: number): Span[] {
    const { before, pieces, maskText, lineLength } = this.options;
    const fresh = new Set<number>();
    for (const [position, time] of this.#committedAt) {
      if (now - time < flashTime) fresh.add(position);
    }
    const answer = canvasSpans({ ...this.#canvas, fresh }, pieces, maskText, lineLength);
    return [{ text: before, ink: 'dim' }, ...answer];
  }

  #painted(line: Line): ScreenLine {
    const text = line.map((span) => this.options.paint(span.text, span.ink)).join('');
    return { text, width: lineWidth(line) };
  }
}
