// The step table: one forward over rows × canvas × type, every row reported.
import { measureStep, operations } from '../dist/cli/speed.js';
import { atPeak, quietest, withPeak } from './machine.mjs';
import { openModel } from './models.mjs';
import { markdown, ms, percent } from './report.mjs';

const defaults = {
  types: ['F16', 'Q8_0', 'Q4_0', 'Q4_K', 'Q6_K'],
  canvas: [256, 1024, 4096],
  rows: [1, 8, 32, 64, 128, 256],
};

export async function run({ types = defaults.types, canvas, rows, threads }) {
  const lengths = canvas ?? defaults.canvas;
  const all = [];
  for (const type of types) {
    const { peak, result } = await withPeak({ threads }, async () => {
      const model = await openModel(type, { threads });
      try {
        const cells = [];
        for (const length of lengths) {
          cells.push(...(await measureCanvas(model, length, rows ?? defaults.rows)));
        }
        return cells;
      } finally {
        await model.dispose();
      }
    });
    const measured = result.map((cell) => ({
      name: `${type} ${cell.canvas} ${cell.rows}`,
      type,
      ...cell,
      atPeak: atPeak(cell.operations, type, peak),
    }));
    print(type, peak, measured);
    all.push(...measured);
  }
  return { data: { rows: all } };
}

async function measureCanvas(model, length, rowCounts) {
  const session = model.createSession({ length });
  const cells = [];
  for (const rows of rowCounts.filter((n) => n <= length)) {
    const start = Math.floor((length - rows) / 2);
    const request = { rows: { start, end: start + rows } };
    const { results, others } = await quietest(1, () =>
      measureStep(session, request, { fewest: 5, enough: 500 }),
    );
    const { reported, runs, milliseconds, timing } = results[0];
    const done = operations(model.info, rows, reported, length);
    const gigabytes = model.info.weightBytes / 1e6 / milliseconds;
    const cell = { canvas: length, rows, runs, milliseconds, gigabytes, others, timing };
    cells.push({ ...cell, operations: done });
  }
  session.dispose();
  return cells;
}

function print(type, { isa, int8, f32 }, cells) {
  console.log(`${type}: ${isa}, peaks ${ms(int8)} GOP/s int8, ${ms(f32)} GFLOP/s f32\n`);
  const header = ['canvas', 'rows', 'ms', 'of peak', 'GB/s', 'linear', 'attend', 'head'];
  header.push('norm, rope, embed', 'rest', 'others');
  const row = ({ canvas, rows, milliseconds, gigabytes, others, timing, atPeak }) => {
    const share = (...parts) =>
      percent(parts.reduce((sum, part) => sum + timing[part], 0) / milliseconds);
    return [
      ...[canvas, rows].map(String),
      ms(milliseconds),
      percent(atPeak / milliseconds),
      ms(gigabytes),
      ...[share('linear'), share('attend'), share('head'), share('norm', 'rope', 'embed')],
      share('rest'),
      percent(others),
    ];
  };
  console.log(
    `${markdown(
      header.map((title) => `>${title}`),
      cells.map(row),
    )}\n`,
  );
}
