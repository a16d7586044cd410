// Pictures of the studio in its states, into studio/screenshots/, to be looked at.
// Needs a build and Chromium: $CHROMIUM or `chromium` on the path.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import { embeddedDefaults, embeddedModel } from '../dist/cli/embedded.js';
import { loadModel } from '../dist/index.js';
import { createHandler, limitsOf, listen } from '../dist/server/index.js';
import { root } from './native-build.mjs';

const folder = join(root, 'studio', 'screenshots');
mkdirSync(folder, { recursive: true });
const model = await loadModel(embeddedModel, { device: 'cpu' });
const handler = createHandler({ model, defaults: embeddedDefaults });
const server = await listen(handler, { port: 0, limits: limitsOf() });
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox'],
});

const done = (page) => page.waitForSelector('.status.done', { timeout: 300_000 });
const idle = (page) =>
  page.waitForFunction(() => !document.querySelector('.status.running'), null, {
    timeout: 300_000,
  });
const number = (page, name, value) => page.fill(`input[name=${name}]`, String(value));

async function shoot(name, options, act) {
  const size = { width: 1440, height: 900 };
  const context = await browser.newContext({ viewport: size, ...options });
  const page = await context.newPage();
  await page.goto(server.url);
  await act(page);
  await page.screenshot({ path: join(folder, `${name}.png`) });
  console.log(name);
  await context.close();
}

const reduced = { reducedMotion: 'reduce' }; // nothing starts by itself
const run = async (page) => {
  await page.click('button.primary');
  await done(page);
};
const half = (page) =>
  page.$eval('.scrubber', (scrubber) => {
    scrubber.value = String(Math.round(scrubber.max * 0.55));
    scrubber.dispatchEvent(new Event('input', { bubbles: true }));
  });
const choose = (page, at) => page.click(`[data-at="${at}"]`);

const states = {
  empty: [reduced, async () => {}],
  running: [
    {},
    (page) =>
      page.waitForFunction(() => document.querySelectorAll('.cell.known').length > 30, null, {
        timeout: 120_000,
      }),
  ],
  finished: [
    reduced,
    async (page) => {
      await page.selectOption('select[name=decode]', 'threshold');
      await page.selectOption('select[name=blocks]', 'blocks');
      await run(page);
      await half(page);
      await choose(page, 20);
    },
  ],
  compare: [
    reduced,
    async (page) => {
      await number(page, 'maxTokens', 64);
      await run(page);
      for (const decoder of ['threshold', 'wino']) {
        await page.selectOption('select[name=decode]', decoder);
        await page.selectOption('select[name=blocks]', 'blocks');
        await page.click('text=+ Lane');
        await done(page);
        await idle(page);
      }
      await half(page);
    },
  ],
  dark: [
    { ...reduced, colorScheme: 'dark' },
    async (page) => {
      await page.selectOption('select[name=decode]', 'entropyBound');
      await page.selectOption('select[name=blocks]', 'blocks');
      await run(page);
      await half(page);
      await choose(page, 12);
    },
  ],
  narrow: [
    { ...reduced, viewport: { width: 420, height: 860 } },
    async (page) => {
      await half(page);
    },
  ],
};
const wanted = process.argv.slice(2);
try {
  for (const [name, [options, act]] of Object.entries(states)) {
    if (wanted.length === 0 || wanted.includes(name)) await shoot(name, options, act);
  }
} finally {
  await browser.close();
  await server.close(true);
  await model.dispose();
}
