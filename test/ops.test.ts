/** Every verb of the CPU backend against the reference backend: see test/ops/. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

const program = join(import.meta.dirname, '..', 'build', 'Release', 'lacuna-ops');

interface Totals {
  passed: number;
  failed: number;
  isas: string[];
}

test('the op table holds on every instruction set, for 1, 2 and 4 threads', async () => {
  // A failing check exits with 1 and names its cases, which execFile puts into the error's message.
  const { stdout } = await promisify(execFile)(program, ['--check', '--json']);
  const totals = JSON.parse(stdout) as Totals;
  console.log(`ops: ${totals.passed} passed, ${totals.failed} failed on ${totals.isas.join(', ')}`);
  expect(totals.failed).toBe(0);
  expect(totals.passed).toBeGreaterThan(2000);
  expect(totals.isas).toContain('scalar');
}, 600_000);

test('the measured peaks are those of a working machine', async () => {
  const { stdout } = await promisify(execFile)(program, ['--peak', '--threads=1', '--json']);
  const peaks = JSON.parse(stdout) as { isa: string; threads: number; int8: number; f32: number }[];
  for (const peak of peaks) {
    expect(peak.threads).toBe(1);
    expect(peak.int8).toBeGreaterThan(0);
    expect(peak.f32).toBeGreaterThan(0);
  }
  expect(peaks.map((peak) => peak.isa)).toContain('scalar');
}, 60_000);
