/** Runs the suites of test/clients: real clients, in a process of their own. */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { setImmediate as turn } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { writeSynthetic } from '../../lib/gguf/synthetic.js';
import { blocks, generate, loadModel, lowConfidence, Batch, type Model } from '../../lib/index.js';
import { createHandler, defaultLimits, listen, type Handler } from '../../lib/server/index.js';

const folder = new URL('../clients/', import.meta.url);
export const embedded = fileURLToPath(
  new URL('../../models/shakespeare-7m.Q8_0.gguf', import.meta.url),
);

/** A chat and the answer that the model gives by itself. */
export interface Case {
  prompt: string;
  seed: number;
  maxTokens: number;
  text: string;
}

const policies = { decode: lowConfidence(), blocks: blocks(8), temperature: 0.8 };
export const defaults = {
  ...policies,
  bos: true,
  chat: { template: '{{ bos_token }}{% for m in messages %}{{ m.content }}\n\n{% endfor %}' },
};

/** Random weights with a tokenizer of bytes: what holds of their answers holds of any. */
export async function loadRandom(file: string): Promise<Model> {
  const shape = { layers: 1, dim: 32, heads: 1, ffn: 32, vocabulary: 300, context: 16384 };
  const options = { type: 'F32', tokenizer: true, seed: 5 } as const;
  await writeSynthetic(file, { architecture: 'llada', ...shape, ...options });
  return loadModel(file, { device: 'cpu', threads: 1 });
}

export const loadEmbedded = (): Promise<Model> =>
  loadModel(embedded, { device: 'cpu', threads: 1 });

/** Different prompts with different seeds, answered without a server. */
export async function casesOf(model: Model, count: number, maxTokens: number): Promise<Case[]> {
  const names = ['ROMEO', 'JULIET', 'KING', 'GLOUCESTER', 'First Citizen'];
  const starts = [
    'My lord,',
    'What light',
    'Go,',
    'I have',
    'The',
    'No more',
    'Speak:',
    'O',
    '',
    '…',
  ];
  const batch = new Batch(model);
  const cases = Array.from({ length: count }, async (_, i) => {
    const name = names[i % names.length];
    const prompt = `${name}:\n${starts[Math.floor(i / names.length) % starts.length]}`;
    const seed = 3 * i;
    const ids = model.tokenizer.encode(`${prompt}\n\n`, { bos: true });
    const { text } = await generate(batch, ids, { ...policies, maxTokens, seed }).result;
    return { prompt, seed, maxTokens, text };
  });
  return Promise.all(cases);
}

export interface TestServer {
  url: string;
  handler: Handler;
  close(): Promise<void>;
}

/** The server on a free port. `/test/idle` answers when nothing runs, `/test/stop` ends all streams. */
export async function serve(model: Model, id = 'model'): Promise<TestServer> {
  const limits = { ...defaultLimits, parallel: 4, queue: 4 };
  const handler = createHandler({ model, id, defaults, limits });
  const idle = async () => {
    while (handler.active > 0 || handler.engine.running > 0) await turn();
    return new Response();
  };
  const answer = (request: Request): Promise<Response> => {
    const { pathname } = new URL(request.url);
    if (pathname === '/test/idle') return idle();
    if (pathname !== '/test/stop') return handler(request);
    handler.stop();
    return Promise.resolve(new Response());
  };
  const wrapped = Object.defineProperties(
    answer,
    Object.getOwnPropertyDescriptors(handler),
  ) as Handler;
  const listening = await listen(wrapped, { port: 0, limits });
  return { url: listening.url, handler, close: () => listening.close(true) };
}

/** Node 22 or newer: this one, or that of test/clients. */
export function newerNode(): string {
  if (Number(process.versions.node.split('.')[0]) >= 22) return process.execPath;
  const platform = process.platform === 'win32' ? 'win' : process.platform;
  const file = platform === 'win' ? 'node.exe' : 'node';
  const from = `node_modules/node-${platform}-${process.arch}/bin/${file}`;
  const own = fileURLToPath(new URL(from, folder));
  if (existsSync(own)) return own;
  throw new Error(
    'these clients need Node 22 or newer, and test/clients has none for this platform',
  );
}

interface Outcome {
  name: string;
  error?: string;
}

/** Checks by name, and what went wrong. */
export async function outcomes(node: string, suite: string, config: object): Promise<Outcome[]> {
  const args = [
    fileURLToPath(new URL('run.mjs', folder)),
    `./${suite}.mjs`,
    JSON.stringify(config),
  ];
  const child = spawn(node, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let [printed, said] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => (printed += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said += text));
  const code = await new Promise((resolve, reject) =>
    child.on('close', resolve).on('error', reject),
  );
  if (code !== 0) throw new Error(`${suite} ended with ${String(code)}:\n${said}`);
  return printed
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Outcome);
}

export const { clientsInstalled } = (await import(
  new URL('../../scripts/ensure-clients.mjs', import.meta.url).href
)) as { clientsInstalled: () => boolean };

export interface Suite {
  /** Of the tests, and the file in test/clients. */
  name: string;
  file: string;
  /** Needs Node 22. */
  newer?: boolean;
  /** What the suite is told beside the server and the cases. */
  config?: object;
}

/** A test for each check of the suite. */
export async function suiteTests(
  { name, file, newer = false, config }: Suite,
  shared: () => { model: Model; cases: readonly Case[] },
): Promise<void> {
  if (!clientsInstalled()) {
    test(name, () => {
      throw new Error('test/clients is not installed: run node scripts/ensure-clients.mjs');
    });
    return;
  }
  const { checks } = (await import(new URL(`${file}.mjs`, folder).href)) as { checks: object };
  describe(name, () => {
    let server: TestServer;
    let found: Outcome[];
    beforeAll(async () => {
      const { model, cases } = shared();
      server = await serve(model);
      const told = { url: server.url, model: 'model', cases, ...config };
      found = await outcomes(newer ? newerNode() : process.execPath, file, told);
    });
    afterAll(() => server?.close());

    test.each(Object.keys(checks))('%s', (check) => {
      const outcome = found.find((one) => one.name === check);
      expect(outcome).toBeDefined();
      expect(outcome!.error).toBeUndefined();
    });
  });
}
