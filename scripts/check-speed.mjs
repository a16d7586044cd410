// The floor below which the CPU kernels are broken: a forward of 256 rows through a synthetic 16-layer,
// 1024-wide Q8_0 model at 25 % of the machine's int8 dot-product peak, both measured in one run. And the
// timing of a step must name where its time goes: what no verb accounts for stays below 3 %.
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { root } from './native-build.mjs';

const floor = 0.25;
const mostUnaccounted = 0.03;
const options = ['--synthetic', 'bench-16x1024', '--type', 'Q8_0', '--rows', '256', '--peak'];
const { peak, forward, generation } = JSON.parse(
  execFileSync(
    process.execPath,
    [join(root, 'dist', 'cli', 'main.js'), 'bench', ...options, '--json'],
    { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] },
  ),
);
const share = forward.gops / peak.int8;
const percent = (part) => `${(100 * part).toFixed(1)} %`;
console.log(
  `forward of 256 rows: ${forward.milliseconds.toFixed(0)} ms, ${forward.gops.toFixed(0)} GOP/s, ` +
    `${percent(share)} of the ${peak.isa} int8 peak of ${peak.int8.toFixed(0)} GOP/s`,
);
if (!(share >= floor)) {
  console.error(`That is below ${percent(floor)}.`);
  process.exitCode = 1;
}
const unaccounted = 1 - generation.accounting.verbs;
console.log(
  `generation: ${generation.tokensPerSecond.toFixed(1)} tokens/s, ${percent(unaccounted)} of its steps ` +
    `in no verb, ${percent(generation.accounting.outside)} outside native code`,
);
if (!(unaccounted <= mostUnaccounted)) {
  console.error(`More than ${percent(mostUnaccounted)} of the steps' time is in no verb.`);
  process.exitCode = 1;
}
