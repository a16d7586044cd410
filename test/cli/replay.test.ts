/** What a trace file holds, and that drawing from it is drawing from the run. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { frames, tracePieces } from '../../lib/cli/replay.js';
import {
  blocks,
  daedal,
  freeDave,
  lowConfidence,
  threshold,
  wino,
} from '../../lib/decoding/index.js';
import { generate } from '../../lib/generate.js';
import { loadModel } from '../../lib/model.js';
import type { GenerateOptions } from '../../lib/plan.js';
import { parseTrace, traceFile } from '../../lib/trace-file.js';
import { FakeModel } from '../decoding/fake.js';
import { lacuna, model, temporaryFolder } from './lacuna.js';

const folder = temporaryFolder();

describe('a trace file', () => {
  test.each<[string, GenerateOptions]>([
    ['tokens taken back', { decode: wino({ draft: 0.1, verify: 0.3 }) }],
    ['a canvas that grows from within', { decode: threshold(), length: daedal() }],
    ['forwards made in advance', { decode: lowConfidence(), speculate: freeDave() }],
    [
      'tokens that no model proposed',
      { refine: () => ({ begin: ({ length }) => [{ position: length - 1, token: 3 }] }) },
    ],
  ])('%s: through JSON and back, every frame is the same', async (_, options) => {
    const fake = new FakeModel();
    const run = generate(fake, [1, 2], { maxTokens: 12, blocks: blocks(6), ...options });
    const drawn = [];
    for await (const frame of run) drawn.push({ ...frame, text: '' });
    const file = traceFile(fake, await run.result);
    const read = parseTrace(JSON.stringify(file));
    const again = [];
    for await (const frame of frames(read, 1e9)) again.push({ ...frame, text: '' });
    expect(again).toEqual(drawn);
    expect(read).toEqual(file);
  });

  test('its pieces are those of the model', async () => {
    await using embedded = await loadModel(model, { device: 'cpu', threads: 1 });
    const options = { maxTokens: 8, bos: true, blocks: blocks(8) };
    const result = await embedded.generate('A café, my lord', options).result;
    const file = parseTrace(JSON.stringify(traceFile(embedded, result)));
    const pieces = tracePieces(file);
    const bytes = [...result.prompt].slice(1).map((id) => pieces.bytes(id));
    expect(Buffer.concat(bytes).toString()).toBe('A café, my lord');
    expect(pieces.special(result.prompt[0])).toBeDefined();
    expect(file.policies).toMatchObject({ decode: { name: 'lowConfidence' } });
  });

  test.each([
    ['{', /not JSON/],
    ['null', /not a trace/],
    ['{"kind":"trace"}', /not a trace/],
  ])('%s is refused', (json, message) => {
    expect(() => parseTrace(json)).toThrow(message);
  });
});

describe('the command', () => {
  test('replays what run recorded', () => {
    const path = join(folder, 'trace.json');
    const flags = ['-p', 'KING:', '-n', '12', '--preset', 'quality', '-q', '--trace', path];
    const ran = lacuna(['run', ...flags]);
    expect(ran).toMatchObject({ code: 0, stderr: '' });
    const file = parseTrace(readFileSync(path, 'utf8'));
    expect(file.forwards).toBe(12);
    const again = lacuna(['replay', path]);
    expect(again).toMatchObject({ code: 0, stdout: ran.stdout });
    expect(again.stderr).toMatch(/tokens? in .* tokens\/forward/);
  });

  test('what is no trace, or no file', () => {
    const path = join(folder, 'other.json');
    writeFileSync(path, '{}');
    expect(lacuna(['replay', path])).toMatchObject({ code: 1 });
    expect(lacuna(['replay', path]).stderr).toContain(
      'INVALID_ARGUMENT: trace: this JSON is not a',
    );
    expect(lacuna(['replay', join(folder, 'none.json')]).stderr).toContain('FILE_ERROR: replay: ');
  });
});
