// `npm run findings`: measures what papers claim on the trained models and writes docs/findings.md, its
// charts and all numbers. See docs/parallelbench.md.
import { existsSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { cpus } from 'node:os';
import { basename, join } from 'node:path';
import { parseArgs } from 'node:util';
import * as vega from 'vega';
import { format } from 'prettier';
import { curvesChart } from '../dist/cli/curves.js';
import { loadModel } from '../dist/index.js';
import { charted } from './findings/claims.mjs';
import { measure, parts } from './findings/measure.mjs';
import { page } from './findings/page.mjs';

const { values } = parseArgs({
  options: {
    standard: { type: 'string', default: 'models/tasks.Q8_0.gguf' },
    reverse: { type: 'string', default: 'models/tasks-reverse.Q8_0.gguf' },
    soft: { type: 'string', default: 'models/tasks-soft.Q8_0.gguf' },
    samples: { type: 'string', default: '100' },
    seed: { type: 'string', default: '0' },
    tasks: { type: 'string' },
    strategies: { type: 'string' },
    only: { type: 'string' }, // parts to measure again, as the others were; '' writes the page alone
    out: { type: 'string', default: 'docs' },
  },
});
const [tasks, strategies] = [values.tasks?.split(','), values.strategies?.split(',')];
if (!existsSync(values.standard)) {
  console.error(
    `findings: there is no ${values.standard}; train it (train/README.md) or give --standard`,
  );
  process.exit(2);
}

const models = {};
for (const role of ['standard', 'reverse', 'soft']) {
  if (existsSync(values[role])) models[role] = await loadModel(values[role]);
}
const say = (what) => console.error(what);
const folder = join(values.out, 'findings');
await mkdir(folder, { recursive: true });
const file = join(folder, 'results.json');
const only = values.only?.split(',').filter(Boolean);
const unknown = only?.find((part) => !parts.includes(part));
if (unknown || (only && !existsSync(file))) {
  const why = unknown
    ? `there is no part ${unknown}, only ${parts.join(', ')}`
    : `there is no ${file}`;
  console.error(`findings: --only: ${why}`);
  process.exit(2);
}
const before = only && JSON.parse(await readFile(file, 'utf8'));
const { samples, seed } = before ?? { samples: Number(values.samples), seed: Number(values.seed) };
const options = { samples, seed, tasks, strategies, only, before, width: 16, say };
const results = { samples, seed, ...(await measure(models, options)) };

const charts = [];
for (const temperature of [0, 1]) {
  const title = `Accuracy against tokens per forward, temperature ${temperature}`;
  const about = `${basename(values.standard)}, ${samples} instances of each task; bars: 95 %`;
  const points = results.curves.filter(
    (point) => point.temperature === temperature && charted.includes(point.strategy),
  );
  const svg = await curvesChart(vega, points, { title, about });
  await writeFile(join(folder, `curves-${temperature}.svg`), svg);
  charts.push({ title, file: `findings/curves-${temperature}.svg` });
}
await writeFile(file, `${JSON.stringify(results)}\n`);
const names = Object.keys(models).map((role) => basename(values[role]));
const date = new Date().toISOString().slice(0, 10);
const machine = cpus()[0].model;
const text = page(results, { models: names, date, machine, charts });
await writeFile(
  join(values.out, 'findings.md'),
  await format(text, { parser: 'markdown', printWidth: 100 }),
);
for (const model of Object.values(models)) await model.dispose();
