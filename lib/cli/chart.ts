/** The chart of `lacuna compare`: a row for each preset, a panel for each figure. */
import type * as vega from 'vega';
import type { EncodeEntry, GroupMark, Mark, Spec, Title } from 'vega';
import { LacunaError } from '../errors.js';
import type { Comparison } from '../measure/compare.js';
import { figures, shown, type Figure } from './comparison.js';

export type Vega = Pick<typeof vega, 'parse' | 'View'>;
type Charted = Figure & Required<Pick<Figure, 'panel'>>;

const charted = figures.filter((figure): figure is Charted => figure.panel !== undefined);

// Pixels. Text is as wide as the reader's font makes it, so nothing depends on how wide it is.
const rowHeight = 24;
const names = 84;
const panel = { width: 166, gap: 22 };
const figureWidth = 46; // right of the bars
const width = names + charted.length * (panel.width + panel.gap) - panel.gap;
const margin = { left: 16, right: 16, top: 106, bottom: 84 };

// The chart is transparent: colours of like contrast to white and to a dark page.
export const ink = '#797979'; // 4.3 : 1
export const faint = '#79797940';
const bar = '#8f8f8f';
export const accent = '#3584e4';
export const font =
  'system-ui, -apple-system, "Segoe UI", "DejaVu Sans", Helvetica, Arial, sans-serif';

/** Throws `MISSING_PACKAGE`: Vega is the one package that most users of Lacuna never need. */
export async function loadVega(): Promise<Vega> {
  try {
    return await import('vega');
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw cause;
    const message = '--chart draws with the package vega, version 6: npm install vega@6';
    throw new LacunaError('MISSING_PACKAGE', message, { cause });
  }
}

/** SVG, readable on light and dark pages. `about` says what was compared. */
export function comparisonChart(
  { parse, View }: Vega,
  rows: readonly Comparison[],
  heading: { title: string; about: string },
): Promise<string> {
  const spec: Spec = {
    description: `${heading.title}: ${heading.about}`,
    ...{ width, height: rows.length * rowHeight },
    padding: margin,
    autosize: 'none',
    config: {
      text: { font },
      title: { font, subtitleFont: font },
      axis: { labelFont: font, titleFont: font },
    },
    title: titled(heading.title, heading.about, { fontSize: 15, subtitleFontSize: 12, offset: 20 }),
    data: [{ name: 'rows', values: rows.map((row, index) => ({ index, ...datum(row, rows) })) }],
    scales: [{ name: 'y', type: 'band', domain: [...rows.keys()], range: 'height' }],
    marks: [
      rowText('presets', {
        ...{ x: { value: names - 12 }, text: { field: 'preset' } },
        ...{ align: right, fontSize: { value: 12 } },
      }),
      ...charted.map((figure, i) => panelMark(figure, i, rows)),
      ...legend(rows),
    ],
  };
  return new View(parse(spec), { renderer: 'none' }).toSVG();
}

/** What the marks of a row show; a bar without a number has no length. */
function datum(row: Comparison, rows: readonly Comparison[]): object {
  const values = charted.map((figure): [string, object] => {
    const text = shown(figure, row).replace('-', '−');
    const length = Number.isFinite(figure.of(row)) ? figure.of(row) : 0;
    return [figure.name, { length, text, described: `${row.preset}: ${text} ${figure.name}` }];
  });
  return { preset: row.preset, best: isBest(row, rows), ...Object.fromEntries(values) };
}

/** Whether no other row is at least as good in both quality and speed, and better in one. */
function isBest(row: Comparison, rows: readonly Comparison[]): boolean {
  const { logProbability, tokensPerSecond } = row;
  if (Number.isNaN(logProbability) || Number.isNaN(tokensPerSecond)) return false;
  return !rows.some(
    (other) =>
      other.logProbability >= logProbability &&
      other.tokensPerSecond >= tokensPerSecond &&
      (other.logProbability > logProbability || other.tokensPerSecond > tokensPerSecond),
  );
}

function titled(text: string, subtitle: string, sizes: Partial<Title>): Title {
  return {
    ...{ text, subtitle, anchor: 'start', frame: 'group' },
    ...{ limit: width, color: ink, subtitleColor: ink, subtitlePadding: 4, ...sizes },
  };
}

const middle = { scale: 'y', field: 'index', band: 0.5 };
const right = { value: 'right' as const };
const filled = (other: string) => [{ test: 'datum.best', value: accent }, { value: other }];

/** A text of each row, accented for the best. */
function rowText(name: string, entry: EncodeEntry): Mark {
  const fontWeight = [{ test: 'datum.best', value: 'bold' as const }, { value: 'normal' as const }];
  const enter = {
    y: middle,
    baseline: { value: 'middle' as const },
    fill: filled(ink),
    fontWeight,
  };
  return { type: 'text', name, from: { data: 'rows' }, encode: { enter: { ...enter, ...entry } } };
}

/** Bars from 0, towards the right whatever the sign, and a column of their figures. */
function panelMark(figure: Charted, index: number, rows: readonly Comparison[]): GroupMark {
  const { name } = figure;
  const { title, better } = figure.panel;
  const values = [0, ...rows.map(figure.of).filter(Number.isFinite)];
  const [least, most] = [Math.min(...values), Math.max(...values)];
  const bars: Mark = {
    type: 'rect',
    name: 'bars',
    from: { data: 'rows' },
    encode: {
      enter: {
        ...{ x: { scale: 'x', value: 0 }, x2: { scale: 'x', field: `${name}.length` } },
        ...{ yc: middle, height: { value: 12 }, fill: filled(bar) },
        description: { field: `${name}.described` },
      },
    },
  };
  const numbers = { x: { value: panel.width }, text: { field: `${name}.text` }, align: right };
  const x = { value: names + index * (panel.width + panel.gap) };
  return {
    type: 'group',
    encode: { enter: { x, width: { value: panel.width }, height: { signal: 'height' } } },
    title: titled(title, better, { fontSize: 12, subtitleFontSize: 11, offset: 8 }),
    scales: [
      {
        ...{ name: 'x', type: 'linear', range: [0, panel.width - figureWidth] },
        ...{ domain: [least, most > least ? most : least + 1], nice: 3, reverse: least < 0 },
      },
    ],
    axes: [
      {
        ...{ scale: 'x', orient: 'bottom', tickCount: 3, ticks: false, domain: false },
        ...{ grid: true, gridColor: faint, labelColor: ink, labelFontSize: 11, labelPadding: 6 },
        ...{ title: name, titleColor: ink, titleFontSize: 11, titleFontWeight: 'normal' },
        ...{ titleX: 0, titleAlign: 'left', titlePadding: 6 },
      },
    ],
    marks: [bars, rowText('figures', { ...numbers, fontSize: { value: 11 } })],
  };
}

/** What the accent means, below the panels. */
function legend(rows: readonly Comparison[]): Mark[] {
  const y = { value: rows.length * rowHeight + 64 };
  const square = { width: { value: 12 }, height: { value: 12 }, fill: { value: accent } };
  const words = { text: { value: 'no other preset is both faster and likelier' } };
  const style = { baseline: { value: 'middle' as const }, fontSize: { value: 11 } };
  return [
    { type: 'rect', encode: { enter: { x: { value: names }, yc: y, ...square } } },
    {
      type: 'text',
      encode: { enter: { x: { value: names + 18 }, y, fill: { value: ink }, ...words, ...style } },
    },
  ];
}
