// What is measured on, and what else ran there meanwhile.
import { execFileSync } from 'node:child_process';
import { availableParallelism, cpus, release, totalmem, type } from 'node:os';
import { measurePeak } from '../dist/cli/speed.js';
import { version } from '../dist/cli/options.js';
import { root } from '../scripts/native-build.mjs';

export function describeMachine({ threads = availableParallelism() }) {
  return {
    cpu: cpus()[0].model.trim(),
    cores: cpus().length,
    memory: Math.round(totalmem() / 2 ** 30),
    os: `${type()} ${release().split('-')[0]}`,
    threads,
    node: process.versions.node,
    lacuna: version,
    commit: commit(),
  };
}

function commit() {
  const git = (...args) => execFileSync('git', args, { cwd: root, encoding: 'utf8' }).trim();
  try {
    const changed = git('status', '--porcelain', '--', 'native', 'lib', 'CMakeLists.txt') !== '';
    return git('rev-parse', '--short', 'HEAD') + (changed ? ' and changes' : '');
  } catch {
    return 'unknown'; // not a clone
  }
}

/**
 * Runs `measure` between two measurements of the peak, and returns what it returns and the better of
 * both: other work on the machine must not make us look fast.
 */
export async function withPeak({ threads }, measure) {
  const before = await measurePeak({ threads });
  const result = await measure();
  const after = await measurePeak({ threads });
  const peak = { ...before };
  for (const [key, value] of Object.entries(after)) {
    if (typeof value === 'number') peak[key] = Math.max(value, before[key]);
  }
  return { peak, result };
}

/** Milliseconds that the arithmetic alone takes at the peak. Attention is computed in f32. */
export function atPeak({ matrix, attention }, type, peak) {
  const isFloat = ['F32', 'F16', 'BF16'].includes(type);
  return matrix / 1e6 / (isFloat ? peak.f32 : peak.int8) + attention / 1e6 / peak.f32;
}

const quiet = 0.03; // of the cores; system clocks tick in 10 ms
const patience = 20_000; // milliseconds

/** Milliseconds that all cores have worked. */
function busy() {
  return cpus().reduce(
    (sum, { times: { user, nice, sys, irq } }) => sum + user + nice + sys + irq,
    0,
  );
}

/**
 * Repeats `round` until it ran `wanted` times undisturbed, within some patience, and returns the
 * results of the least disturbed rounds, with the share of the machine that other programs
 * took in the worst of them.
 *
 * @param round resolves to a result; its `foreignCpu`, if any, is the milliseconds that a program we
 * measure against has worked
 */
export async function quietest(wanted, round) {
  const rounds = [];
  const good = () => rounds.filter(({ others }) => others <= quiet).length;
  const begin = performance.now();
  const patient = () => rounds.length < wanted || performance.now() - begin < patience;
  while (good() < wanted && patient()) {
    const own = process.cpuUsage();
    const before = busy();
    const start = performance.now();
    const result = await round();
    const wall = performance.now() - start;
    const { user, system } = process.cpuUsage(own);
    const ours = (user + system) / 1000 + (result.foreignCpu ?? 0);
    rounds.push({ result, others: (busy() - before - ours) / (wall * cpus().length) });
  }
  const best = rounds.sort((a, b) => a.others - b.others).slice(0, wanted);
  return {
    results: best.map(({ result }) => result),
    others: Math.max(0, best.at(-1).others),
  };
}
