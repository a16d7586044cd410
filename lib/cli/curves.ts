/** The chart of `lacuna parallelbench`: accuracy against tokens per forward, a panel for each task. */
import type { GroupMark, Mark, Scale, Spec } from 'vega';
import { overTasks, type BenchPoint, type CurvePoint } from '../tasks/bench.js';
import { strategies, type StrategyName } from '../tasks/strategies.js';
import type { Vega } from './chart.js';

// Pixels.
const panel = { width: 220, height: 150, gapX: 46, gapY: 56 };
const columns = 4;
const legend = { row: 18, column: 190 };
const ink = '#797979'; // 4.3 : 1 on white, and as much on a dark page
const faint = '#79797940';
const font = 'system-ui, -apple-system, "Segoe UI", "DejaVu Sans", Helvetica, Arial, sans-serif';

interface Panel {
  title: string;
  points: readonly CurvePoint[];
}

/**
 * SVG for one temperature, readable on light and dark pages. Solid lines are strategies that let the
 * model say how many tokens a step commits, dashed ones those that commit a given number; bars are
 * the 95 % intervals.
 */
export async function curvesChart(
  { parse, View }: Vega,
  points: readonly BenchPoint[],
  heading: { title: string; about: string },
): Promise<string> {
  const tasks = [...new Set(points.map(({ task }) => task))];
  const panels: Panel[] = [
    { title: 'all tasks', points: overTasks(points) },
    ...tasks.map((task) => ({ title: task, points: points.filter((p) => p.task === task) })),
  ];
  const names = [...new Set(points.map(({ strategy }) => strategy))];
  const shown = panels.length === 2 ? panels.slice(1) : panels; // one task is all tasks
  const rows = Math.ceil(shown.length / columns);
  const across = Math.min(columns, shown.length);
  const width = Math.max(across * (panel.width + panel.gapX) - panel.gapX, 2 * legend.column);
  const height = rows * (panel.height + panel.gapY) - panel.gapY;
  const keys = legendMarks(names, Math.floor(width / legend.column), height + 50);
  const keyRows = Math.ceil(names.length / Math.floor(width / legend.column));
  const spec: Spec = {
    description: `${heading.title}: ${heading.about}`,
    ...{ width, height },
    padding: { left: 48, right: 16, top: 96, bottom: 56 + keyRows * legend.row },
    autosize: 'none',
    title: {
      text: heading.title,
      subtitle: heading.about,
      ...{ anchor: 'start', frame: 'bounds', offset: 26, font, subtitleFont: font },
      ...{ color: ink, subtitleColor: ink, fontSize: 15, subtitleFontSize: 12 },
    },
    scales: [colours(names)],
    marks: [...shown.map((one, i) => panelMark(one, i, names)), ...keys],
  };
  const svg = await new View(parse(spec), { renderer: 'none' }).toSVG();
  return svg.replace(/\d+\.\d{3,}/g, (number) => Number(number).toFixed(2)); // hundredths of a pixel
}

/** Each strategy keeps its colour whichever others are shown. */
function colours(names: readonly StrategyName[]): Scale {
  const all = Object.keys(strategies);
  const hue = (i: number) => Math.round((360 * i * 5) / all.length) % 360;
  const range = all.map((_, i) => `hsl(${hue(i)},62%,${i % 2 === 0 ? 42 : 58}%)`);
  return {
    name: 'colour',
    type: 'ordinal',
    domain: [...names],
    range: names.map((name) => range[all.indexOf(name)]),
  };
}

function dashOf(name: StrategyName): number[] {
  return strategies[name].fixed ? [5, 3] : [1, 0];
}

function panelMark({ title, points }: Panel, index: number, names: StrategyName[]): GroupMark {
  const x = (index % columns) * (panel.width + panel.gapX);
  const y = Math.floor(index / columns) * (panel.height + panel.gapY);
  const speeds = points.map(({ tokensPerForward }) => tokensPerForward);
  const [least, most] = [Math.min(1, ...speeds), Math.max(2, ...speeds)]; // remasking takes back
  const axis = {
    ...{ labelFont: font, titleFont: font, labelColor: ink, titleColor: ink, domain: false },
    ...{ grid: true, gridColor: faint, ticks: false, titleFontWeight: 'normal' as const },
  };
  return {
    type: 'group',
    encode: {
      enter: {
        ...{ x: { value: x }, y: { value: y } },
        ...{ width: { value: panel.width }, height: { value: panel.height } },
      },
    },
    title: { text: title, anchor: 'start', color: ink, font, fontSize: 12, offset: 6 },
    signals: [
      { name: 'width', value: panel.width }, // the grid's lines are as long as these
      { name: 'height', value: panel.height },
    ],
    scales: [
      {
        name: 'x',
        type: 'log',
        base: 2,
        range: [0, panel.width],
        domain: [least * 0.9, most * 1.1],
      },
      { name: 'y', type: 'linear', range: [panel.height, 0], domain: [0, 1] },
    ],
    axes: [
      {
        scale: 'x',
        orient: 'bottom',
        title: 'tokens per forward',
        values: ticks(least, most),
        ...axis,
      },
      { scale: 'y', orient: 'left', format: '.0%', tickCount: 5, ...axis },
    ],
    marks: names.map((name) =>
      curveMarks(
        name,
        points.filter(({ strategy }) => strategy === name),
      ),
    ),
  };
}

function ticks(least: number, most: number): number[] {
  return [0.25, 0.5, 1, 2, 4, 8, 16, 32].filter((n) => n >= least * 0.9 && n <= most * 1.1);
}

/** A line through the points in the order of their values, the points, and their intervals. */
function curveMarks(name: StrategyName, points: readonly CurvePoint[]): GroupMark {
  const stroke = { scale: 'colour', value: name };
  const values = points.map(
    ({ tokensPerForward: x, accuracy: y, interval: [low, high], value }) => {
      const parameter = `${strategies[name].parameter} ${value}`;
      const about = `${name}, ${parameter}: ${(100 * y).toFixed(1)} % at ${x.toFixed(2)} tokens per forward`;
      return { x, y, low, high, about };
    },
  );
  const from = { data: 'points' };
  const x = { scale: 'x', field: 'x' };
  const [y, low, high] = ['y', 'low', 'high'].map((field) => ({ scale: 'y', field }));
  const line = { strokeWidth: { value: 1.5 }, strokeDash: { value: dashOf(name) } };
  const [faintly, size] = [{ value: 0.35 }, { value: 18 }];
  return {
    type: 'group',
    data: [{ name: 'points', values }],
    marks: [
      { type: 'line', from, encode: { enter: { x, y, stroke, ...line } } },
      {
        type: 'rule',
        from,
        encode: { enter: { x, y: low, y2: high, stroke, strokeOpacity: faintly } },
      },
      {
        type: 'symbol',
        from,
        encode: { enter: { x, y, fill: stroke, size, description: { field: 'about' } } },
      },
    ],
  };
}

function legendMarks(names: readonly StrategyName[], across: number, top: number): Mark[] {
  return names.flatMap((name, i): Mark[] => {
    const x = (i % across) * legend.column;
    const y = { value: top + Math.floor(i / across) * legend.row };
    const stroke = { scale: 'colour', value: name };
    const line = { x: { value: x }, x2: { value: x + 22 }, y, strokeWidth: { value: 2 } };
    const text = { x: { value: x + 28 }, y, text: { value: name }, fill: { value: ink } };
    return [
      {
        type: 'rule',
        encode: { enter: { ...line, stroke, strokeDash: { value: dashOf(name) } } },
      },
      {
        type: 'text',
        encode: {
          enter: { ...text, baseline: { value: 'middle' }, font: { value: font } },
        },
      },
    ];
  });
}
