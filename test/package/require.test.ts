import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));
let app: string;

/** An empty application folder in which `lacuna` resolves to the built package (dist/). */
beforeAll(() => {
  app = mkdtempSync(join(tmpdir(), 'lacuna-require-'));
  mkdirSync(join(app, 'node_modules'));
  symlinkSync(root, join(app, 'node_modules', 'lacuna'), 'junction');
});
afterAll(() => rmSync(app, { recursive: true, force: true }));

function run(...args: string[]) {
  return spawnSync(process.execPath, args, { cwd: app, encoding: 'utf8' });
}

const useIt = `
  loadModel('node_modules/lacuna/models/shakespeare-7m.Q8_0.gguf')
    .then((model) => model.dispose())
    .then(() => console.log('loaded'));`;

test('require() from CommonJS loads a model, without a warning', () => {
  const code = `const { loadModel } = require('lacuna'); ${useIt}`;
  const { stdout, stderr, status } = run('--input-type=commonjs', '-e', code);
  expect({ stdout, stderr, status }).toEqual({ stdout: 'loaded\n', stderr: '', status: 0 });
});

test('import from an ES module loads a model, without a warning', () => {
  const code = `import { loadModel } from 'lacuna'; ${useIt}`;
  const { stdout, stderr, status } = run('--input-type=module', '-e', code);
  expect({ stdout, stderr, status }).toEqual({ stdout: 'loaded\n', stderr: '', status: 0 });
});

test('the version can be read through lacuna/package.json', () => {
  const code = "console.log(require('lacuna/package.json').version);";
  const { stdout, status } = run('--input-type=commonjs', '-e', code);
  expect(status).toBe(0);
  expect(stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
});
