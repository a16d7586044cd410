/** A tiny model that answers fast, behind a real socket. */
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, onTestFinished } from 'vitest';
import { writeSynthetic } from '../../lib/gguf/synthetic.js';
import { loadModel, type Model } from '../../lib/index.js';
import {
  createHandler,
  limitsOf,
  listen,
  type Handler,
  type HandlerOptions,
  type Listening,
  type ListenOptions,
} from '../../lib/server/index.js';

/** Bytes as tokens, four control tokens, 4,096 positions. */
export async function tinyModel(): Promise<Model> {
  const folder = mkdtempSync(join(tmpdir(), 'lacuna-server-'));
  const path = join(folder, 'tiny.gguf');
  const shape = { layers: 1, dim: 32, heads: 1, ffn: 32, vocabulary: 300, context: 4096 };
  const options = { type: 'F32', tokenizer: true, seed: 5 } as const;
  await writeSynthetic(path, { architecture: 'llada', ...shape, ...options });
  const model = await loadModel(path, { device: 'cpu', threads: 1 });
  afterAll(async () => {
    await model.dispose();
    rmSync(folder, { recursive: true });
  });
  return model;
}

export interface Machine {
  handler: Handler;
  server: Listening;
  port: number;
}

/** A server that goes with the test. */
export async function serve(
  options: HandlerOptions,
  more: Partial<ListenOptions> = {},
): Promise<Machine> {
  const handler = createHandler(options);
  const limits = limitsOf(options.limits);
  const server = await listen(handler, { port: 0, drainDelay: 0, limits, ...more });
  onTestFinished(() => server.close(true));
  return { handler, server, port: Number(new URL(server.url).port) };
}

/** Sends bytes and reads until the other end closes. */
export async function raw(port: number, ...pieces: (string | Buffer)[]): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  let reply = '';
  socket.setEncoding('latin1').on('data', (text: string) => (reply += text));
  socket.on('error', () => {}); // a reset after the answer is an answer
  for (const piece of pieces) socket.write(piece);
  await new Promise((resolve) => socket.once('close', resolve));
  return reply;
}

/** A socket that is open, closed after the test. */
export async function opened(port: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => {});
  await once(socket, 'connect');
  onTestFinished(() => void socket.destroy());
  return socket;
}

/** `'HTTP/1.1 400 Bad Request…'` → 400; 0 for no answer. */
export const statusOf = (reply: string): number =>
  Number(/^HTTP\/1\.1 (\d+)/.exec(reply)?.[1] ?? 0);

/** The headers of a request with a JSON body, and the body. */
export function posted(path: string, body: unknown, headers: string[] = []): string {
  const json = typeof body === 'string' ? body : JSON.stringify(body);
  const lines = [
    `POST ${path} HTTP/1.1`,
    'Host: localhost',
    'Content-Type: application/json',
    `Content-Length: ${Buffer.byteLength(json)}`,
    ...headers,
  ];
  return `${lines.join('\r\n')}\r\n\r\n${json}`;
}

/** Samples of `/metrics`: `'lacuna_requests_total{route="/metrics",status="200"}'` → 1. */
export async function samples(read: () => Promise<string>): Promise<Map<string, number>> {
  const lines = (await read()).split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(
    lines.map((line) => {
      const at = line.lastIndexOf(' ');
      return [line.slice(0, at), Number(line.slice(at + 1))];
    }),
  );
}
