/** `lacuna serve`: the first run, keys, and the way it stops. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { writeSynthetic } from '../../lib/gguf/synthetic.js';
import { endOf, started, streamOf } from '../server/child.js';
import { lacuna, temporaryFolder } from './lacuna.js';

const folder = temporaryFolder();
const tiny = join(folder, 'tiny.gguf');
const quick = [tiny, '--port', '0', '--threads', '1'];

beforeAll(async () => {
  const shape = { layers: 1, dim: 32, heads: 1, ffn: 32, vocabulary: 300, context: 4096 };
  const options = { type: 'F32', tokenizer: true, seed: 5 } as const;
  await writeSynthetic(tiny, { architecture: 'llada', ...shape, ...options });
});

describe('who may ask', () => {
  const models = async (url: string, key?: string) =>
    (
      await fetch(`${url}/v1/models`, {
        headers: key === undefined ? {} : { authorization: `Bearer ${key}` },
      })
    ).status;

  test('the first run: one line, with the address and a key in its fragment', async () => {
    const { line, url } = await started(['--port', '0']);
    const [address] = /http:\S+/.exec(line)!;
    expect(address).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/#token=[\w-]{32}$/);
    const token = new URL(address).hash.slice('#token='.length);
    expect(await models(url)).toBe(401);
    expect(await models(url, token.toLowerCase())).toBe(401);
    expect(await models(url, token)).toBe(200);
    expect((await fetch(`${url}/healthz`)).status).toBe(200);
    expect((await fetch(`${url}/metrics`)).status).toBe(401);
  });

  test('every start draws another one', async () => {
    const [one, other] = await Promise.all([started(quick), started(quick)]);
    const token = (line: string) => /#token=(\S+)/.exec(line)![1];
    expect(token(one.line)).not.toBe(token(other.line));
  });

  test('keys of a file and of the environment are not printed', async () => {
    const file = join(folder, 'keys');
    writeFileSync(file, 'first\n\n  second\r\n');
    const { line, url } = await started([...quick, '--api-key-file', file], {
      LACUNA_API_KEY: 'third',
    });
    expect(line).not.toMatch(/token|first|second|third/);
    const keys = ['first', 'second', 'third', 'fourth', ''];
    const statuses = await Promise.all(keys.map((key) => models(url, key)));
    expect(statuses).toEqual([200, 200, 200, 401, 401]);
  });

  test('nobody needs a key', async () => {
    const { line, url } = await started([...quick, '--no-key']);
    expect(line).not.toContain('token');
    expect(await models(url)).toBe(200);
  });

  test.each<[string[], NodeJS.ProcessEnv, RegExp]>([
    [['--host', '0.0.0.0'], {}, /--host 0\.0\.0\.0 lets others in: give --api-key-file/],
    [['--host', '::', '--no-key'], {}, /lets others in/],
    [['--no-key'], { LACUNA_API_KEY: 'x' }, /--no-key: there are keys/],
    [['--api-key-file', join(folder, 'none')], {}, /--api-key-file/],
    [['--port', '65536'], {}, /65535/],
    [['--drain-delay', '-1'], {}, /drain-delay/],
  ])('refused: %j', (args, env, message) => {
    const { code, stderr } = lacuna(['serve', tiny, ...args], '', { LACUNA_API_KEY: '', ...env });
    expect([code, stderr]).toEqual([
      expect.toSatisfy((c) => c === 1 || c === 2),
      expect.stringMatching(message),
    ]);
  });

  test('other addresses, if that is meant', async () => {
    const { url } = await started([...quick, '--host', '0.0.0.0', '--insecure']);
    expect(await models(url.replace('0.0.0.0', '127.0.0.1'))).toBe(200);
  });
});

describe('SIGTERM', () => {
  const drain = (delay: number, timeout: number) => [
    ...[...quick, '--no-key', '--drain-delay', String(delay), '--drain-timeout', String(timeout)],
  ];

  test('twenty streams end by themselves, then the process does', async () => {
    const { url, process: child, exit } = await started(drain(0, 1000));
    const streams = Array.from({ length: 20 }, () => streamOf(url, 150));
    await Promise.race(streams); // the first have begun, the last wait for a slot
    const waiting = async () =>
      Number(
        /^lacuna_requests_waiting (\d+)/m.exec(await (await fetch(`${url}/metrics`)).text())![1],
      );
    await expect.poll(waiting, { timeout: 60_000 }).toBeGreaterThan(0);
    child.kill('SIGTERM');
    expect(await Promise.all(streams.map(endOf))).toEqual(Array(20).fill('done'));
    expect(await exit).toBe(0);
  });

  test('not ready at once, serving on; the second signal ends streams with an error', async () => {
    const { url, process: child, exit } = await started(drain(1000, 1000));
    const streams = Array.from({ length: 20 }, () => streamOf(url, 2000));
    await Promise.race(streams);
    expect((await fetch(`${url}/readyz`)).status).toBe(200);
    child.kill('SIGTERM');
    const ready = async () => (await fetch(`${url}/readyz`)).status;
    await expect.poll(ready, { timeout: 60_000 }).toBe(503);
    expect(await (await fetch(`${url}/readyz`)).json()).toEqual({
      ...{ ready: false, reasons: ['draining'] },
    });
    const more = await fetch(`${url}/healthz`);
    expect([more.status, more.headers.get('connection')]).toEqual([200, 'close']);
    child.kill('SIGTERM');
    const ends = await Promise.all(streams.map(endOf));
    expect(ends.filter((end) => end !== 'done' && end !== 'server_shutdown')).toEqual([]);
    expect(ends).toContain('server_shutdown');
    expect(await exit).toBe(0);
  });

  test('time is up', async () => {
    const { url, process: child, exit } = await started(drain(0, 0));
    const stream = streamOf(url, 3000);
    await stream;
    child.kill('SIGTERM');
    expect(await endOf(stream)).toBe('server_shutdown');
    expect(await exit).toBe(0);
  });

  test('Ctrl-C where nobody waits', async () => {
    const { process: child, exit } = await started(drain(1000, 1000));
    child.kill('SIGINT');
    expect(await exit).toBe(0);
  });
});
