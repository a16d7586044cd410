/** The first screen; and pages of strangers, in a browser that means well. */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { canvasText, open, ready, stage, type Stage } from './chromium.js';

const moving = { reducedMotion: 'no-preference' } as const;

describe.skipIf(!ready)('first screen', () => {
  let on: Stage;
  beforeAll(async () => {
    on = await stage({ id: 'another-model', apiKeys: ['sesame'] });
  });
  afterAll(() => on.close());

  test('moves before anything is loaded, also for who has no key', async () => {
    const { page } = await open(on, moving);
    await page.waitForSelector('.status.recorded');
    const text = await canvasText(page);
    await page.waitForFunction(
      (before) => document.querySelector('.tokens')!.textContent !== before,
      text,
    );
    await expect.poll(() => page.locator('.run').textContent()).toContain('lacuna serve');
    await page.waitForSelector('.notice.shown');
    expect(on.handler.engine.running).toBe(0);
  });

  test('the key comes in the address, and goes from it', async () => {
    const { page, complaints } = await open(on, {}, '/#token=sesame');
    await page.waitForSelector('button.primary');
    expect(new URL(page.url()).hash).toBe('');
    await page.fill('[name=maxTokens]', '8');
    await page.click('button.primary');
    await page.waitForSelector('.status.done');
    await page.reload();
    await page.waitForSelector('button.primary'); // the tab remembers
    expect(complaints).toEqual([]);
  });

  test('recorded runs can be chosen', async () => {
    const { page, complaints } = await open(on, {}, '/#token=sesame');
    await page.click('text="Recorded"');
    await page.click('.menu[open] button >> nth=2');
    await page.waitForFunction(() =>
      document.querySelector('.title')?.textContent?.includes('WINO'),
    );
    await expect.poll(() => page.locator('[name=decode]').inputValue()).toBe('wino');
    expect(complaints).toEqual([]);
  });
});

test.skipIf(!ready)('first run: the model in the package, live', async () => {
  const on = await stage();
  try {
    const { page, complaints } = await open(on, moving);
    await page.waitForSelector('.status.running');
    await page.waitForFunction(() => document.querySelectorAll('.cell.known').length > 4);
    await page.keyboard.press('Escape');
    await page.waitForSelector('.status.stopped, .status.done'); // a slow page may come too late
    await expect.poll(() => on.handler.engine.running).toBe(0);
    expect(complaints).toEqual([]);
  } finally {
    await on.close();
  }
});

describe.skipIf(!ready)('pages of others', () => {
  let on: Stage;
  let stranger: Server;
  let strange: string;
  const seen: { path: string; status: number }[] = [];
  beforeAll(async () => {
    on = await stage({}, ['--host-resolver-rules=MAP evil.test 127.0.0.1']);
    stranger = createServer((_, response) =>
      response.end('<!doctype html><title>evil</title><body>'),
    );
    await new Promise<void>((done) => stranger.listen(0, '127.0.0.1', done));
    strange = `http://evil.test:${(stranger.address() as AddressInfo).port}/`;
  });
  afterAll(async () => {
    stranger.closeAllConnections();
    stranger.close();
    await on.close();
  });

  /** What a script of the page gets of a request: its status, or that it fails. */
  async function asks(from: string, to: string, init: object): Promise<string> {
    const page = await (await on.browser.newContext()).newPage();
    page.on('response', (response) => {
      seen.push({ path: new URL(response.url()).pathname, status: response.status() });
    });
    await page.goto(from);
    const got = await page.evaluate(
      async ([to, init]) => {
        try {
          const response = await fetch(to, init);
          return `${response.type} ${response.status}`;
        } catch {
          return 'refused';
        }
      },
      [to, init] as const,
    );
    await page.context().close();
    return got;
  }

  const json = { 'content-type': 'application/json' };
  const body = JSON.stringify({ prompt: 'x', max_tokens: 8 });
  const started = () => on.handler.engine.running + on.handler.active;

  test.each<[string, string, object, string]>([
    ['a script reads', '/v1/models', {}, 'refused'],
    [
      'a script asks, with JSON',
      '/v1/completions',
      { method: 'POST', headers: json, body },
      'refused',
    ],
    ['a form asks', '/v1/completions', { method: 'POST', mode: 'no-cors', body }, 'opaque 0'],
    ['a script looks without reading', '/metrics', { mode: 'no-cors' }, 'opaque 0'],
  ])('%s', async (_, path, init, got) => {
    seen.length = 0;
    expect(await asks(strange, on.url + path, init)).toBe(got);
    const statuses = seen.filter((one) => one.path === path).map(({ status }) => status);
    for (const status of statuses) expect(status).toBe(403);
    expect(started()).toBe(0);
  });

  test('an image', async () => {
    const refused = async () => {
      const headers = { host: 'localhost' };
      const answer = await on.handler(new Request('http://localhost/metrics', { headers }));
      const line = /lacuna_requests_total\{route="\/v1\/models",status="(\d+)"\} (\d+)/g;
      const found = [...(await answer.text()).matchAll(line)].map(([, status, n]) => [status, n]);
      return Object.fromEntries(found) as Record<string, string>;
    };
    const before = await refused();
    const page = await on.browser.newPage();
    await page.goto(strange);
    await page.evaluate(
      (src) =>
        new Promise((done) => {
          const image = new Image();
          image.onload = image.onerror = done;
          image.src = src;
        }),
      `${on.url}/v1/models`,
    );
    const after = await refused();
    expect(Number(after['403'])).toBe(Number(before['403'] ?? 0) + 1);
    expect(after['200']).toBe(before['200']);
    await page.close();
  });

  test('a name that was pointed here', async () => {
    const rebound = on.url.replace('127.0.0.1', 'evil.test');
    const page = await on.browser.newPage();
    const response = await page.goto(`${rebound}/`);
    expect(response!.status()).toBe(403);
    const status = await page.evaluate(async () => (await fetch('/v1/models')).status);
    expect(status).toBe(403);
    await page.close();
  });

  test('a frame around the studio shows nothing', async () => {
    const page = await on.browser.newPage();
    await page.goto(strange);
    const [response] = await Promise.all([
      page.waitForResponse((one) => one.url() === `${on.url}/`),
      page.evaluate((src) => {
        document.body.append(Object.assign(document.createElement('iframe'), { src }));
      }, `${on.url}/`),
    ]);
    expect(response.status()).toBe(403);
    await page.close();
  });

  test('its own page', async () => {
    expect(await asks(`${on.url}/healthz`, '/v1/models', {})).toBe('basic 200');
    const post = { method: 'POST', headers: json, body };
    expect(await asks(`${on.url}/healthz`, '/v1/completions', post)).toBe('basic 200');
  });
});
