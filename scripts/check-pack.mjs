// Packs the package with a prebuilt binary for this platform, installs the tarball in an empty
// folder (offline, no scripts) and uses it there, README snippets included. Leaves nothing behind.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { checkReadme } from './check-readme.mjs';
import { root } from './native-build.mjs';

const maxBytes = 30e6;
const model = 'models/shakespeare-7m.Q8_0.gguf';
const platform = `${process.platform}-${process.arch}`;
const required = [
  'LICENSE',
  'README.md',
  'CMakeLists.txt',
  'dist/index.js',
  'dist/index.d.ts',
  model,
];

const shell = process.platform === 'win32'; // npm and npx are .cmd files there
function run(command, args, cwd) {
  console.log(
    `$ ${[command, ...args].map((a) => (/\s/.test(a) ? JSON.stringify(a) : a)).join(' ')}`,
  );
  const result = spawnSync(command, args, {
    cwd,
    shell,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  if (result.status !== 0) {
    process.stdout.write(result.stdout ?? '');
    throw new Error(`${command} ${args[0]} failed in ${cwd} (${result.error ?? result.status})`);
  }
  return result.stdout;
}

function pack(folder, into, ...options) {
  const args = ['pack', folder, '--json', '--pack-destination', into, ...options];
  const text = run('npm', args, root);
  // A lifecycle script may print before the JSON.
  return JSON.parse(text.slice(text.search(/^\[/m)))[0];
}

function checkContents({ files, size, unpackedSize }) {
  const paths = files.map((file) => file.path);
  const binaries = paths.filter((path) => path.endsWith('.node'));
  const problems = [
    ...required.filter((path) => !paths.includes(path)).map((path) => `${path} is missing`),
    ...paths.filter((path) => path.endsWith('.gyp')).map((path) => `${path} must not be published`),
    ...paths.filter((path) => path.endsWith('.stamp')).map((path) => `${path} is a build product`),
  ];
  if (!binaries.some((path) => path.startsWith(`prebuilds/${platform}/node.napi`))) {
    problems.push(`no prebuilt binary for ${platform}: found ${binaries.join(', ') || 'none'}`);
  }
  if (size >= maxBytes) problems.push(`the tarball has ${size} bytes, the limit is ${maxBytes}`);
  if (problems.length > 0) throw new Error(`The tarball is wrong:\n- ${problems.join('\n- ')}`);
  console.log(`Tarball: ${paths.length} files, ${mb(size)} packed, ${mb(unpackedSize)} unpacked`);
}

const mb = (bytes) => `${(bytes / 1e6).toFixed(1)} MB`;

const quickStart = `import { blocks, loadModel } from 'lacuna';
const model = await loadModel('node_modules/lacuna/${model}');
const options = { bos: true, maxTokens: 8, temperature: 0.7, blocks: blocks(8) };
const { tokens } = await model.generate('ROMEO:\\nWhat light is this?\\n\\n', options).result;
await model.dispose();
if (tokens.length === 0 || tokens.length > 8) throw new Error('got ' + tokens.length + ' tokens');
`;

function useIt(app) {
  run('node', ['-e', "require('lacuna')"], app);
  writeFileSync(join(app, 'quick-start.mjs'), quickStart);
  run('node', ['quick-start.mjs'], app);
  const listing = run(
    'npx',
    ['--no-install', 'lacuna', 'inspect', `node_modules/lacuna/${model}`],
    app,
  );
  if (!listing.includes('llada'))
    throw new Error(`lacuna inspect does not name llada:\n${listing}`);
}

function main() {
  const work = mkdtempSync(join(tmpdir(), 'lacuna-pack-'));
  const prebuilt = join(root, 'prebuilds', platform);
  const hadPrebuilt = existsSync(prebuilt);
  try {
    run('npm', ['run', '--silent', 'prebuild:native'], root);
    const packed = pack('.', work);
    checkContents(packed);
    const tarball = join(work, packed.filename);
    run('npx', ['--no-install', 'publint', 'run', tarball, '--strict'], root);
    run('npx', ['--no-install', 'attw', tarball, '--profile', 'esm-only'], root);

    // The dependencies come from tarballs too: npm then has nothing to ask the registry for.
    const { dependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
    const others = Object.keys(dependencies).map((name) => {
      const { filename } = pack(`./node_modules/${name}`, work, '--ignore-scripts');
      return join(work, filename);
    });
    const app = join(work, 'an empty folder');
    mkdirSync(app);
    writeFileSync(join(app, 'package.json'), '{ "private": true }\n');
    const flags = ['--ignore-scripts', '--offline', '--no-audit', '--no-fund'];
    run('npm', ['install', ...flags, tarball, ...others], app);
    useIt(app);
    checkReadme(app);
  } finally {
    rmSync(work, { recursive: true, force: true });
    if (!hadPrebuilt) rmSync(prebuilt, { recursive: true, force: true });
  }
}

try {
  main();
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}
