/** A browser, a server in this process, and pages that report what their policy refused. */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { chromium, type Browser, type BrowserContextOptions, type Page } from 'playwright-core';
import { embeddedDefaults } from '../../lib/cli/embedded.js';
import { loadModel, type Model } from '../../lib/index.js';
import {
  createHandler,
  limitsOf,
  listen,
  type Handler,
  type HandlerOptions,
} from '../../lib/server/index.js';

export const modelPath = fileURLToPath(
  new URL('../../models/shakespeare-7m.Q8_0.gguf', import.meta.url),
);

function find(): string | undefined {
  const { CHROMIUM } = process.env;
  if (CHROMIUM !== undefined) return CHROMIUM;
  try {
    return execFileSync('sh', ['-c', 'command -v chromium'], { encoding: 'utf8' }).trim();
  } catch {
    return undefined;
  }
}

const executablePath = find();
const built = existsSync(new URL('../../dist/studio/index.html', import.meta.url));
if (executablePath === undefined) {
  console.log(
    'Notice: no Chromium ($CHROMIUM, or chromium on the path): the studio is not tested.',
  );
}
/** Whether there is something to test with. */
export const ready = executablePath !== undefined;

export interface Stage {
  model: Model;
  browser: Browser;
  handler: Handler;
  url: string;
  close(): Promise<void>;
}

/** @param args of Chromium */
export async function stage(
  options: Partial<HandlerOptions> = {},
  args: string[] = [],
): Promise<Stage> {
  if (!built) throw new Error('dist/studio is not there: npm run build');
  const model = await loadModel(modelPath, { device: 'cpu' });
  const handler = createHandler({ model, defaults: embeddedDefaults, ...options });
  const server = await listen(handler, { port: 0, limits: limitsOf() });
  const browser = await chromium.launch({ executablePath, args: ['--no-sandbox', ...args] });
  const close = async () => {
    await browser.close();
    await server.close(true);
    await model.dispose();
  };
  return { model, browser, handler, url: server.url, close };
}

export interface Watched {
  page: Page;
  /** What the page complained of: errors, refusals of its policy, requests to elsewhere. */
  complaints: string[];
}

/** Opens a page. By default nothing moves and nothing starts by itself. */
export async function open(
  { browser, url }: Stage,
  options: BrowserContextOptions = {},
  path = '/',
): Promise<Watched> {
  const context = await browser.newContext({ reducedMotion: 'reduce', ...options });
  context.setDefaultTimeout(100_000);
  const page = await context.newPage();
  const complaints: string[] = [];
  page.on('pageerror', (error) => complaints.push(`error: ${error.message}`));
  page.on('console', (message) => {
    if (message.type() === 'error') complaints.push(`console: ${message.text()}`);
  });
  page.on('request', (request) => {
    const elsewhere = !request.url().startsWith(url) && !/^(?:data|blob):/.test(request.url());
    if (elsewhere) complaints.push(`request: ${request.url()}`);
  });
  await page.addInitScript(() => {
    document.addEventListener('securitypolicyviolation', (event) => {
      console.error(`policy: ${event.violatedDirective} ${event.blockedURI}`);
    });
  });
  await page.goto(path.startsWith('file:') ? path : url + path);
  return { page, complaints };
}

/** The text of a run's canvas as the page has it. */
export const canvasText = (page: Page, lane = 0) =>
  page
    .locator('.tokens')
    .nth(lane)
    .evaluate((element) => element.textContent);

export async function goTo(page: Page, step: number): Promise<void> {
  await page.locator('.scrubber').evaluate((element, value) => {
    (element as HTMLInputElement).value = String(value);
    element.dispatchEvent(new Event('input', { bubbles: true }));
  }, step);
}

/** Fills in the panel and runs it; resolves when the run has ended. */
export async function run(page: Page, fields: Record<string, string>): Promise<void> {
  for (const [name, value] of Object.entries(fields)) {
    const field = page.locator(`.run [name=${name}]`);
    if ((await field.evaluate((element) => element.tagName)) === 'SELECT') {
      await field.selectOption(value);
    } else await field.fill(value);
  }
  const lanes = () =>
    page.locator('.canvas').evaluateAll((list) => list.map((one) => one.getAttribute('data-lane')));
  const before = await lanes();
  await page.click('button.primary');
  await page.waitForFunction((old) => {
    const lane = document.querySelector('.canvas')?.getAttribute('data-lane');
    return !old.includes(lane ?? null) && document.querySelector('.status.done') !== null;
  }, before);
}
