import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const addon = fileURLToPath(new URL('../../build/Release/lacuna.node', import.meta.url));
const nm = (...options: string[]) => spawnSync('nm', [...options, addon], { encoding: 'utf8' });
const hasNm = process.platform === 'linux' && !nm('--version').error;

/** Node-API functions the addon imports. */
function imports(): string[] {
  const { stdout, stderr, status } = nm('-D', '--undefined-only');
  if (status !== 0) throw new Error(stderr);
  return stdout.match(/\b(napi|node_api)_\w+/g) ?? [];
}

test.runIf(hasNm)('the addon makes no external ArrayBuffer: Electron forbids them', () => {
  const used = imports();
  expect(used.length).toBeGreaterThan(0);
  expect(used).not.toContain('napi_create_external_arraybuffer');
  expect(used).not.toContain('napi_create_external_buffer');
});

test.runIf(hasNm)('the addon uses Node-API alone: no V8, no libuv', () => {
  const { stdout } = nm('-D', '-C', '--undefined-only');
  expect(stdout).not.toMatch(/ (v8|node)::| uv_/);
});

test.runIf(hasNm)('the addon exports its registration and nothing of its own', () => {
  const { stdout, status } = nm('-D', '-C', '--defined-only');
  expect(status).toBe(0);
  expect(stdout).toContain('napi_register_module_v1');
  expect(stdout).not.toMatch(/^\S* \w lacuna::/m);
});
