/** Runs that the command line recorded, in the studio. */
import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, test } from 'vitest';
import { frames } from '../../lib/cli/replay.js';
import {
  blocks,
  daedal,
  generate,
  parseTrace as parseFile,
  threshold,
  traceFile,
  wino,
  type GenerateOptions,
} from '../../lib/index.js';
import { Timeline } from '../../studio/src/fold.js';
import { parseTrace } from '../../studio/src/traces.js';
import { textOf } from '../../studio/src/words.js';
import { lacuna, temporaryFolder } from '../cli/lacuna.js';
import { FakeModel } from '../decoding/fake.js';
import { canvasText, goTo, open, ready, stage } from './chromium.js';

const folder = temporaryFolder();

describe('a trace of the terminal', () => {
  test.each<[string, GenerateOptions]>([
    ['one after the other', {}],
    ['taken back', { decode: wino({ draft: 0.1, verify: 0.3 }) }],
    ['a canvas that grows from within', { decode: threshold(), length: daedal() }],
  ])('%s: every canvas', async (_, options) => {
    const fake = new FakeModel();
    const run = generate(fake, [1, 2], { maxTokens: 12, blocks: blocks(6), ...options });
    const json = JSON.stringify(traceFile(fake, await run.result));
    const { moments } = Timeline.of(parseTrace(json).frames);
    let i = 1;
    for await (const frame of frames(parseFile(json), 1e9)) {
      const moment = moments[i++];
      expect([...moment.tokens]).toEqual([...frame.tokens]);
      expect(moment.remaining).toBe(frame.remaining);
      expect(moment.stable).toBe(frame.stable);
    }
    expect(moments).toHaveLength(i);
  });

  test('what is in none of the two formats', () => {
    expect(() => parseTrace('{"kind":"trace"}')).toThrow('lacuna run --trace');
  });
});

const path = join(folder, 'run.json');

/** As `lacuna run` writes it. */
function recorded(): string {
  if (existsSync(path)) return path;
  const policy = ['--decode', 'threshold', '--tau', '0.3', '-n', '24', '--seed', '3'];
  const { code, stderr } = lacuna(['run', '-p', 'ROMEO:\n', ...policy, '--trace', path, '-q']);
  expect(code, stderr).toBe(0);
  return path;
}

test('a file of `lacuna run --trace` says how to run it again', () => {
  const json = readFileSync(recorded(), 'utf8');
  const { model, request, frames, text } = parseTrace(json);
  const timeline = Timeline.of(frames);
  expect(textOf(timeline, timeline.last!)).toBe(text);
  expect(timeline.end!.stats.forwards).toBe(parseFile(json).forwards);
  expect(model).toBe('shakespeare-7m');
  const decode = { name: 'threshold', options: { tau: 0.3 } };
  const { prompt, seed, temperature, max_tokens, lacuna } = request.body;
  expect({ prompt, seed, temperature, max_tokens }).toEqual({
    ...{ prompt: 'ROMEO:\n', seed: 3, temperature: 0.8, max_tokens: 24 },
  });
  expect(lacuna).toMatchObject({ decode, blocks: { name: 'blocks', options: { size: 8 } } });
});

test.skipIf(!ready)(
  'it opens in the page, plays, and goes on as a page of its own',
  async () => {
    const timeline = Timeline.of(parseTrace(readFileSync(recorded(), 'utf8')).frames);
    const { moments } = timeline;
    const on = await stage();
    try {
      const { page, complaints } = await open(on);
      await page.waitForSelector('.cell');
      await page.setInputFiles('input[type=file]', path);
      await page.waitForFunction(
        () => document.querySelector('.title')?.textContent === 'threshold',
      );
      for (const step of [0, 1, moments.length - 1]) {
        await goTo(page, step);
        await expect.poll(() => canvasText(page)).toBe(textOf(timeline, moments[step]));
      }
      await goTo(page, 0);
      await page.click('[aria-label=Play]');
      await page.waitForFunction((last) => {
        return document.querySelector('.where')?.textContent === `${last}/${last}`;
      }, moments.length - 1);
      await expect.poll(() => page.locator('[name=decode]').inputValue()).toBe('threshold');
      await expect.poll(() => page.locator('.what-if').count()).toBe(0);
      const [file] = await Promise.all([
        page.waitForEvent('download'),
        page.click('text="Save as HTML"'),
      ]);
      const saved = join(folder, 'run.html');
      await file.saveAs(saved);
      expect(statSync(saved).size).toBeLessThan(150_000);
      const own = await open(on, {}, pathToFileURL(saved).href);
      await own.page.waitForSelector('.cell.known');
      await expect.poll(() => canvasText(own.page)).toBe(textOf(timeline, timeline.last!));
      expect(complaints).toEqual([]);
    } finally {
      await on.close();
    }
  },
  300_000,
);
