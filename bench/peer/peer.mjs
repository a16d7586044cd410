// node-llama-cpp: its installation, and a conversation with it.
import { fork, spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

const folder = import.meta.dirname;

/** node-llama-cpp and its binary for this machine, without those for GPUs: they are 600 MB. */
export function installPeer() {
  const { dependencies } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  const version = dependencies['node-llama-cpp'];
  const arch = `${{ darwin: 'mac', win32: 'win' }[process.platform] ?? process.platform}-${process.arch}`;
  const binary = `@node-llama-cpp/${arch === 'mac-arm64' ? 'mac-arm64-metal' : arch}`;
  const present = [binary, 'node-llama-cpp'].every((name) => {
    const manifest = join(folder, 'node_modules', name, 'package.json');
    return existsSync(manifest) && createRequire(manifest)(manifest).version === version;
  });
  if (present) return;
  console.error(`installing node-llama-cpp ${version} into bench/peer …`);
  const flags = ['--no-save', '--omit=optional', '--ignore-scripts', '--no-audit', '--no-fund'];
  const { status } = spawnSync('npm', ['install', ...flags, `${binary}@${version}`], {
    cwd: folder,
    stdio: ['ignore', 'ignore', 'inherit'],
    shell: process.platform === 'win32',
  });
  if (status !== 0) throw new Error(`npm could not install node-llama-cpp ${version}`);
}

/** The engine in a process of its own: a file, a canvas of `length` positions. */
export class Peer {
  static async start(file, length, threads) {
    const peer = new Peer();
    peer.child = fork(join(folder, 'engine.mjs'), [file, length, threads].map(String));
    peer.info = await peer.answer();
    return peer;
  }

  answer() {
    const { child } = this;
    return new Promise((resolve, reject) => {
      const ended = (code) => reject(new Error(`the peer ended with code ${code}`));
      child.once('exit', ended);
      child.once('message', (message) => {
        child.off('exit', ended);
        resolve(message);
      });
    });
  }

  ask(message) {
    const answer = this.answer();
    this.child.send(message);
    return answer;
  }

  stop() {
    this.child.disconnect();
  }
}
