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
export function curvesChart(
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
  return new View(parse(spec), { renderer: 'none' }).toSVG();
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
  const most = Math.max(2, ...points.map(({ tokensPerForward }) => tokensPerForward));
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
      { name: 'x', type: 'log', base: 2, range: [0, panel.width], domain: [0.9, most * 1.1] },
      { name: 'y', type: 'linear', range: [panel.height, 0], domain: [0, 1] },
    ],
    axes: [
      { scale: 'x', orient: 'bottom', title: 'tokens per forward', values: ticks(most), ...axis },
      { scale: 'y', orient: 'left', format: '.0%', tickCount: 5, ...axis },
    ],
    marks: names.flatMap((name) =>
      curveMarks(
        name,
        points.filter(({ strategy }) => strategy === name),
      ),
    ),
  };
}

function ticks(most: number): number[] {
  return [1, 2, 4, 8, 16, 32].filter((value) => value <= most * 1.1);
}

/** A line through the points in the order of their values, the points, and their intervals. */
function curveMarks(name: StrategyName, points: readonly CurvePoint[]): Mark[] {
  const at = (p: CurvePoint) => ({ scale: 'x', value: p.tokensPerForward });
  const stroke = { scale: 'colour', value: name };
  const described = (p: CurvePoint) =>
    `${name}, ${strategies[name].parameter} ${p.value}: ${(100 * p.accuracy).toFixed(1)} % at ` +
    `${p.tokensPerForward.toFixed(2)} tokens per forward`;
  const segments = points.slice(1).map((to, i): Mark => {
    const from = points[i];
    return {
      type: 'rule',
      encode: {
        enter: {
          ...{ x: at(from), x2: at(to), stroke, strokeWidth: { value: 1.5 } },
          ...{ y: { scale: 'y', value: from.accuracy }, y2: { scale: 'y', value: to.accuracy } },
          strokeDash: { value: dashOf(name) },
        },
      },
    };
  });
  const dots = points.flatMap((p): Mark[] => [
    {
      type: 'rule',
      encode: {
        enter: {
          ...{ x: at(p), stroke, strokeOpacity: { value: 0.35 } },
          y: { scale: 'y', value: p.interval[0] },
          y2: { scale: 'y', value: p.interval[1] },
        },
      },
    },
    {
      type: 'symbol',
      encode: {
        enter: {
          ...{ x: at(p), y: { scale: 'y', value: p.accuracy }, fill: stroke },
          ...{ size: { value: 18 }, description: { value: described(p) } },
        },
      },
    },
  ]);
  return [...segments, ...dots];
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
