#!/usr/bin/env node
// Builds the native part with CMake, driven by cmake-js. Used by hand (`npm run build:native`), by
// ensure-native.mjs, by binding.gyp and by prebuildify, which passes node-gyp's own arguments.
//
//   native-build.mjs [compile|rebuild] [--config=NAME | --debug] [--arch=ARCH] [--tests]
//
// LACUNA_CMAKE_ARGS adds CMake options, for example LACUNA_CMAKE_ARGS=-DLACUNA_WERROR=ON.
import { spawnSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

export const root = dirname(dirname(fileURLToPath(import.meta.url)));
const require = createRequire(import.meta.url);
const needs =
  'Building Lacuna needs CMake >= 3.20 and a C++20 compiler: GCC >= 11, Clang >= 14, ' +
  'Xcode >= 14 or Visual Studio 2022.';

/** Where lacuna.node and the test programs of a configuration end up. */
export const outputDir = (config = 'Release') => join(root, 'build', config);

/**
 * Configures and builds. Throws an Error whose message is fit to print.
 * `quiet` keeps the compiler's output back, unless the build fails.
 */
export function buildNative({
  verb = 'compile',
  config = 'Release',
  arch = process.arch,
  tests = false,
  quiet = false,
} = {}) {
  if (spawnSync('cmake', ['--version']).error) {
    throw new Error(`cmake was not found on the PATH. ${needs}`);
  }
  // Only prebuildify rebuilds: from scratch, in a tree of its own, for every card, and its binary
  // must not need this machine's libstdc++.
  const prebuild = verb === 'rebuild';
  const tree = join(root, 'build', `cmake-${arch}-${config}${prebuild ? '-prebuild' : ''}`);
  if (prebuild) rmSync(tree, { recursive: true, force: true });
  const where = ['-d', root, '-O', tree, '-B', config, '-a', arch];
  const options = [
    `-DLACUNA_OUTPUT_DIR=${outputDir(config)}`,
    `-DLACUNA_TESTS=${tests ? 'ON' : 'OFF'}`,
    `-DLACUNA_STATIC_RUNTIME=${prebuild ? 'ON' : 'OFF'}`,
    ...(prebuild ? ['-DLACUNA_CUDA_ARCHITECTURES=all'] : []),
    ...(process.env.LACUNA_CMAKE_ARGS ?? '').split(/\s+/).filter(Boolean),
  ].map((option) => option.replace(/^-D/, '--CD'));
  const jobs = process.env.CMAKE_BUILD_PARALLEL_LEVEL ?? String(availableParallelism());

  // `cmake-js build` configures only an empty tree, so changed options need the first of the two.
  run(['configure', ...where, ...options], quiet);
  run(['build', ...where, '-p', jobs], quiet);
}

function run(args, quiet) {
  // A make that runs us (node-gyp's) would hand its job server down to ours.
  const { MAKEFLAGS: _flags, MFLAGS: _mflags, MAKELEVEL: _level, ...env } = process.env;
  const result = spawnSync(process.execPath, [cmakeJs(), ...args], {
    cwd: root,
    env,
    encoding: 'utf8',
    maxBuffer: 1 << 28,
    stdio: quiet ? 'pipe' : 'inherit',
  });
  if (result.status === 0) return;
  if (quiet) process.stderr.write((result.stdout ?? '') + (result.stderr ?? ''));
  const reason = result.error?.message ?? result.signal ?? `exit code ${result.status}`;
  const hint = args[0] === 'configure' ? ` ${needs}` : '';
  throw new Error(`The native build failed (cmake-js ${args[0]}: ${reason}).${hint}`);
}

function cmakeJs() {
  try {
    return join(dirname(require.resolve('cmake-js/package.json')), 'bin', 'cmake-js');
  } catch {
    throw new Error('cmake-js was not found: npm install cmake-js node-addon-api node-api-headers');
  }
}

function parseArguments(args) {
  const options = { verb: args.find((arg) => !arg.startsWith('-')) ?? 'compile' };
  for (const arg of args) {
    const [name, value] = arg.split('=', 2);
    if (name === '--config') options.config = value;
    else if (name === '--debug') options.config = 'Debug';
    else if (name === '--arch') options.arch = value;
    else if (name === '--tests') options.tests = true;
  }
  return options;
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  try {
    buildNative(parseArguments(process.argv.slice(2)));
  } catch (error) {
    console.error(error.message);
    process.exitCode = 1;
  }
}
