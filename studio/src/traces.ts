/** Files of runs: those that the studio saves, and those that `lacuna run --trace` writes. */
import { terminalTrace, type TerminalTrace } from './terminal-trace.js';
import type { Trace } from './frames.js';

/** Throws an `Error` that says what is wrong. */
export function parseTrace(json: string): Trace {
  let value: Partial<Trace> | Partial<TerminalTrace> | null;
  try {
    value = JSON.parse(json) as typeof value;
  } catch {
    throw new Error('this file is not JSON');
  }
  if (value?.kind === 'lacuna-run') {
    const whole =
      value.v === 1 &&
      Array.isArray(value.frames) &&
      value.frames[0]?.kind === 'start' &&
      typeof value.request?.body === 'object';
    if (whole) return value as Trace;
  }
  if (value?.kind === 'trace') {
    const lists = [value.prompt, value.steps, value.tokens, value.shape?.initial];
    const maps = [value.policies, value.pieces, value.special, value.model];
    const whole = lists.every(Array.isArray) && maps.every((map) => typeof map === 'object');
    if (whole) return terminalTrace(value as TerminalTrace);
  }
  throw new Error('this file is not a run of the studio or of `lacuna run --trace`');
}
