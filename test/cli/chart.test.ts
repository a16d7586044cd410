import { cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { comparisonChart, loadVega } from '../../lib/cli/chart.js';
import { presetNames } from '../../lib/decoding/presets.js';
import type { Comparison } from '../../lib/measure/compare.js';
import { ended, lacuna, root, temporaryFolder } from './lacuna.js';

const folder = temporaryFolder();
const prompts = join(folder, 'prompts.txt');
beforeAll(() => writeFileSync(prompts, 'KING HENRY:\n'));

interface Element {
  name: string;
  attributes: Record<string, string>;
  children: Element[];
  text: string;
}

const entities: Record<string, string> = { amp: '&', lt: '<', gt: '>', quot: '"' };
const plain = (text: string) => text.replace(/&(\w+);/g, (_, name: string) => entities[name]);

/** Elements, attributes and text; throws for what is not well-formed. */
function parse(xml: string): Element {
  const top: Element = { name: '', attributes: {}, children: [], text: '' };
  const open = [top];
  const part = /<(\/?)([\w:]+)((?: [\w:-]+="[^"<]*")*)(\/?)>|([^<>]+)/gy;
  for (let match = part.exec(xml); match !== null; match = part.exec(xml)) {
    const [, closes, name, attributes, empty, text] = match;
    const inner = open[open.length - 1];
    if (text !== undefined) inner.text += plain(text);
    else if (closes) expect(open.pop()?.name).toBe(name);
    else {
      const pairs = [...attributes.matchAll(/([\w:-]+)="([^"]*)"/g)];
      const values = Object.fromEntries(pairs.map(([, key, value]) => [key, plain(value)]));
      const element = { name, attributes: values, children: [], text: '' };
      inner.children.push(element);
      if (!empty) open.push(element);
    }
    if (part.lastIndex === xml.length) break;
  }
  expect(part.lastIndex).toBe(xml.length);
  expect(open).toEqual([top]);
  expect(top.children.map(({ name }) => name)).toEqual(['svg']);
  return top.children[0];
}

const all = (element: Element): Element[] => [element, ...element.children.flatMap(all)];

/** Groups of marks by role and name, such as `role-axis-title`. */
const groups = (svg: Element, name: string): Element[][] =>
  all(svg)
    .filter(({ attributes }) => attributes.class?.split(' ').includes(name))
    .map(({ children }) => children.filter((child) => child.name !== 'g'));

const texts = (svg: Element, name: string) =>
  groups(svg, name).map((group) => group.map((e) => e.text));

const units = ['nats/token', 'forwards', 'tokens/forward', 'tokens/s'];

const bars = (svg: Element) =>
  groups(svg, 'bars').map((group) =>
    group.map(({ attributes }) => ({
      described: attributes['aria-label'],
      length: Number(/^M0,[\d.]+h([\d.]+)/.exec(attributes.d)?.[1]),
      fill: attributes.fill,
    })),
  );

const comparing = ['compare', '--prompts', prompts, '-n', '4', '--bos', '--threads', '1'];

describe('lacuna compare --chart', () => {
  test('shows what the table shows', () => {
    const path = join(folder, 'chart.svg');
    const { code, stdout, stderr } = lacuna([...comparing, '--chart', path]);
    expect([stderr, code]).toEqual(['', 0]);
    const [header, , ...lines] = stdout
      .trim()
      .split('\n')
      .map((line) =>
        line
          .split('|')
          .slice(1, -1)
          .map((cell) => cell.trim()),
      );
    const svg = parse(readFileSync(path, 'utf8'));
    expect(texts(svg, 'presets')).toEqual([presetNames]);
    expect(texts(svg, 'role-axis-title').flat()).toEqual(units);
    const columns = units.map((unit) => lines.map((line) => line[header.indexOf(unit)]));
    const figures = texts(svg, 'figures').map((column) =>
      column.map((text) => text.replace('−', '-')),
    );
    expect(figures).toEqual(columns);
    expect(texts(svg, 'role-title-text').at(-1)).toEqual(['Presets of shakespeare-7m']);
    expect(texts(svg, 'role-title-subtitle').at(-1)).toEqual([
      '1 prompt, answers of up to 4 tokens',
    ]);
    expect(bars(svg).map((panel) => panel.length)).toEqual(units.map(() => presetNames.length));
  });

  test('a path that cannot be written: the table is printed all the same', () => {
    const path = join(folder, 'none', 'chart.svg');
    const { code, stdout, stderr } = lacuna([...comparing, '--presets', 'fast', '--chart', path]);
    expect(stderr).toMatch(/^lacuna: FILE_ERROR: --chart: .*chart\.svg'\n$/);
    expect(stdout).toMatch(/^\| fast /m);
    expect(code).toBe(1);
  });

  test('without Vega, as after a plain install: says what to install, and begins nothing', () => {
    const modules = join(folder, 'node_modules');
    const copy = join(modules, 'lacuna');
    mkdirSync(copy, { recursive: true });
    for (const part of ['package.json', 'dist'])
      cpSync(join(root, part), join(copy, part), { recursive: true });
    const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
      dependencies: Record<string, string>;
    };
    for (const name of Object.keys(manifest.dependencies)) {
      mkdirSync(dirname(join(modules, name)), { recursive: true });
      symlinkSync(join(root, 'node_modules', name), join(modules, name), 'junction');
    }
    const main = join(copy, 'dist', 'cli', 'main.js');
    const args = [main, ...comparing, '--chart', join(folder, 'not.svg')];
    const { code, stdout, stderr } = ended(process.execPath, args);
    expect(stderr).toMatch(/^lacuna: MISSING_PACKAGE: .*npm install vega@6\n$/);
    expect([stdout, code]).toEqual(['', 1]);
  });
});

describe('the chart', () => {
  const row = (preset: Comparison['preset'], logProbability: number, tokensPerSecond: number) => ({
    ...{ preset, logProbability, tokensPerSecond, tokens: 10, forwards: 20, canvases: 20 },
    ...{ tokensPerForward: 0.5, texts: [] },
  });
  const about = { title: 'Presets of <a & b>', about: '"1" prompt' };
  const draw = async (...rows: Comparison[]) =>
    parse(await comparisonChart(await loadVega(), rows, about));

  test('bars are as long as their figures, those of negative ones too', async () => {
    const svg = await draw(row('llada', -2, 50), row('fast', -1, 200));
    const [quality, , , speed] = bars(svg);
    expect(quality.map(({ described }) => described)).toEqual([
      ...['llada: −2.00 nats/token', 'fast: −1.00 nats/token'],
    ]);
    expect(quality[0].length / quality[1].length).toBeCloseTo(2, 9);
    expect(speed[1].length / speed[0].length).toBeCloseTo(4, 9);
    for (const { length } of [...quality, ...speed]) expect(length).toBeLessThanOrEqual(120);
  });

  test('the accent is on what nothing beats in both quality and speed', async () => {
    const svg = await draw(
      row('llada', -1, 50),
      row('dream', -1, 40), // as good, slower
      row('sdar', -3, 90),
      row('fast', -2, 90), // as fast, better
      row('quality', NaN, 100),
      row('wino', -1, 50), // the same
    );
    for (const panel of bars(svg)) {
      const [llada, dream, sdar, fast, quality, wino] = panel.map(({ fill }) => fill);
      expect([fast, wino]).toEqual([llada, llada]);
      expect([sdar, quality]).toEqual([dream, dream]);
      expect(llada).not.toBe(dream);
    }
  });

  test('what is no number is a dash and a bar of no length', async () => {
    const svg = await draw(row('llada', NaN, 0), row('llada', NaN, 0));
    const [quality, forwards, , speed] = bars(svg);
    expect(texts(svg, 'figures')[0]).toEqual(['–', '–']);
    expect([...quality, ...speed].map(({ length }) => length)).toEqual([0, 0, 0, 0]);
    expect(forwards[0].length).toBeGreaterThan(0);
  });

  test('names are text, whatever they hold', async () => {
    const svg = await draw(row('llada', -1, 1));
    expect(texts(svg, 'role-title-text').at(-1)).toEqual(['Presets of <a & b>']);
    expect(texts(svg, 'role-title-subtitle').at(-1)).toEqual(['"1" prompt']);
  });
});
