import { existsSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

interface Manifest {
  scripts: Record<string, string>;
  gypfile: boolean;
  binary: { napi_versions: number[] };
  files: string[];
  dependencies: Record<string, string>;
}

const read = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');
const manifest = JSON.parse(read('package.json')) as Manifest;

test('nothing runs when the package is installed', () => {
  // npm also runs `prepare` for git dependencies, and `node-gyp rebuild` unless gypfile is false.
  const scripts = ['preinstall', 'install', 'postinstall', 'prepare', 'preprepare', 'postprepare'];
  expect(Object.keys(manifest.scripts).filter((name) => scripts.includes(name))).toEqual([]);
  expect(manifest.gypfile).toBe(false);
  expect(manifest.files).not.toContain('binding.gyp');
});

test('cmake-js builds for Node-API 8 without downloading headers', () => {
  expect(manifest.binary.napi_versions).toEqual([8]);
});

test('every listed file that is not generated exists', () => {
  const generated = ['dist', 'prebuilds'];
  const listed = manifest.files.map((path) => path.replace(/^!/, '')); // and those left out
  const missing = listed.filter(
    (path) => !generated.includes(path) && !existsSync(new URL(`../../${path}`, import.meta.url)),
  );
  expect(missing).toEqual([]);
});

test('the lock file names no registry', () => {
  const lock = JSON.parse(read('package-lock.json')) as { packages: Record<string, object> };
  const resolved = Object.entries(lock.packages).filter(([, entry]) => 'resolved' in entry);
  expect(resolved).toEqual([]);
});
