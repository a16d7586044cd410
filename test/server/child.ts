/** `lacuna serve` as it is started in production: a process of the built package. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { onTestFinished } from 'vitest';
import { main } from '../cli/lacuna.js';

export interface Child {
  /** What it printed when it listened. */
  line: string;
  /** `'http://127.0.0.1:1234'` */
  url: string;
  process: ChildProcess;
  /** Its exit code. */
  exit: Promise<number | null>;
}

/** Ended after the test, if it has not ended by then. */
export async function started(args: string[], env: NodeJS.ProcessEnv = {}): Promise<Child> {
  const child = spawn(process.execPath, [main, 'serve', ...args], {
    env: { ...process.env, LACUNA_API_KEY: '', ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  const exit = once(child, 'exit').then(([code]) => code as number | null);
  const line = await Promise.race([
    once(createInterface(child.stdout), 'line').then(([text]) => text as string),
    exit.then((code) => Promise.reject(new Error(`lacuna serve ended with code ${code}`))),
  ]);
  const url = /http:\/\/[^/ ]+/.exec(line)![0];
  return { line, url, process: child, exit };
}

/** A stream of one token a forward; resolves with its response, whose body is still to come. */
export function streamOf(url: string, tokens: number, more: RequestInit = {}): Promise<Response> {
  return fetch(`${url}/v1/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      ...{ prompt: 'a', max_tokens: tokens, stream: true, seed: 3, temperature: 1 },
      lacuna: { steps: tokens },
    }),
    ...more,
  });
}

/** How a stream, or what came in its place, ended. */
export async function endOf(response: Promise<Response>): Promise<string> {
  const text = await (await response).text();
  if (text.endsWith('data: [DONE]\n\n')) return 'done';
  const { error } = JSON.parse(
    text
      .trim()
      .split('\n\n')
      .at(-1)!
      .replace(/^data: /, ''),
  ) as {
    error: { code: string };
  };
  return error.code;
}
