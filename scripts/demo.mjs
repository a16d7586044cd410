// `npm run demo`: builds what is missing, then denoises text with the embedded model.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { ensureNative } from './ensure-native.mjs';
import { root } from './native-build.mjs';

function node(...args) {
  const { status } = spawnSync(process.execPath, args, { cwd: root, stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
}

try {
  ensureNative();
} catch (error) {
  console.error(error.message);
  process.exit(1);
}
node(join('node_modules', 'typescript', 'bin', 'tsc'), '-p', 'tsconfig.build.json');
node(join('dist', 'cli', 'main.js'), 'demo', ...process.argv.slice(2));
