/** A handler on the model in the package, and requests to it. */
import { fileURLToPath } from 'node:url';
import { setImmediate as turn } from 'node:timers/promises';
import { expect } from 'vitest';
import { blocks, loadModel, lowConfidence, type Model } from '../../../lib/index.js';
import { createHandler, type Handler, type HandlerOptions } from '../../../lib/server/index.js';

const path = fileURLToPath(new URL('../../../models/shakespeare-7m.Q8_0.gguf', import.meta.url));
// It knows of tools, and says nothing of them: the model has a context of 256.
const template =
  '{# tools <tool_call> #}{{ bos_token }}{% for m in messages %}{{ m.content }}\n\n{% endfor %}';
export const defaults = {
  ...{ bos: true, decode: lowConfidence(), blocks: blocks(8), temperature: 0.8 },
  chat: { template },
};
export const messages = [{ role: 'user', content: 'ROMEO:\nMy lord,' }];
export const prompt = `${messages[0].content}\n\n`;

export interface Reply {
  [key: string]: unknown;
}

export class Server {
  readonly model: Model;
  readonly handler: Handler;

  constructor(model: Model, options: Partial<HandlerOptions> = {}) {
    this.model = model;
    this.handler = createHandler({ model, defaults, ...options });
  }

  static async start(options: Partial<HandlerOptions> = {}): Promise<Server> {
    return new Server(await loadModel(path, { device: 'cpu' }), options);
  }

  request(path: string, body?: unknown, headers: Record<string, string> = {}): Promise<Response> {
    const json = { method: 'POST', body: JSON.stringify(body) };
    const type = body === undefined ? undefined : { 'content-type': 'application/json' };
    return this.handler(
      new Request(`http://localhost:1${path}`, {
        ...(body !== undefined && json),
        headers: { host: 'localhost:1', ...type, ...headers },
      }),
    );
  }

  async json(path: string, body?: unknown): Promise<Reply> {
    const response = await this.request(path, body);
    const reply = (await response.json()) as Reply;
    expect([response.status, reply.error ?? null]).toEqual([200, null]);
    return reply;
  }

  /** The events of a stream: their data, without `[DONE]`. */
  async events(path: string, body: object): Promise<Reply[]> {
    const response = await this.request(path, body);
    expect(response.headers.get('content-type')).toBe('text/event-stream; charset=utf-8');
    return eventsOf(await response.text());
  }

  /** Those of a stream of lines. */
  async lines(path: string, body: object): Promise<Reply[]> {
    const response = await this.request(path, body);
    expect(response.headers.get('content-type')).toBe('application/x-ndjson');
    const text = await response.text();
    expect(text.endsWith('\n')).toBe(true);
    return text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Reply);
  }

  /** Until an answer is being written. */
  async writing(): Promise<void> {
    while (this.handler.engine.running === 0) await turn();
  }

  async error(path: string, body: unknown): Promise<[number, Reply]> {
    const response = await this.request(path, body);
    return [response.status, (await response.json()) as Reply];
  }
}

export function eventsOf(text: string): Reply[] {
  return text
    .split('\n\n')
    .map((event) => /^data: (.*)$/m.exec(event)?.[1])
    .filter((data) => data !== undefined && data !== '[DONE]')
    .map((data) => JSON.parse(data!) as Reply);
}
