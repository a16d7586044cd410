/** Three replicas behind nginx, with the file of the documentation; one of them is drained. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { writeSynthetic } from '../../lib/gguf/synthetic.js';
import { root } from '../cli/lacuna.js';
import { endOf, started, streamOf, type Child } from './child.js';
import { samples } from './machine.js';

const nginx = ['nginx', '/usr/sbin/nginx'].find(
  (program) => spawnSync(program, ['-v']).error === undefined,
);
if (nginx === undefined) {
  console.warn('Skipped: replicas behind nginx. There is no nginx here (Debian: nginx-light).');
}

const folder = mkdtempSync(join(tmpdir(), 'lacuna-nginx-'));
const tiny = join(folder, 'tiny.gguf');
beforeAll(async () => {
  const shape = { layers: 1, dim: 32, heads: 1, ffn: 32, vocabulary: 300, context: 4096 };
  const options = { type: 'F32', tokenizer: true, seed: 5 } as const;
  await writeSynthetic(tiny, { architecture: 'llada', ...shape, ...options });
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const replica = () =>
  started([tiny, '--port', '0', '--threads', '1', '--no-key', '--drain-delay', '0.5']);

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

/** Starts nginx with `docs/server/nginx.conf`; only ports are others. Resolves with its address. */
async function balancer(replicas: readonly Child[]): Promise<string> {
  const documented = readFileSync(join(root, 'docs', 'server', 'nginx.conf'), 'utf8');
  const port = await freePort();
  const ports: Record<string, string> = { '8642': String(port) };
  replicas.forEach(({ url }, i) => (ports[String(8643 + i)] = new URL(url).port));
  const conf = documented.replace(/(?<=127\.0\.0\.1:)\d+/g, (given) => ports[given]);
  writeFileSync(join(folder, 'lacuna.conf'), conf);
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (name) => `${name}_temp_path ${folder}/${name};`,
  );
  const http = ['access_log off;', ...temporary, `include ${folder}/lacuna.conf;`].join('\n  ');
  const whole = `pid ${folder}/pid;\nevents {}\nhttp {\n  ${http}\n}\n`;
  writeFileSync(join(folder, 'nginx.conf'), whole);
  const log = join(folder, 'error.log');
  const process = spawn(
    nginx!,
    ['-p', folder, '-c', join(folder, 'nginx.conf'), '-e', log, '-g', 'daemon off;'],
    { stdio: 'inherit' },
  );
  onTestFinished(async () => {
    process.kill('SIGTERM');
    if (process.exitCode === null) await once(process, 'exit');
  });
  const url = `http://127.0.0.1:${port}`;
  const up = () => fetch(`${url}/healthz`).then(({ status }) => status, String);
  await expect.poll(up, { timeout: 60_000 }).toBe(200);
  return url;
}

describe.skipIf(nginx === undefined)('replicas behind nginx', () => {
  test('a hundred streams while one replica drains: none is lost', async () => {
    const replicas = await Promise.all([replica(), replica(), replica()]);
    const url = await balancer(replicas);
    const [first] = replicas;
    let left = 100;
    const ends: string[] = [];
    const texts = new Set<string>();
    const client = async () => {
      while (left-- > 0) {
        const length = 24 + 8 * (left % 4);
        const response = streamOf(url, length);
        ends.push(await endOf(response.then((reply) => reply.clone())));
        texts.add(`${length}: ${await textOf(await response)}`);
        // In the midst of it.
        if (ends.length === 20) first.process.kill('SIGTERM');
      }
    };
    await Promise.all(Array.from({ length: 16 }, client));
    expect(await first.exit).toBe(0);
    left = 10;
    await Promise.all([client(), client()]); // without it
    expect(ends).toEqual(Array(110).fill('done'));
    expect(texts.size).toBe(4); // every replica gives the same answers
    const served = await Promise.all(
      replicas.slice(1).map(async (other) => {
        const count = await samples(async () => (await fetch(`${other.url}/metrics`)).text());
        return count.get('lacuna_tokens_per_forward_count')!;
      }),
    );
    expect(Math.min(...served)).toBeGreaterThan(10);
  });

  test('the first bytes come before the last are made', async () => {
    const replicas = [await replica()];
    const url = await balancer([replicas[0], replicas[0], replicas[0]]);
    const response = await streamOf(url, 2000);
    expect(response.headers.get('content-type')).toMatch(/event-stream/);
    const reader = response.body!.getReader();
    const { value } = (await reader.read()) as { value: Uint8Array };
    expect(Buffer.from(value).toString()).toMatch(/^data: /);
    // Whoever had to wait for all of it could not leave before its end.
    await reader.cancel();
    const count = () => samples(async () => (await fetch(`${replicas[0].url}/metrics`)).text());
    await expect
      .poll(async () => (await count()).get('lacuna_requests_running'), { timeout: 60_000 })
      .toBe(0);
    expect((await count()).get('lacuna_cancelled_total')).toBe(1);
  });

  test('a page of a stranger does not get through', async () => {
    const replicas = [await replica()];
    const url = await balancer([replicas[0], replicas[0], replicas[0]]);
    const status = async (headers: Record<string, string>) =>
      (await fetch(`${url}/v1/models`, { headers })).status;
    expect(await status({ origin: url })).toBe(200);
    expect(await status({ origin: 'http://evil.example' })).toBe(403);
  });
});

async function textOf(response: Response): Promise<string> {
  const lines = (await response.text()).split('\n\n').filter((line) => line.startsWith('data: {'));
  return lines
    .map((line) => JSON.parse(line.slice(6)) as { choices: { text: string }[] })
    .map(({ choices }) => choices[0].text)
    .join('');
}
