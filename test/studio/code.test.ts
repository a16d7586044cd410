/** What the studio copies makes the run that it shows. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Model } from '../../lib/index.js';
import { aiSdk, curl, typescript } from '../../studio/src/copy.js';
import type { RunRequest } from '../../studio/src/frames.js';
import { embedded, loadEmbedded, serve, type TestServer } from '../server/clients.js';
import { runExample } from '../server/examples.js';

let model: Model;
let server: TestServer;
beforeAll(async () => {
  model = await loadEmbedded();
  server = await serve(model);
});
afterAll(async () => {
  await server?.close();
  await model?.dispose();
});

const seen = { canvas: 'delta', decode: { name: 'threshold', options: { tau: 0.4 } } };
const schema = {
  type: 'object',
  properties: { name: { enum: ['Juliet', 'Nurse'] }, old: { type: 'boolean' } },
  required: ['name', 'old'],
};
const messages = [{ role: 'user', content: 'Who are you?' }];
const response_format = { type: 'json_schema', json_schema: { name: 'answer', schema } };
const template = ['ROMEO:\nMy', { choices: [' lord', ' lady'] }, ',', { min: 3, max: 3 }, '.'];
const bodies: Record<string, RunRequest['body']> = {
  complete: { prompt: 'ROMEO:\n', max_tokens: 12, seed: 5, lacuna: seen },
  chat: { messages, max_tokens: 12, seed: 5, top_k: 20, lacuna: seen },
  fill: { prompt: '', seed: 5, lacuna: { ...seen, template } },
  json: { messages, max_tokens: 96, seed: 5, lacuna: seen, response_format },
};

interface Answer {
  choices: { text?: string; message?: { content: string } }[];
}
const textOf = ({ choices: [{ text, message }] }: Answer) => text ?? message!.content;

async function answered(path: string, body?: object): Promise<unknown> {
  const headers = { host: 'localhost', 'content-type': 'application/json' };
  const init = body && { method: 'POST', body: JSON.stringify(body) };
  return (
    await server.handler(new Request(`http://localhost${path}`, { headers, ...init }))
  ).json();
}

describe.each(Object.entries(bodies))('%s', (tab, body) => {
  const path = body.messages ? '/v1/chat/completions' : '/v1/completions';
  const request: RunRequest = { path, body };
  let wanted: string;
  beforeAll(async () => {
    wanted = textOf((await answered(path, body)) as Answer);
    expect(wanted.length).toBeGreaterThan(10);
  });

  test('TypeScript', async () => {
    const { defaults } = (await answered('/lacuna/v1/policies')) as { defaults: never };
    const code = typescript(request, embedded, defaults);
    const cwd = fileURLToPath(new URL('../../', import.meta.url));
    const args = ['--input-type=module', '--eval', code];
    const { stdout } = await promisify(execFile)(process.execPath, args, { cwd });
    expect(stdout).toBe(`${wanted}\n`);
  });

  test('curl', async () => {
    const command = curl(request, server.url).replace('curl ', 'curl -s ');
    const { stdout } = await promisify(execFile)('sh', ['-c', command]);
    expect(textOf(JSON.parse(stdout) as Answer)).toBe(wanted);
  });

  test('AI SDK', async () => {
    const printed = await runExample(`studio-${tab}`, aiSdk(request, server.url, 'model'));
    expect(printed).toBe(`${wanted}\n`);
  });
});
