// Formats (--write) or checks (--check) every C++ and CUDA file of ours with clang-format.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import clangFormat from 'clang-format-node';
import { root } from './native-build.mjs';

const isCpp = /\.(cpp|h|inc|cu|cuh)$/;
const files = ['native', 'cuda', 'test/ops', 'test/steps', 'test/fuzz']
  .filter((folder) => existsSync(join(root, folder)))
  .flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true }).map((f) => join(folder, f)),
  )
  .filter((file) => isCpp.test(file))
  .sort();
const mode = process.argv.includes('--write') ? ['-i'] : ['--dry-run', '--Werror'];
const { status, error } = spawnSync(clangFormat.clangFormatPath, [...mode, ...files], {
  cwd: root,
  stdio: 'inherit',
});
if (error) console.error(`clang-format did not start: ${error.message}`);
process.exitCode = status ?? 1;
