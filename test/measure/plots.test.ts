import { expect, test } from 'vitest';
import { loadVega } from '../../lib/cli/chart.js';
import { markdownTable } from '../../lib/cli/format.js';
import { barChart, heatMaps, lineChart } from '../../lib/cli/plots.js';
import { lacuna } from '../cli/lacuna.js';

const vega = await loadVega();
const heading = { title: 'A <title>', about: 'of "things"' };
const count = (svg: string, part: RegExp) => [...svg.matchAll(part)].length;

test('lines: one for each series, without what is no number', async () => {
  const series = [
    { name: 'first', points: [[1, 2], [2, NaN], [3, 4]] }, // prettier-ignore
    { name: 'second', points: [[1, 1], [3, 3]], dashed: true }, // prettier-ignore
  ] as const;
  const axes = { x: { title: 'x & more', whole: true }, y: { title: 'y' } };
  const svg = await lineChart(vega, heading, series, axes);
  const lines = [...svg.matchAll(/mark-line[^>]*>(.*?)<\/g>/g)].map(([, path]) => path);
  expect(lines.map((path) => count(path, /[ML]\d/g))).toEqual([2, 2]);
  expect(svg).toMatch(/stroke-dasharray="5,4"/);
  for (const text of ['A &lt;title&gt;', 'x &amp; more', 'first', 'second'])
    expect(svg).toContain(text);
  expect(svg).not.toContain('NaN');
});

test('bars: as high as their values, with figures', async () => {
  const bars = (a: number, b: number) => [
    { series: 'one', value: a },
    { series: 'two', value: b },
  ];
  const groups = [
    { name: 'left, first', bars: bars(1, 2) },
    { name: 'right', bars: bars(4, NaN) },
  ];
  const svg = await barChart(vega, heading, groups, { title: 'y' });
  const shapes = [...svg.matchAll(/mark-rect[^>]*>(.*?)<\/g>/g)].map(([, all]) => all).join('');
  const heights = [...shapes.matchAll(/v([\d.]+)h-/g)].map(([, height]) => Number(height));
  expect(heights).toHaveLength(3);
  expect(heights[1] / heights[0]).toBeCloseTo(2, 6);
  expect(heights[2] / heights[0]).toBeCloseTo(4, 6);
  for (const text of ['1.000', '4.000', 'first', 'right']) expect(svg).toContain(`>${text}<`);
});

test('maps: a cell for each share above 0, the first row at the bottom', async () => {
  const panels = ['a', 'b', 'c', 'd', 'e'].map((name) => ({
    ...{ name, rows: 2, columns: 2, share: [1, 0, 0, 0.5] },
  }));
  const svg = await heatMaps(vega, heading, panels, { x: 'position', y: 'time' });
  const cells = [...svg.matchAll(/<path [^>]*fill-opacity="([\d.]+)"/g)].map(([, o]) => Number(o));
  expect(cells.filter((opacity) => opacity === 0.5)).toHaveLength(5);
  expect(svg).toMatch(/M0,75h75v75h-75Z/);
  expect(count(svg, />position</g)).toBe(5);
});

test('tables line up, wide characters too', () => {
  expect(markdownTable(['n', 'Π p'], [['1', '0.5'], ['10', '語']]).split('\n')).toEqual([
    '| n   | Π p |',
    '| --- | --: |',
    '| 1   | 0.5 |',
    '| 10  |  語 |',
  ]); // prettier-ignore
});

test.each([
  [['measure', 'zipf', '--s', '9'], 2, /--s <s>.*from 0 to 4/],
  [['measure', 'order'], 2, /required option '--prompts <file>'/],
  [['measure', 'likelihood', '--text', 'missing.txt'], 1, /FILE_ERROR: --text/],
  [['run', '-p', 'x', '--max-perplexity', '2'], 2, /--max-perplexity needs --decode/],
])('%j', (args, expected, message) => {
  const { code, stderr } = lacuna(args);
  expect(stderr).toMatch(message);
  expect(code).toBe(expected);
});
