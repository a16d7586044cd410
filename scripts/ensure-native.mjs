// Builds lacuna.node (with --tests also lacuna-ops, lacuna-steps and lacuna-fuzz) into build/Release
// if it is missing or older than its sources; says nothing when there is nothing to do.
import { existsSync, readdirSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { buildNative, outputDir, root } from './native-build.mjs';

const sources = ['CMakeLists.txt', 'native', 'cuda'];
const testSources = [...sources, 'test/ops', 'test/steps', 'test/fuzz'];

/** Newest modification time under the paths, in ms. Folders count too: a removed file is a change. */
function newest(paths) {
  let time = 0;
  for (const path of paths.map((p) => join(root, p)).filter(existsSync)) {
    const isFolder = statSync(path).isDirectory();
    const inside = isFolder ? readdirSync(path, { recursive: true }).map((p) => join(path, p)) : [];
    for (const entry of [path, ...inside]) time = Math.max(time, statSync(entry).mtimeMs);
  }
  return time;
}

export function ensureNative({ tests = false } = {}) {
  const folder = outputDir();
  const addon = join(folder, 'lacuna.node');
  // A build that had nothing to relink leaves its outputs' times alone, so a stamp keeps the time.
  const addonStamp = join(folder, 'addon.stamp');
  const testStamp = join(folder, 'tests.stamp');
  const stamp = tests ? testStamp : addonStamp;
  const fresh =
    existsSync(addon) &&
    existsSync(stamp) &&
    statSync(stamp).mtimeMs >= newest(tests ? testSources : sources);
  if (fresh) return;

  console.error(
    `Building the native part${tests ? ' and its tests' : ''} (a few minutes the first time) …`,
  );
  const start = new Date();
  buildNative({ tests, quiet: true });
  if (!existsSync(addon)) throw new Error(`The build finished without making ${addon}.`);
  const others = readdirSync(folder).filter((n) => n.endsWith('.node') && n !== 'lacuna.node');
  for (const name of others) rmSync(join(folder, name)); // node-gyp-build loads the first it finds
  for (const file of tests ? [addonStamp, testStamp] : [addonStamp]) {
    writeFileSync(file, '');
    utimesSync(file, start, start);
  }
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  try {
    ensureNative({ tests: process.argv.includes('--tests') });
  } catch (error) {
    console.error(error.message);
    process.exitCode = 1;
  }
}
