/** The studio in Chromium: what it shows is what the session did. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Page } from 'playwright-core';
import { embeddedDefaults } from '../../lib/cli/embedded.js';
import { threshold, type GenerateOptions } from '../../lib/index.js';
import type { Trace } from '../../studio/src/frames.js';
import { canvasText, goTo, open, ready, run, stage, type Stage } from './chromium.js';

const axe = readFileSync(
  fileURLToPath(new URL('../../node_modules/axe-core/axe.min.js', import.meta.url)),
  'utf8',
);
const folder = mkdtempSync(join(tmpdir(), 'lacuna-studio-'));
let on: Stage;
beforeAll(async () => {
  if (ready) on = await stage();
});
afterAll(async () => {
  rmSync(folder, { recursive: true });
  await on?.close();
});

const prompt = 'ROMEO:\n';
const { chat: _, ...defaults } = embeddedDefaults;
const fast: GenerateOptions = { ...defaults, decode: threshold({ tau: 0.9 }) };
const panel = { complete: prompt, maxTokens: '32', seed: '7' };
const fastPanel = { ...panel, decode: 'threshold' };

/** What the session showed after each step. */
async function textsOf(options: GenerateOptions): Promise<string[]> {
  const texts: string[] = [];
  const generation = on.model.generate(prompt, { ...options, maxTokens: 32, seed: 7 });
  for await (const frame of generation) texts.push(frame.text);
  return texts;
}

async function download(page: Page, button: string): Promise<string> {
  const [file] = await Promise.all([page.waitForEvent('download'), page.click(button)]);
  const path = join(folder, file.suggestedFilename());
  await file.saveAs(path);
  return path;
}

/** What axe finds wrong. */
async function faults(page: Page): Promise<string[]> {
  await page.evaluate(axe);
  return page.evaluate(async () => {
    const tool = (globalThis as unknown as { axe: { run(): Promise<{ violations: never[] }> } })
      .axe;
    const { violations } = await tool.run();
    return (violations as { id: string; nodes: { html: string }[] }[]).map(
      ({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html.slice(0, 160)).join(' | ')}`,
    );
  });
}

describe.skipIf(!ready)('a run', () => {
  test('its text at every step, its counts, a click on the heat map, kept in a file', async () => {
    const { page, complaints } = await open(on);
    await run(page, fastPanel);
    const texts = await textsOf(fast);
    const last = Number(await page.locator('.scrubber').getAttribute('max'));
    expect(last).toBe(texts.length);
    for (let step = 1; step <= last; step++) {
      await goTo(page, step);
      await expect.poll(() => canvasText(page)).toBe(texts[step - 1]);
    }

    const { result } = on.model.generate(prompt, { ...fast, maxTokens: 32, seed: 7 });
    const { counts } = await result;
    const shown = await page.locator('[data-commits]').getAttribute('data-commits');
    expect(shown!.split(',').map(Number)).toEqual(counts.commits);

    const map = page.locator('.heat canvas');
    await map.scrollIntoViewIfNeeded();
    const { width, height } = (await map.boundingBox())!;
    const [at, step] = [11, Math.ceil(last / 2)];
    const position = { x: ((at + 0.5) * width) / 32, y: ((step - 0.5) * height) / last };
    await map.click({ position });
    await expect.poll(() => page.locator('.scrubber').inputValue()).toBe(String(step));
    await expect.poll(() => page.locator('.cell.chosen').getAttribute('data-at')).toBe(String(at));
    await expect
      .poll(() => page.locator('.inspector dd').first().textContent())
      .toContain('11 · block 2');
    await expect.poll(() => page.locator('.choices li').count()).toBeGreaterThan(1);

    const file = await download(page, 'text="Save"');
    const looks = () =>
      page
        .locator('.cell')
        .evaluateAll((cells) => cells.map((c) => `${c.className}${c.textContent}`));
    const all = async () => {
      const seen: string[][] = [];
      for (const to of [0, step, last]) {
        await goTo(page, to);
        seen.push(await looks());
      }
      return seen;
    };
    const before = await all();
    await page.reload();
    await page.setInputFiles('input[type=file]', file);
    await page.waitForFunction(() => document.querySelector('.title')?.textContent === 'threshold');
    const after = await all();
    const plain = (list: string[][]) =>
      list.map((l) => l.map((look) => look.replace(' chosen', '')));
    expect(plain(after)).toEqual(plain(before));
    expect(complaints).toEqual([]);
  });

  test('as a page of its own, from the disk', async () => {
    const { page, complaints } = await open(on);
    await run(page, fastPanel);
    const text = await canvasText(page);
    const path = await download(page, 'text="Save as HTML"');
    console.log(`saved page: ${statSync(path).size} bytes`);
    expect(statSync(path).size).toBeLessThan(150_000);
    const saved = await open(on, {}, pathToFileURL(path).href);
    saved.complaints.length = 0; // its own address
    await saved.page.waitForSelector('.cell.known');
    expect(text).toContain(' ');
    await expect.poll(() => canvasText(saved.page)).toBe(text);
    await goTo(saved.page, 1);
    await expect.poll(() => canvasText(saved.page)).toBe((await textsOf(fast))[0]);
    await saved.page.click('.cell >> nth=2');
    await expect.poll(() => saved.page.locator('.inspector').count()).toBe(1);
    expect([...complaints, ...saved.complaints]).toEqual([]);
  });

  test('with keys alone', async () => {
    const { page, complaints } = await open(on);
    await page.waitForSelector('.cell');
    const press = async (...keys: string[]) => {
      for (const key of keys) await page.keyboard.press(key);
    };
    const focused = () => page.evaluate(() => document.activeElement!.getAttribute('name') ?? '');
    for (let i = 0; i < 60 && (await focused()) !== 'complete'; i++) await press('Tab');
    await press('Control+a');
    await page.keyboard.type('JULIET:\n');
    for (let i = 0; i < 20 && (await focused()) !== 'maxTokens'; i++) await press('Tab');
    await press('Control+a');
    await page.keyboard.type('16');
    await press('Control+Enter');
    await page.waitForSelector('.status.done');
    const where = () => page.locator('.where').textContent();
    await page.locator('.tokens').focus();
    await press('ArrowRight', 'ArrowRight');
    await expect.poll(() => page.locator('.cell.chosen').getAttribute('data-at')).toBe('1');
    await press('Shift+Tab'); // out of the canvas, where arrows move over tokens
    await press('Home');
    await expect.poll(where).toBe('0/16');
    await press('ArrowRight', 'ArrowRight', 'ArrowLeft');
    await expect.poll(where).toBe('1/16');
    await press('Shift+ArrowRight');
    await expect.poll(where).toBe('9/16'); // the second block of 8
    await press('5');
    await expect.poll(() => page.locator('[name=lens]').inputValue()).toBe('order');
    await press('End');
    await expect.poll(where).toBe('16/16');
    await press('?');
    await expect.poll(() => page.locator('dialog').isVisible()).toBe(true);
    await press('Escape');
    await expect.poll(() => page.locator('dialog').isVisible()).toBe(false);
    expect(complaints).toEqual([]);
  });
});

describe.skipIf(!ready)('access', () => {
  test.each([
    ['light', { colorScheme: 'light' }],
    ['dark', { colorScheme: 'dark' }],
    ['forced colours', { forcedColors: 'active' }],
    ['narrow', { viewport: { width: 420, height: 800 } }],
  ] as const)('%s', async (_name, options) => {
    const { page, complaints } = await open(on, options);
    await page.waitForSelector('.cell');
    await goTo(page, 40);
    await page.locator('.cell').nth(3).click();
    for (const lens of ['confidence', 'entropy', 'order']) {
      await page.selectOption('[name=lens]', lens);
      expect(await faults(page)).toEqual([]);
    }
    for (const pane of ['Run', 'Inspect']) {
      const button = page.locator('.panes button', { hasText: pane });
      if (!(await button.isVisible())) continue;
      await button.click();
      expect(await faults(page)).toEqual([]);
    }
    expect(complaints).toEqual([]);
  });
});

test.skipIf(!ready)('access: comparison, fill, JSON, keys', async () => {
  const { page, complaints } = await open(on);
  await page.waitForSelector('.cell');
  await run(page, { ...panel, maxTokens: '8' });
  await page.click('text="+ Lane"');
  await page.waitForFunction(() => document.querySelectorAll('.status.done').length === 2);
  expect(await faults(page)).toEqual([]);
  await page.click('#tab-fill');
  await run(page, { fill: 'ROMEO:\n⟦3⟧ my lord.\n' });
  expect(await faults(page)).toEqual([]);
  await page.click('#tab-json');
  const schema = { type: 'object', properties: { old: { type: 'boolean' } }, required: ['old'] };
  await run(page, { maxTokens: '96', schema: JSON.stringify(schema) });
  await page.waitForSelector('.badge.good');
  expect(await faults(page)).toEqual([]);
  await page.click('[aria-label=Keys]');
  await page.waitForSelector('dialog[open]');
  expect(await faults(page)).toEqual([]);
  expect(complaints).toEqual([]);
});

test.skipIf(!ready)('a part of the heat map; a threshold that is drawn', async () => {
  const { page, complaints } = await open(on);
  await page.waitForSelector('.cell');
  const { length, steps } = await page.evaluate(() => ({
    length: document.querySelectorAll('.cell').length,
    steps: Number(document.querySelector<HTMLInputElement>('.scrubber')!.max),
  }));
  const map = page.locator('.heat canvas');
  await map.scrollIntoViewIfNeeded();
  let box = (await map.boundingBox())!;
  const spot = (at: number, step: number, of: { length: number; steps: number }) => ({
    x: box.x + ((at + 0.5) * box.width) / of.length,
    y: box.y + ((step - 0.5) * box.height) / of.steps,
  });
  const drag = async (from: { x: number; y: number }, to: { x: number; y: number }) => {
    await page.mouse.move(from.x, from.y);
    await page.mouse.down();
    await page.mouse.move(to.x, to.y, { steps: 4 });
    await page.mouse.up();
  };
  await drag(spot(10, 5, { length, steps }), spot(19, 14, { length, steps }));
  await expect
    .poll(() => page.locator('.heat figcaption').textContent())
    .toContain('positions 10–19, steps 5–14');
  await map.scrollIntoViewIfNeeded();
  box = (await map.boundingBox())!;
  const inside = spot(2, 3, { length: 10, steps: 10 });
  await page.mouse.click(inside.x, inside.y);
  await expect.poll(() => page.locator('.cell.chosen').getAttribute('data-at')).toBe('12');
  await expect.poll(() => page.locator('.scrubber').inputValue()).toBe('7');
  await page.click('text="Show all"');
  await expect
    .poll(() => page.locator('.heat figcaption').textContent())
    .not.toContain('positions 10');

  const line = page.locator('.tau');
  await line.scrollIntoViewIfNeeded();
  const handle = (await line.boundingBox())!;
  const x = handle.x + handle.width / 2;
  const plot = (await page.locator('.plot').nth(1).locator('.u-over').boundingBox())!;
  await drag({ x, y: handle.y + handle.height / 2 }, { x, y: plot.y + plot.height / 2 });
  const tau = Number(await page.locator('.what-if output').textContent());
  expect(tau).toBeGreaterThan(0.45);
  expect(tau).toBeLessThan(0.55);
  await expect.poll(() => page.locator('.what-if input').inputValue()).toBe(String(tau));
  await expect.poll(() => page.locator('.what-if').textContent()).toContain('this step');
  expect(complaints).toEqual([]);
});

test.skipIf(!ready)('script and style are at most 60 kB, compressed', () => {
  const built = new URL('../../dist/studio/', import.meta.url);
  const files = readdirSync(built).filter((n) => /^(?!player).*\.(?:js|css)$/.test(n));
  expect(files.length).toBeGreaterThanOrEqual(2);
  const sizes = files.map((name) => gzipSync(readFileSync(new URL(name, built))).length);
  const size = sizes.reduce((a, b) => a + b);
  console.log(`script and style: ${size} bytes compressed`);
  expect(size).toBeLessThanOrEqual(60_000);
});

/** A made-up run over a canvas of that size. */
function traceOf(length: number, steps: number): Trace {
  const each = length / steps;
  const bytes = (step: number) => {
    const list = Uint8Array.from({ length }, (_, i) =>
      i < step * each ? 200 : (i * 37 + step) % 256,
    );
    return Buffer.from(list).toString('base64');
  };
  const step = (i: number) => ({
    ...{ kind: 'step' as const, step: i, block: 0, remaining: length - (i + 1) * each, stable: 0 },
    ...{ ms: 5, confidence: bytes(i), entropy: bytes(i), margin: bytes(i) },
    commits: Array.from({ length: each }, (_, j): [number, number, string, number] => {
      const at = i * each + j;
      return [at, 5 + (at % 50), ` word${at % 50}`, 0.8];
    }),
  });
  const policies = { blocks: { name: 'blocks', options: length } };
  return {
    ...{ kind: 'lacuna-run', v: 1, title: 'large', model: 'none', text: '' },
    request: { path: '/v1/completions', body: { prompt: '' } },
    frames: [
      {
        ...{ kind: 'start', length, prompt: 0, blocks: 1, mask: 0, ends: [1], fixed: [] },
        policies,
      },
      ...Array.from({ length: steps }, (_, i) => step(i)),
    ],
  };
}

test.skipIf(!ready)('work for a frame of 1,024 tokens', async () => {
  const { page } = await open(on);
  const buffer = Buffer.from(JSON.stringify(traceOf(1024, 64)));
  await page.setInputFiles('input[type=file]', {
    name: 'x.json',
    mimeType: 'application/json',
    buffer,
  });
  await page.waitForFunction(() => document.querySelectorAll('.cell').length === 1024);
  const times = await page.evaluate(async () => {
    const scrubber = document.querySelector<HTMLInputElement>('.scrubber')!;
    const times: number[] = [];
    for (let step = 1; step <= 64; step++) {
      await new Promise(requestAnimationFrame);
      const from = performance.now();
      scrubber.value = String(step);
      scrubber.dispatchEvent(new Event('input', { bubbles: true }));
      await Promise.resolve().then(() => {}); // where signals and components settle
      void document.body.offsetHeight;
      times.push(performance.now() - from);
    }
    return times;
  });
  const sorted = times.toSorted((a, b) => a - b);
  const at = (share: number) => sorted[Math.floor(share * (sorted.length - 1))].toFixed(1);
  console.log(`1,024 tokens: median ${at(0.5)} ms a frame, p95 ${at(0.95)} ms`);
  await expect.poll(() => page.locator('.cell.known').count()).toBe(1024);
});
