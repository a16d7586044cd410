/** Charts of measurements, as SVG for light and dark pages: lines, bars, maps. Drawn by Vega. */
import type { Axis, Data, GroupMark, Legend, Mark, Scale, Spec } from 'vega';
import { accent, faint, font, ink, type Vega } from './chart.js';

export interface Heading {
  title: string;
  /** What was measured, under the title. */
  about: string;
}

export interface AxisOptions {
  title: string;
  /** Whether it begins at 0; default true. */
  zero?: boolean;
  /** A logarithmic scale; then all values are above 0. */
  log?: boolean;
  /** Whole numbers only. */
  whole?: boolean;
}

export interface Series {
  name: string;
  /** Those that are no number are left out. */
  points: readonly (readonly [x: number, y: number])[];
  dashed?: boolean;
}

const colours = [accent, '#d97706', '#2e9e5b', '#a855c7', ink];
const size = { width: 560, height: 280 };
const text = { labelColor: ink, labelFontSize: 11, labelFont: font };

export function lineChart(
  vega: Vega,
  heading: Heading,
  series: readonly Series[],
  { x, y }: { x: AxisOptions; y: AxisOptions },
): Promise<string> {
  const values = series.flatMap(({ name, points, dashed = false }) =>
    points
      .filter((point) => point.every(Number.isFinite))
      .map(([x, y]) => ({ x, y, name, dash: dashed ? [5, 4] : [1, 0] })),
  );
  const line = (from: string): Mark => ({
    type: 'line',
    from: { data: from },
    encode: {
      enter: {
        ...{ x: { scale: 'x', field: 'x' }, y: { scale: 'y', field: 'y' } },
        ...{ stroke: { scale: 'colour', field: 'name' }, strokeWidth: { value: 2 } },
        strokeDash: { field: 'dash' },
      },
    },
  });
  const facet: Mark = {
    type: 'group',
    from: { facet: { name: 'series', data: 'values', groupby: 'name' } },
    marks: [line('series')],
  };
  const names = series.map(({ name }) => name);
  return draw(vega, heading, {
    data: [{ name: 'values', values }],
    scales: [
      quantity('x', x, 'width', { data: 'values', field: 'x' }),
      quantity('y', y, 'height', { data: 'values', field: 'y' }),
      colourScale(names),
    ],
    axes: [axis('x', 'bottom', x.title, x.whole), axis('y', 'left', y.title)],
    legends: names.length > 1 ? [legendOf()] : [],
    marks: [facet],
  });
}

export interface BarGroup {
  name: string;
  bars: { series: string; value: number }[];
}

/** Groups of bars beside each other, one colour for each series. */
export function barChart(
  vega: Vega,
  heading: Heading,
  groups: readonly BarGroup[],
  y: AxisOptions,
): Promise<string> {
  const names = [...new Set(groups.flatMap(({ bars }) => bars.map(({ series }) => series)))];
  const values = groups.flatMap(({ name, bars }) =>
    bars
      .filter(({ value }) => Number.isFinite(value))
      .map(({ series, value }) => ({ group: name, series, value })),
  );
  const group: Mark = {
    type: 'group',
    from: { facet: { name: 'bars', data: 'values', groupby: 'group' } },
    encode: { enter: { x: { scale: 'x', field: 'group' } } },
    signals: [{ name: 'width', update: "bandwidth('x')" }],
    scales: [{ name: 'within', type: 'band', range: 'width', domain: names }],
    marks: [
      {
        type: 'rect',
        from: { data: 'bars' },
        encode: {
          enter: {
            ...{ x: { scale: 'within', field: 'series' }, width: { scale: 'within', band: 1 } },
            ...{ y: { scale: 'y', field: 'value' }, y2: { scale: 'y', value: 0 } },
            fill: { scale: 'colour', field: 'series' },
          },
        },
      },
      {
        type: 'text',
        from: { data: 'bars' },
        encode: {
          enter: {
            x: { scale: 'within', field: 'series', band: 0.5 },
            ...{ y: { scale: 'y', field: 'value', offset: -4 }, align: { value: 'center' } },
            ...{ text: { signal: "format(datum.value, '.3f')" }, fill: { value: ink } },
            ...{ font: { value: font }, fontSize: { value: 10 } },
          },
        },
      },
    ],
  };
  const domain = { data: 'values', field: 'value' };
  return draw(vega, heading, {
    data: [{ name: 'values', values }],
    scales: [
      {
        ...{ name: 'x', type: 'band', range: 'width', paddingInner: 0.25, paddingOuter: 0.15 },
        domain: groups.map(({ name }) => name),
      },
      quantity('y', y, 'height', domain),
      colourScale(names),
    ],
    axes: [namesAxis(), axis('y', 'left', y.title)],
    legends: names.length > 1 ? [legendOf()] : [],
    marks: [group],
  });
}

export interface MapPanel {
  name: string;
  rows: number;
  columns: number;
  /** (rows × columns) 0 … 1, the first row at the bottom. */
  share: ArrayLike<number>;
}

const panelSize = 150;
const panelGap = 26;
const panelsARow = 4;

/** Maps beside each other, the darker the larger. */
export function heatMaps(
  vega: Vega,
  heading: Heading,
  panels: readonly MapPanel[],
  axes: { x: string; y: string },
): Promise<string> {
  const panel = ({ name, rows, columns, share }: MapPanel, i: number): GroupMark => {
    const largest = Math.max(...Array.from(share), 1e-9);
    const [w, h] = [panelSize / columns, panelSize / rows];
    const values = Array.from(share, (value, cell) => ({
      ...{ x: (cell % columns) * w, y: panelSize - (Math.floor(cell / columns) + 1) * h },
      opacity: value / largest,
    }));
    return {
      type: 'group',
      title: { text: name, color: ink, font, fontSize: 12, anchor: 'start', offset: 4 },
      encode: {
        enter: {
          x: { value: (i % panelsARow) * (panelSize + panelGap) },
          y: { value: Math.floor(i / panelsARow) * (panelSize + 2 * panelGap) },
          ...{ width: { value: panelSize }, height: { value: panelSize } },
          stroke: { value: faint },
        },
      },
      data: [{ name: `cells${i}`, values: values.filter(({ opacity }) => opacity > 0) }],
      marks: [
        {
          type: 'rect',
          from: { data: `cells${i}` },
          encode: {
            enter: {
              ...{
                x: { field: 'x' },
                y: { field: 'y' },
                width: { value: w },
                height: { value: h },
              },
              ...{ fill: { value: accent }, fillOpacity: { field: 'opacity' } },
            },
          },
        },
        label(axes.x, { x: { value: panelSize / 2 }, y: { value: panelSize + 6 } }),
        label(axes.y, { x: { value: -14 }, y: { value: panelSize / 2 }, angle: { value: -90 } }),
      ],
    };
  };
  const columns = Math.min(panels.length, panelsARow);
  const lines = Math.ceil(panels.length / panelsARow);
  const width = Math.max(columns * (panelSize + panelGap) - panelGap, 320);
  const height = lines * (panelSize + 2 * panelGap) - 2 * panelGap;
  const padding = { left: 24, right: 20, top: 92, bottom: 28 };
  return draw(vega, heading, { width, height, padding, marks: panels.map(panel) });
}

function label(words: string, entry: object): Mark {
  const style = {
    ...{ fill: { value: ink }, font: { value: font }, fontSize: { value: 11 } },
    ...{ align: { value: 'center' as const }, baseline: { value: 'top' as const } },
  };
  return { type: 'text', encode: { enter: { text: { value: words }, ...style, ...entry } } };
}

interface Parts {
  width?: number;
  height?: number;
  padding?: Spec['padding'];
  data?: Data[];
  scales?: Scale[];
  axes?: Axis[];
  legends?: Legend[];
  marks: Mark[];
}

function draw({ parse, View }: Vega, { title, about }: Heading, parts: Parts): Promise<string> {
  const spec: Spec = {
    description: `${title}: ${about}`,
    ...size,
    // Text is as wide as the reader's font makes it, so nothing depends on how wide it is.
    ...{ padding: { left: 72, right: 20, top: 72, bottom: 88 }, autosize: 'none' },
    title: {
      ...{ text: title, subtitle: about, anchor: 'start', color: ink, subtitleColor: ink, font },
      ...{ subtitleFont: font, fontSize: 15, subtitleFontSize: 12, subtitlePadding: 4 },
      ...{ offset: parts.padding === undefined ? 20 : 40, frame: 'group', limit: 1000 },
    },
    ...parts,
  };
  return new View(parse(spec), { renderer: 'none' }).toSVG();
}

function quantity(
  name: string,
  { zero = true, log = false }: AxisOptions,
  range: 'width' | 'height',
  domain: { data: string; field: string },
): Scale {
  if (log) return { name, type: 'log', range, domain };
  return { name, type: 'linear', range, domain, zero, nice: range === 'height' };
}

function colourScale(names: readonly string[]): Scale {
  return { name: 'colour', type: 'ordinal', domain: [...names], range: colours };
}

function axis(scale: string, orient: 'bottom' | 'left', title: string, whole = false): Axis {
  return {
    ...{ scale, orient, title, ...text, titleColor: ink, titleFontSize: 12, titleFont: font },
    ...{ titleFontWeight: 'normal', titlePadding: 8, grid: true, gridColor: faint, domain: false },
    ...{ ticks: false, labelPadding: 6, tickCount: 8 },
    ...(whole && { tickMinStep: 1, format: 'd' }),
  };
}

/** Of bars; a name breaks after its commas. */
function namesAxis(): Axis {
  const lines = { text: { signal: "split(datum.value, ', ')" } };
  return { ...axis('x', 'bottom', ''), grid: false, encode: { labels: { update: lines } } };
}

function legendOf(): Legend {
  return {
    ...{ fill: 'colour', orient: 'bottom', direction: 'horizontal', columns: 3, ...text },
    ...{ symbolType: 'square', symbolStrokeWidth: 0, offset: 12, labelLimit: 260 },
  };
}
