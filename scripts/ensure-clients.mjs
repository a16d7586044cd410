// Installs what tests compare with: the clients of test/clients (OpenAI's, the AI SDK, LangChain,
// Ollama's, and a newer Node for those that want one) if they are missing or their lock file has
// changed, and llama.cpp in bench/peer. Without the network it only says so: the tests that need them
// then fail, the others run.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { installPeer } from '../bench/peer/peer.mjs';
import { root } from './native-build.mjs';

export const clients = join(root, 'test', 'clients');
const stamp = join(clients, 'node_modules', '.lock-digest');

function digest() {
  const lock = readFileSync(join(clients, 'package-lock.json'));
  return createHash('sha256').update(lock).digest('hex');
}

export function clientsInstalled() {
  return existsSync(stamp) && readFileSync(stamp, 'utf8') === digest();
}

export function ensureClients() {
  if (clientsInstalled()) return;
  console.error('Installing the clients for tests of the server (some 370 MB) …');
  const flags = ['--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
  const shell = process.platform === 'win32'; // npm is a .cmd file there
  const options = { cwd: clients, shell, encoding: 'utf8', stdio: ['ignore', 'ignore', 'inherit'] };
  const { status, error } = spawnSync('npm', ['ci', ...flags], options);
  if (status !== 0) throw new Error(`npm ci failed in ${clients} (${error ?? status})`);
  writeFileSync(stamp, digest());
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  for (const install of [ensureClients, installPeer]) {
    try {
      install();
    } catch (error) {
      console.error(`${error.message}; tests with them will fail.`);
    }
  }
}
