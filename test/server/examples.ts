/** Code as a page or the studio shows it, run with the clients of test/clients. */
import { spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { expect } from 'vitest';
import { clientsInstalled, newerNode } from './clients.js';

const root = new URL('../../', import.meta.url);
/** Where imports find the clients. */
const folder = new URL('../clients/node_modules/.examples/', import.meta.url);
const packages: Record<string, string> = {
  ai: 'ai7',
  openai: 'openai7',
  '@ai-sdk/openai-compatible': 'openai-compatible3',
  lacuna: new URL('dist/index.js', root).href,
  'lacuna/ai-sdk': new URL('dist/ai-sdk/index.js', root).href,
};

/** @param name of its file @returns what it printed */
export async function runExample(name: string, code: string): Promise<string> {
  if (!clientsInstalled()) {
    throw new Error('test/clients is not installed: run node scripts/ensure-clients.mjs');
  }
  mkdirSync(folder, { recursive: true });
  const found = code.replaceAll(/from '([^']*)'/g, (_, from: string) => {
    return `from '${packages[from] ?? from}'`;
  });
  const { outputText } = ts.transpileModule(found, {
    compilerOptions: { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext },
  });
  const file = new URL(`${name}.mjs`, folder);
  writeFileSync(file, outputText);
  const child = spawn(newerNode(), [fileURLToPath(file)], { stdio: ['ignore', 'pipe', 'pipe'] });
  let [printed, said] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => (printed += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said += text));
  const status = await new Promise((resolve) => child.on('close', resolve));
  expect(status, said).toBe(0);
  return printed;
}
