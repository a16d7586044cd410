/** A few lines at the bottom of a terminal that are redrawn in place. */

const hideCursor = '\x1b[?25l';
const showCursor = '\x1b[?25h';
// Without wrapping, a glyph that the terminal shows wider than we think cannot shift the lines below.
const wrapOff = '\x1b[?7l';
const wrapOn = '\x1b[?7h';
// Synchronised output: terminals that know it show a frame at once, others ignore it.
const beginFrame = '\x1b[?2026h';
const endFrame = '\x1b[?2026l';

/** A line and its width in cells, needed to find the region again after the terminal was resized. */
export interface ScreenLine {
  text: string;
  width: number;
}

/** What the screen needs of a terminal; `process.stdout` is one. */
export interface Terminal {
  columns: number;
  rows: number;
  readonly writableNeedDrain: boolean;
  write(text: string): boolean;
}

/**
 * The region starts at the cursor, at the beginning of a line, and only its own lines are touched.
 * Whoever makes a screen must `close` it in every path; `close` is safe to call twice.
 */
export class Screen {
  #lines: ScreenLine[] = [];
  #columns: number;
  #open = false;

  constructor(private readonly terminal: Terminal) {
    this.#columns = terminal.columns;
  }

  /** True when the terminal takes text slower than it comes; drawing now would only queue up. */
  get behind(): boolean {
    return this.terminal.writableNeedDrain;
  }

  /** Shows these lines instead of the last ones. At most `rows − 1` lines, else the top scrolls away. */
  draw(lines: ScreenLine[]): void {
    let out = beginFrame;
    if (!this.#open) out += hideCursor + wrapOff;
    this.#open = true;
    const resized = this.terminal.columns !== this.#columns;
    out += this.#toTop();
    if (resized) out += '\x1b[J';
    lines.forEach((line, i) => {
      const unchanged = !resized && this.#lines[i]?.text === line.text;
      out += unchanged ? '\n' : `\r${line.text}\x1b[K\n`;
    });
    if (lines.length < this.#lines.length) out += '\x1b[J';
    this.#lines = lines;
    this.#columns = this.terminal.columns;
    this.terminal.write(out + endFrame);
  }

  /** Removes the region, or leaves the lines given in its place, and gives the cursor back. */
  close(lines: ScreenLine[] = []): void {
    if (!this.#open) return;
    this.#open = false;
    const rest = lines.map(({ text }) => `${text}\n`).join('');
    this.terminal.write(`${this.#toTop()}\x1b[J${rest}${wrapOn}${showCursor}`);
    this.#lines = [];
  }

  /** Moves to the first line. A narrower terminal has wrapped lines that were drawn wider. */
  #toTop(): string {
    const columns = Math.max(1, this.terminal.columns);
    const height = this.#lines.reduce(
      (sum, line) => sum + Math.max(1, Math.ceil(line.width / columns)),
      0,
    );
    return height > 0 ? `\r\x1b[${height}A` : '\r';
  }
}
