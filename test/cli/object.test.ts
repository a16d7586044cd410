import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { lacuna, temporaryFolder } from './lacuna.js';

const folder = temporaryFolder();
const written = (name: string, text: string): string => {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
};
const schema = {
  type: 'object',
  properties: { king: { enum: ['Richard', 'Henry'] }, age: { type: 'integer', minimum: 20 } },
  required: ['king', 'age'],
};

test('writes JSON that fits, alone on standard output', () => {
  const path = written('schema.json', JSON.stringify(schema));
  const args = ['object', '--schema', path, '-p', 'KING RICHARD:', '--threads', '1'];
  const { code, stdout, stderr } = lacuna(args);
  expect(code).toBe(0);
  const value = JSON.parse(stdout) as { king: string; age: number };
  expect(schema.properties.king.enum).toContain(value.king);
  expect(value.age).toBeGreaterThanOrEqual(20);
  expect(stderr).toMatch(/\d+ forwards, 1 decisions/);
  const report = JSON.parse(lacuna([...args, '--json']).stdout) as Record<string, unknown>;
  expect(report).toMatchObject({ value, choices: [{ path: '/king' }] });
});

test('says what is wrong with a schema', () => {
  const prompt = ['-p', 'x', '--threads', '1'];
  const bad = lacuna(['object', '--schema', written('bad.json', '{"not": {}}'), ...prompt]);
  expect(bad).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('keyword "not"') as string,
  });
  const none = lacuna(['object', '--schema', written('none.json', '{'), ...prompt]);
  expect(none).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('no JSON file') as string,
  });
  expect(lacuna(['object', ...prompt]).code).toBe(2);
});
