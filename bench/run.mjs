// npm run bench [-- PART…] [options]: measures this machine. See README.md.
import { parseArgs } from 'node:util';
import { ensureNative } from '../scripts/ensure-native.mjs';

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    threads: { type: 'string' },
    types: { type: 'string' },
    canvas: { type: 'string' },
    rows: { type: 'string' },
    op: { type: 'string' },
    runs: { type: 'string' },
  },
});

const parts = ['ops', 'steps', 'generate', 'peer', 'server'];
const unknown = positionals.find((part) => !parts.includes(part));
if (unknown !== undefined) {
  console.error(`There is no part ${unknown}; there are ${parts.join(', ')}.`);
  process.exit(2);
}
const wanted = positionals.length > 0 ? positionals : parts;
ensureNative({ tests: wanted.includes('ops') });

const { describeMachine } = await import('./machine.mjs');
const { save } = await import('./report.mjs');
const list = (text) => text?.split(',').filter(Boolean);
const numbers = (text) => list(text)?.map(Number);
const options = {
  threads: values.threads === undefined ? undefined : Number(values.threads),
  types: list(values.types),
  canvas: numbers(values.canvas),
  rows: numbers(values.rows),
  op: values.op,
  runs: values.runs === undefined ? undefined : Number(values.runs),
};

const machine = describeMachine(options);
console.log(
  `${machine.cpu}, ${machine.cores} cores, ${machine.memory} GiB, ${machine.os}; ` +
    `${machine.threads} threads, Node ${machine.node}, Lacuna ${machine.lacuna} at ${machine.commit}`,
);
for (const part of wanted) {
  const { run } = await import(`./${part}.mjs`);
  console.log(`\n## ${part}\n`);
  const { data, failures = [] } = await run({ ...options, threads: machine.threads });
  console.log(`\nsaved in ${save(machine, part, data)}`);
  for (const failure of failures) console.error(`NOT MET: ${failure}`);
  if (failures.length > 0) process.exitCode = 1;
}
