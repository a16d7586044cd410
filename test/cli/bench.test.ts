import { mkdtempSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { lacuna, model, temporaryFolder } from './lacuna.js';

const folder = temporaryFolder();

describe('bench cache', () => {
  test('every cache next to none', () => {
    const prompts = join(folder, 'prompts.txt');
    writeFileSync(prompts, 'ROMEO:\\nWhat light is this?\\n\\nJULIET:\\n\n\n');
    const args = ['bench', 'cache', '--prompts', prompts, '--tokens', '8', '--runs', '1'];
    const { code, stdout, stderr } = lacuna([...args, '--block-length', '4']);
    expect([stderr, code]).toEqual(['', 0]);
    expect(stdout).toMatch(/^cache +agree +equal +Δ log p +forwards +rows +ms/m);
    expect(stdout).toMatch(/^noCache\(\) +100\.0 % +100\.0 % +\+0\.000 +4 /m);
    // the first forward of each block is a full one, the second computes the block
    // of two tables; the rows of the first win
    const cells = stdout.split('\n').map((line) => line.split(/ {2,}/));
    const rows = new Map(cells.reverse().map(([name, , , , , count]) => [name, Number(count)]));
    expect(rows.get('dualCache()')).toBe(rows.get('noCache()')! / 2 + 2 * 4);
    expect(rows.get('dpad({ cache: dualCache() })')).toBeLessThanOrEqual(rows.get('dualCache()')!);
    expect(stdout).toMatch(
      /block-causal:4\n\n.*\nnoCache\(\) .*\nblockCausalCache\(\) +100\.0 % +100\.0 %/,
    );
  });

  test('--json, speed only', () => {
    const args = ['bench', 'cache', '--tokens', '4', '--runs', '1', '--no-quality', '--json'];
    const { stdout } = lacuna([...args, '--threads', '1']);
    const report = JSON.parse(stdout) as { caches: Record<string, unknown>[]; threads: number };
    expect(report).toMatchObject({ threads: 1, settings: { prompts: 4, tokens: 4, steps: 2 } });
    expect(report.caches[0]).toMatchObject({ cache: 'noCache()', forwards: 8 });
    expect(report.caches.every((cache) => !('quality' in cache))).toBe(true);
    expect(report.caches.at(-1)).toHaveProperty('reason');
  });

  test('a file without prompts is refused', () => {
    const empty = join(folder, 'empty.txt');
    writeFileSync(empty, '\n\n');
    const { code, stderr } = lacuna(['bench', 'cache', '--prompts', empty]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/--prompts: .*empty\.txt holds no prompt/);
  });
});

describe('bench', () => {
  const small = ['--rows', '16', '--threads', '1'];

  test('a synthetic model: table, and nothing left behind', () => {
    const TMPDIR = mkdtempSync(join(folder, 'tmp-'));
    const { code, stdout, stderr } = lacuna(['bench', '--synthetic', 'tiny', ...small], '', {
      TMPDIR,
    });
    expect(stderr).toBe('');
    expect(code).toBe(0);
    expect(stdout).toMatch(/^forward 16 rows: [\d.]+ ms$/m);
    expect(readdirSync(TMPDIR)).toEqual([]);
  });

  test('a file, with the peak, as JSON', () => {
    const { stdout } = lacuna(['bench', model, ...small, '--peak', '--json']);
    type Timing = Record<string, number>;
    const report = JSON.parse(stdout) as {
      forward: { rows: number; gops: number; timing: Timing };
      peak: { int8: number };
      generation: {
        forwards: number;
        milliseconds: number;
        tokensPerSecond: number;
        steps: { rows: number; count: number; milliseconds: number; timing: Timing }[];
        accounting: { verbs: number; leastOfAStep: number; outside: number };
      };
    };
    expect(report.forward.rows).toBe(16);
    expect(report.forward.gops).toBeGreaterThan(0);
    expect(report.peak.int8).toBeGreaterThan(0);
    expect(Object.keys(report.forward.timing)).toEqual([
      ...['embed', 'norm', 'linear', 'rope', 'attend', 'moe', 'head', 'commit'],
      'rest',
    ]);
    const { generation } = report;
    expect(generation.tokensPerSecond).toBeGreaterThan(0);
    // The first step of a block computes the whole canvas, the others the block.
    expect(generation.steps.map(({ rows }) => rows)).toEqual([96, 32]);
    expect(generation.steps.reduce((sum, { count }) => sum + count, 0)).toBe(generation.forwards);
    for (const { milliseconds, timing } of generation.steps) {
      const sum = Object.values(timing).reduce((a, b) => a + b, 0);
      expect(sum).toBeCloseTo(milliseconds, 6);
    }
    const { verbs, leastOfAStep, outside } = generation.accounting;
    const native = generation.steps.reduce((ms, step) => ms + step.count * step.milliseconds, 0);
    const rest = generation.steps.reduce((ms, step) => ms + step.count * step.timing.rest, 0);
    expect(verbs).toBeCloseTo(1 - rest / native, 9);
    expect(outside).toBeCloseTo(1 - native / generation.milliseconds, 9);
    expect(leastOfAStep).toBeLessThanOrEqual(verbs);
  });
});
