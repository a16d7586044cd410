/** Runs side by side, by hand, in holes, by schema. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Page } from 'playwright-core';
import { embeddedDefaults } from '../../lib/cli/embedded.js';
import { lacuna, temporaryFolder } from '../cli/lacuna.js';
import { canvasText, goTo, open, ready, run, stage, type Stage } from './chromium.js';

let on: Stage;
beforeAll(async () => {
  if (ready) on = await stage();
});
afterAll(() => on?.close());

const prompt = 'ROMEO:\n';
const { chat: _, ...defaults } = embeddedDefaults;
const folder = temporaryFolder();
const small = { complete: prompt, maxTokens: '24', seed: '7' };
const finished = (page: Page, lanes: number) =>
  page.waitForFunction((n) => document.querySelectorAll('.status.done').length === n, lanes);

describe.skipIf(!ready)('lanes', () => {
  test('two presets with one seed: the numbers are those that `lacuna compare` prints', async () => {
    const presets = ['quality', 'fast'] as const;
    const { page, complaints } = await open(on);
    await run(page, { ...small, preset: presets[0] });
    await page.selectOption('[name=preset]', presets[1]);
    await page.click('text="+ Lane"');
    await finished(page, 2);
    const cellsOf = (list: Element[]) =>
      list.map((row) => [...row.querySelectorAll('td, th')].map((cell) => cell.textContent));
    const [head, ...rows] = await page.locator('.comparison tr').evaluateAll(cellsOf);
    const shown = rows.map((row) => Object.fromEntries(row.map((cell, i) => [head[i], cell])));

    const prompts = join(folder, 'prompts.json');
    writeFileSync(prompts, JSON.stringify([prompt]));
    const { temperature } = embeddedDefaults;
    const same = ['-n', small.maxTokens, '--seed', small.seed, '-t', String(temperature)];
    const args = ['--prompts', prompts, '--presets', presets.join(), '--device', 'cpu'];
    const { code, stdout, stderr } = lacuna(['compare', ...args, ...same]);
    expect(code, stderr).toBe(0);
    const [names, , ...printed] = stdout
      .trim()
      .split('\n')
      .map((line) => line.split('|').map((cell) => cell.trim()));
    for (const [i, line] of printed.entries()) {
      const said = Object.fromEntries(line.map((cell, j) => [names[j], cell]));
      expect(said.preset).toBe(presets[i]);
      expect(shown[i].forwards).toBe(said.forwards);
      expect(shown[i]['tok/forward']).toBe(said['tokens/forward']);
      expect(Number(small.maxTokens) - Number(shown[i].wasted)).toBe(Number(said.tokens));
    }
    expect(shown[0].forwards).not.toBe(shown[1].forwards);

    for (const [i, preset] of presets.entries()) {
      const { decode: _1, blocks: _2, ...others } = defaults;
      const options = { ...others, preset, maxTokens: 24, seed: 7 };
      const { text, trace } = await on.model.generate(prompt, options).result;
      const sure = trace.flatMap(({ committed }) => committed.map(([, , p]) => p));
      const mean = sure.reduce((a, b) => a + b) / sure.length;
      expect(Number(shown[i]['mean conf.'])).toBeCloseTo(mean, 2);
      await expect.poll(() => canvasText(page, i)).toBe(text);
      await expect.poll(() => page.locator('.words').nth(i).textContent()).toBe(text);
    }
    expect(complaints).toEqual([]);
  }, 300_000);

  test('a pinned token survives; a replaced one stays; a re-masked one comes anew', async () => {
    const { page, complaints } = await open(on);
    await run(page, { ...small, decode: 'wino' });
    const cell = (lane: number) => page.locator('.canvas').nth(lane).locator('[data-at="0"]');
    const stays = async (lane: number, word: string | null) => {
      const last = Number(await page.locator('.scrubber').getAttribute('max'));
      for (let step = 0; step <= last; step++) {
        await goTo(page, step);
        await expect.poll(() => cell(lane).textContent()).toBe(word);
      }
      await expect.poll(() => cell(lane).getAttribute('class')).toContain('pinned');
    };
    const word = await cell(0).textContent();
    expect(word).toMatch(/\w/);
    await cell(0).click();
    await page.click('.actions >> text="Pin"');
    await finished(page, 2);
    await stays(1, word);

    await page.fill('.actions input', ' crown');
    await page.click('.actions >> text="Replace"');
    await finished(page, 3);
    await stays(2, ' crown');

    await page.click('.actions >> text="Re-mask"');
    await finished(page, 4);
    await goTo(page, 0);
    await expect.poll(() => cell(3).textContent()).toBe('░');
    expect(complaints).toEqual([]);
  });

  test('by hand: a forward proposes, what is left of it is written', async () => {
    const { page, complaints } = await open(on);
    await page.waitForSelector('.cell', { state: 'attached' });
    for (const [name, value] of Object.entries({ ...small, maxTokens: '12' })) {
      await page.fill(`.run [name=${name}]`, value);
    }
    await page.selectOption('[name=decode]', 'topK');
    await page.locator('.option', { hasText: /^k$/ }).locator('input').fill('3');
    await page.click('.main button >> nth=1');
    await page.waitForSelector('.cell.ghost');
    const ghosts = page.locator('.cell.ghost');
    await expect.poll(() => ghosts.count()).toBe(3);
    const left = await ghosts.first().getAttribute('data-at');
    await ghosts.first().click();
    await expect.poll(() => page.locator('.cell.unwanted').count()).toBe(1);
    await page.click('.main button >> text=Apply');
    await expect.poll(() => page.locator('.cell.known').count()).toBe(2);
    await expect.poll(() => page.locator(`[data-at="${left}"]`).textContent()).toBe('░');
    await page.click('.main button >> nth=1');
    await page.waitForSelector('.cell.ghost');
    expect(complaints).toEqual([]);
  });

  test('holes: what stands outside of them does not change', async () => {
    const { page, complaints } = await open(on);
    await page.click('#tab-fill');
    const [before, behind] = ['KING:\nMy lord,', ' the crown of England.\n'];
    await run(page, { fill: `${before}⟦4⟧${behind}`, seed: '2' });
    const text = await canvasText(page);
    expect(text.startsWith(before) && text.endsWith(behind)).toBe(true);
    expect(text.length).toBeGreaterThan(before.length + behind.length);
    await expect.poll(() => page.locator('.cell.fixed').count()).toBeGreaterThan(8);

    await page.fill('[aria-label="Most tokens of hole 1"]', '3');
    await page.locator('[name=fill]').focus();
    await expect.poll(() => page.locator('[name=fill]').inputValue()).toBe(`${before}⟦3⟧${behind}`);
    const lane = await page.locator('.canvas').getAttribute('data-lane');
    await page.locator('.review').focus();
    await page.keyboard.press('r');
    await page.waitForFunction((old) => {
      const next = document.querySelector('.canvas')?.getAttribute('data-lane');
      return next !== old && document.activeElement?.matches('.review');
    }, lane);
    const again = await canvasText(page);
    await page.keyboard.press('Tab');
    await expect.poll(() => page.locator('[name=fill]').inputValue()).toBe(again);
    await page.locator('.review').focus();
    await page.keyboard.press('Backspace');
    await expect.poll(() => page.locator('.canvas').count()).toBe(0);
    await expect
      .poll(() => page.evaluate(() => document.activeElement!.getAttribute('name')))
      .toBe('fill');
    expect(complaints).toEqual([]);
  });

  test('JSON by a schema', async () => {
    const { page, complaints } = await open(on);
    await page.click('#tab-json');
    const schema = { type: 'object', properties: { old: { type: 'boolean' } }, required: ['old'] };
    await page.fill('[name=schema]', JSON.stringify(schema));
    await page.click('button.primary');
    await page.waitForSelector('.badge.good');
    const value = JSON.parse((await page.locator('.json pre').textContent())!) as { old: unknown };
    expect(value.old).toBeTypeOf('boolean');
    expect(complaints).toEqual([]);
  });

  test('a text that is marked becomes a hole', async () => {
    const { page } = await open(on);
    await page.click('#tab-fill');
    await page.fill('[name=fill]', 'My noble lord');
    await page.locator('[name=fill]').evaluate((area: HTMLTextAreaElement) => {
      area.focus();
      area.setSelectionRange(3, 8);
    });
    await page.keyboard.press('Control+e');
    await expect.poll(() => page.locator('[name=fill]').inputValue()).toBe('My ⟦1⟧ lord');
    await expect.poll(() => page.locator('.holes li').count()).toBe(1);
  });

  test('the complete answer at once', async () => {
    const { page, complaints } = await open(on);
    await page.waitForSelector('.cell');
    await page.click('#tab-complete');
    await page.check('[name=atOnce]');
    await page.evaluate(() => {
      const seen = ((globalThis as unknown as { seen: string[] }).seen = []) as string[];
      new MutationObserver(() => {
        const canvas = document.querySelector('.lane [data-lane]');
        const text = canvas?.querySelector('.tokens')?.textContent ?? '';
        if (text.includes('░')) seen.push(text);
      }).observe(document.querySelector('.view')!, {
        ...{ childList: true, subtree: true, characterData: true },
      });
    });
    await run(page, { ...small, maxTokens: '8' });
    const { text } = await on.model.generate(prompt, { ...defaults, maxTokens: 8, seed: 7 }).result;
    await page.waitForFunction(
      (whole) => document.querySelector('.tokens')?.textContent === whole,
      text,
    );
    const seen = await page.evaluate(() => (globalThis as unknown as { seen: string[] }).seen);
    expect(seen).toEqual([]);
    expect(complaints).toEqual([]);
  });

  test('what the server refuses is shown', async () => {
    const { page } = await open(on);
    await run(page, small);
    await page.fill('[name=maxTokens]', '8000');
    await page.click('button.primary');
    await page.waitForSelector('.error');
    await expect.poll(() => page.locator('.error').textContent()).toContain('context');
  });
});
