import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { writeGguf } from '../../lib/gguf/writer.js';
import { lacuna, model, temporaryFolder } from './lacuna.js';

const folder = temporaryFolder();

describe('inspect', () => {
  test('the embedded model', () => {
    const { code, stdout } = lacuna(['inspect', model]);
    expect(code).toBe(0);
    for (const part of ['llada', '7.3', '8 layers', 'width 256', 'mask 1023', 'keys and values']) {
      expect(stdout).toContain(part);
    }
    expect(stdout).toMatch(/tensors +\d+: Q8_0 \d+\.\d %, F32/);
  });

  test('metadata and tensors as lists', () => {
    const { stdout } = lacuna(['inspect', model, '--metadata', '--tensors']);
    expect(stdout).toMatch(/^general\.architecture +"llada"$/m);
    expect(stdout).toMatch(/^tokenizer\.ggml\.tokens +\["[^\n]*, …\] \(1024\)$/m);
    expect(stdout).toMatch(/^token_embd\.weight +Q8_0 +256 × 1024 +272 KiB$/m);
    expect(stdout).not.toContain('keys and values');
  });

  test('memory grows with the canvas', () => {
    const { stdout } = lacuna(['inspect', model, '--canvas', '512']);
    expect(stdout).toMatch(/512 tokens/);
    expect(stdout).toContain('longer than the context');
  });

  test('--json is the whole file', () => {
    const file = JSON.parse(lacuna(['inspect', model, '--json']).stdout) as {
      metadata: Record<string, unknown>;
      tensors: { name: string }[];
      spec: { layers: number };
      memory: { sessions: { length: number; cache: number }[] };
    };
    expect(file.metadata['tokenizer.ggml.tokens']).toHaveLength(1024);
    expect(file.tensors.some(({ name }) => name === 'token_embd.weight')).toBe(true);
    expect(file.spec.layers).toBe(8);
    const [first, second] = file.memory.sessions;
    expect(second.cache / first.cache).toBe(second.length / first.length);
  });

  test('an unknown architecture is listed, with the reason why it cannot run', async () => {
    const path = join(folder, 'other.gguf');
    await writeGguf(path, {
      metadata: { 'general.architecture': 'perceptron', 'general.name': 'a\x1b[31mb' },
      tensors: [{ name: 'w', type: 'F32', shape: [2], data: new Uint8Array(8) }],
    });
    const { code, stdout } = lacuna(['inspect', path]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/cannot run this file: .*perceptron.* \(UNSUPPORTED_ARCHITECTURE\)/);
    expect(stdout).not.toContain('\x1b');
    expect(lacuna(['inspect', path, '--tensors']).stdout).toMatch(/^w +F32 +2 +8 B$/m);
  });
});
