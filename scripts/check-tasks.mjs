// node scripts/check-tasks.mjs [MODEL] [--samples N] [--blocks-from-end N]: what a tasks model gets right
// one token at a time, the most confident first, in blocks if wanted, for each task and size, beside what is asked of it. Exit code 1 if it
// gets less. Needs `npm run build`.
import { parseArgs } from 'node:util';
import {
  blocksFromEnd,
  loadModel,
  modelSubject,
  parallelbench,
  taskNames,
  tasks,
  wilson,
} from '../dist/index.js';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { samples: { type: 'string', default: '200' }, 'blocks-from-end': { type: 'string' } },
});
const { samples, 'blocks-from-end': size } = values;
const file = positionals[0] ?? 'models/tasks.Q8_0.gguf';

// Share of right answers, over all sizes up to `most`.
const wanted = {
  copy: { least: 0.95 },
  reverse: { least: 0.95 },
  'replace-index': { least: 0.95 },
  'remove-index': { least: 0.95 },
  'remove-random': { least: 0.95 },
  sort: { least: 0.95, most: 6 },
  latin: { least: 0.9 },
  'sudoku-4': { least: 0.9 },
};

/** Scores of a task by size; `samples` in all, evenly over the sizes. */
async function scores(subject, task) {
  const { min, max } = tasks[task].size;
  const sizes = Array.from({ length: max - min + 1 }, (_, i) => min + i);
  const each = Math.ceil(Number(samples) / sizes.length);
  const found = [];
  for (const n of sizes) {
    const greedy = { strategies: ['confidence'], values: [1], temperatures: [0] };
    const block = size && { blocks: blocksFromEnd(Number(size)) };
    const options = { tasks: [task], n, samples: each, ...greedy, ...block };
    found.push({ n, ...(await parallelbench(subject, options))[0] });
  }
  return found;
}

const percent = (share) => `${(100 * share).toFixed(1)} %`;
const model = await loadModel(file);
const subject = modelSubject(model, 16);
let failed = 0;
console.log(`${file}: right answers one token at a time, the most confident first`);
for (const task of taskNames) {
  const found = await scores(subject, task);
  const { least, most = Infinity } = wanted[task] ?? {};
  const counted = found.filter(({ n }) => n <= most);
  const sum = (key) => counted.reduce((total, score) => total + score[key], 0);
  const [right, of] = [sum('right'), sum('samples')];
  const interval = wilson(right, of).map(percent).join(' … ');
  const bar = least === undefined ? '' : `, at least ${percent(least)} wanted`;
  const missed = least !== undefined && right / of < least;
  failed += Number(missed);
  const sizes = most < Infinity ? ` (n up to ${most})` : '';
  console.log(
    `${missed ? 'MISSED ' : ''}${task}${sizes}: ${percent(right / of)} of ${of} (${interval}${bar})`,
  );
  console.log(`    ${found.map(({ n, accuracy }) => `n = ${n}: ${percent(accuracy)}`).join(', ')}`);
}
await model.dispose();
process.exitCode = failed > 0 ? 1 : 0;
