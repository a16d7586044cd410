/** What goes on, in one line on a terminal that is replaced and removed. */
import { bytes } from './format.js';
import { truncate } from './glyphs.js';

const patience = 300; // milliseconds

export interface Progress {
  update: (progress: { loaded: number; total: number }) => void;
  /** Removes the line. */
  done: () => void;
}

/**
 * Percentage of a file being loaded, when it takes long enough to be noticed.
 * @param now a clock in milliseconds
 */
export function loadProgress(
  stream: NodeJS.WriteStream,
  name: string,
  now: () => number = () => performance.now(),
): Progress {
  const start = now();
  let shown = -1;
  return {
    update({ loaded, total }) {
      const percent = total > 0 ? Math.floor((100 * loaded) / total) : 0;
      if (!stream.isTTY || percent === shown || now() - start < patience) return;
      shown = percent;
      note(stream, `loading ${name}: ${percent} % of ${bytes(total)}`);
    },
    done() {
      if (shown >= 0) note(stream, '');
      shown = -1;
    },
  };
}

/** Shows a line in place of the last one; `''` removes it. Silent where there is no terminal. */
export function note(stream: NodeJS.WriteStream, text: string): void {
  if (stream.isTTY) stream.write(`\r${truncate(text, stream.columns - 1)}\x1b[K`);
}
