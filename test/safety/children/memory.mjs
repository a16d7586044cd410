// Resident memory of a process that loads a model of some 200 MB, in MB: what inspectFile predicts
// for weights and session, what is measured, the most at once, and what is left of the file. Linux.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { writeSynthetic } from '../../../dist/gguf/synthetic.js';
import { inspectFile } from '../../../dist/index.js';
import { load } from './common.mjs';

const mb = (bytes) => bytes / 2 ** 20;

/** VmHWM: the peak of VmRSS. RssFile: pages of files in memory, those of programs among them. */
function status() {
  const text = readFileSync('/proc/self/status', 'utf8');
  const lines = [...text.matchAll(/^(VmRSS|VmHWM|RssFile):\s+(\d+) kB$/gm)];
  return Object.fromEntries(lines.map(([, name, kb]) => [name, kb / 1024]));
}

const length = 512;
const folder = mkdtempSync(join(tmpdir(), 'lacuna-memory-'));
const path = join(folder, 'model.gguf');
const shape = { architecture: 'llada', layers: 12, dim: 1024, heads: 16, ffn: 2816 };
// In a process of its own, whose heap is not counted here.
if (process.argv[2] === undefined) {
  const { spawnSync } = await import('node:child_process');
  spawnSync(process.execPath, [process.argv[1], path], { stdio: 'inherit' });
} else {
  await writeSynthetic(process.argv[2], { ...shape, vocabulary: 16_384, type: 'Q8_0' });
  process.exit(0);
}

try {
  const { memory, tensors } = await inspectFile(path, { lengths: [length] });
  const before = status();
  const model = await load({ device: 'auto' }, path);
  const loaded = status();
  await model.createSession({ length }).step();
  const stepped = status();
  console.log(
    JSON.stringify({
      weights: mb(memory.weights),
      session: mb(memory.caches[0] + memory.activations[0]),
      largestTensor: mb(Math.max(...tensors.map(({ bytes }) => bytes))),
      loaded: loaded.VmRSS - before.VmRSS,
      peak: loaded.VmHWM - before.VmRSS,
      stepped: stepped.VmRSS - before.VmRSS,
      file: loaded.RssFile - before.RssFile,
    }),
  );
} finally {
  rmSync(folder, { recursive: true });
}
