/** What `lacuna compare` shows of a comparison, and its table. */
import type { Comparison } from '../measure/compare.js';
import { markdownTable } from './format.js';

export interface Figure {
  /** Heads the column; the unit. */
  name: string;
  digits: number;
  of: (row: Comparison) => number;
  /** Where the chart shows it too: what it is, and how to read a bar. */
  panel?: { title: string; better: string };
}

export const figures: Figure[] = [
  { name: 'tokens', digits: 0, of: ({ tokens }) => tokens },
  {
    name: 'nats/token',
    digits: 2,
    of: ({ logProbability }) => logProbability,
    panel: { title: 'Log-probability', better: 'shorter: likelier text' },
  },
  {
    name: 'forwards',
    digits: 0,
    of: ({ forwards }) => forwards,
    panel: { title: 'Forwards', better: 'shorter: less to wait for' },
  },
  { name: 'canvases', digits: 0, of: ({ canvases }) => canvases },
  {
    name: 'tokens/forward',
    digits: 2,
    of: ({ tokensPerForward }) => tokensPerForward,
    panel: { title: 'Tokens per forward', better: 'longer: more at once' },
  },
  {
    name: 'tokens/s',
    digits: 1,
    of: ({ tokensPerSecond }) => tokensPerSecond,
    panel: { title: 'Speed', better: 'longer: faster' },
  },
];

export function comparisonTable(rows: readonly Comparison[]): string {
  const header = ['preset', ...figures.map(({ name }) => name)];
  const cells = rows.map((row) => [row.preset, ...figures.map((figure) => shown(figure, row))]);
  return markdownTable(header, cells);
}

/** `–` for what is no number, such as the quality of nothing. */
export function shown({ of, digits }: Figure, row: Comparison): string {
  const value = of(row);
  return Number.isFinite(value) ? value.toFixed(digits) : '–';
}
