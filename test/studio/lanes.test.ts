/** Runs side by side, by hand, in holes, by schema; and as code. */
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Page } from 'playwright-core';
import { embeddedDefaults } from '../../lib/cli/embedded.js';
import { blocks, threshold, type GenerateOptions } from '../../lib/index.js';
import { curl, typescript } from '../../studio/src/copy.js';
import type { RunRequest } from '../../studio/src/frames.js';
import { canvasText, goTo, modelPath, open, ready, run, stage, type Stage } from './chromium.js';

let on: Stage;
beforeAll(async () => {
  on = await stage();
});
afterAll(() => on?.close());

const prompt = 'ROMEO:\n';
const { chat: _, ...defaults } = embeddedDefaults;
const small = { complete: prompt, maxTokens: '24', seed: '7' };
const finished = (page: Page, lanes: number) =>
  page.waitForFunction((n) => document.querySelectorAll('.status.done').length === n, lanes);

describe.skipIf(!ready)('lanes', () => {
  test('two policies with one seed: the numbers are those of the library', async () => {
    const { page, complaints } = await open(on);
    await run(page, small);
    await page.selectOption('[name=decode]', 'threshold');
    await page.selectOption('[name=blocks]', 'blocks');
    await page.locator('.option', { hasText: 'tau' }).locator('input').fill('0.4');
    await page.click('text="+ Lane"');
    await finished(page, 2);
    const rows = await page
      .locator('.comparison tbody tr')
      .evaluateAll((list) =>
        list.map((row) => [...row.querySelectorAll('td')].map((cell) => cell.textContent)),
      );
    const settings: GenerateOptions[] = [
      defaults,
      { ...defaults, decode: threshold({ tau: 0.4 }), blocks: blocks(32) },
    ];
    for (const [i, options] of settings.entries()) {
      const generation = on.model.generate(prompt, { ...options, maxTokens: 24, seed: 7 });
      const { counts, forwards, text, trace } = await generation.result;
      const [, perForward, shown, , mean] = rows[i];
      expect(perForward).toBe(counts.tokensPerForward.toFixed(2));
      expect(shown).toBe(String(forwards));
      const sure = trace.flatMap(({ committed }) => committed.map(([, , p]) => p));
      expect(Number(mean)).toBeCloseTo(sure.reduce((a, b) => a + b) / sure.length, 2);
      await expect.poll(() => canvasText(page, i)).toBe(text);
      await expect.poll(() => page.locator('.words').nth(i).textContent()).toBe(text);
    }
    expect(complaints).toEqual([]);
  });

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

describe('as code', () => {
  const body = {
    ...{ prompt, max_tokens: 12, seed: 5 },
    lacuna: { canvas: 'delta', decode: { name: 'threshold', options: { tau: 0.4 } } },
  };
  const request: RunRequest = { path: '/v1/completions', body };
  const textOf = async () => {
    const options = { ...defaults, decode: threshold({ tau: 0.4 }), maxTokens: 12, seed: 5 };
    return (await on.model.generate(prompt, options).result).text;
  };
  const root = fileURLToPath(new URL('../../', import.meta.url));

  test('TypeScript', async () => {
    const headers = { host: 'localhost' };
    const list = await on.handler(new Request('http://localhost/lacuna/v1/policies', { headers }));
    const facts = (await list.json()) as { defaults: never };
    const code = typescript(request, modelPath, facts.defaults);
    const args = ['--input-type=module', '--eval', code];
    const out = execFileSync(process.execPath, args, { cwd: root, encoding: 'utf8' });
    expect(out).toBe(`${await textOf()}\n`);
  });

  test('curl', async () => {
    const command = curl(request, on.url);
    const { spawn } = await import('node:child_process');
    const child = spawn('sh', ['-c', command.replace('curl ', 'curl -s ')]);
    let out = '';
    for await (const part of child.stdout) out += String(part);
    const { choices } = JSON.parse(out) as { choices: { text: string }[] };
    expect(choices[0].text).toBe(await textOf());
  });
});
