/** `lacuna run` and `lacuna demo`, in a pipe and in a terminal. */
import { spawn } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { ended, lacuna, main, model, short, temporaryFolder, type Ended } from './lacuna.js';

const folder = temporaryFolder();

describe('run in a pipe', () => {
  test('prints the text and nothing else; the summary goes to stderr', () => {
    const { code, stdout, stderr } = lacuna(['run', model, '-p', 'ROMEO:\n', ...short]);
    expect(code).toBe(0);
    expect(stdout).not.toMatch(/\x1b|░/);
    expect(stdout.trim().length).toBeGreaterThan(0);
    expect(stderr).toMatch(/^\d+ tokens in .* tokens\/s · .* tokens\/forward · .*\n$/);
  });

  test('takes the prompt from stdin, a file or an option alike, and is deterministic', () => {
    const path = join(folder, 'prompt.txt');
    writeFileSync(path, 'JULIET:\n');
    const sampling = ['-t', '0.8', '--bos', '--seed', '3', ...short, '-q'];
    const texts = [
      lacuna(['run', ...sampling], 'JULIET:\n'),
      lacuna(['run', '-f', path, ...sampling]),
      lacuna(['run', model, '-p', 'JULIET:\n', ...sampling]),
    ];
    expect(texts[0]).toMatchObject({ code: 0, stderr: '' });
    expect(texts[1]).toEqual(texts[0]);
    expect(texts[2]).toEqual(texts[0]);
  });

  test('--json has the text and the numbers', () => {
    const { stdout, stderr } = lacuna(['run', '-p', 'ROMEO:\n', '--json', ...short]);
    const result = JSON.parse(stdout) as Record<string, unknown>;
    expect(result).toMatchObject({ model: { architecture: 'llada' } });
    expect(result.steps).toBeLessThanOrEqual(6);
    expect(result.tokens).toBeInstanceOf(Array);
    expect(typeof result.text).toBe('string');
    expect(result.forwards).toBeGreaterThan(0);
    expect(stderr).toBe('');
  });

  test('--template fills the gaps of an answer, --suffix ends one', () => {
    const template = ['--template', 'KING:{{2-6}}, my lord.{{3-3}}', '--threads', '1'];
    const { stdout, stderr, code } = lacuna(['run', ...template, '--stop', '\n', '--json']);
    expect([stderr, code]).toEqual(['', 0]);
    const result = JSON.parse(stdout) as { text: string; holes: { text: string; ended: string }[] };
    expect(result).toMatchObject({ finishReason: 'filled' });
    const [first, last] = result.holes;
    expect(result.text).toBe(`KING:${first.text}, my lord.${last.text}`);
    expect(first.text).not.toBe('');
    const ending = lacuna(['run', '-p', 'ROMEO:\n', '--suffix', ' my love.', '-n', '6', '-q']);
    expect(ending.stdout).toMatch(/ my love\.\n$/);
  });

  test('--chat takes a template of the caller, and stops where the model does', () => {
    const path = join(folder, 'chat.jinja');
    writeFileSync(path, '{% for m in messages %}{{ m.content }}:\n{% endfor %}');
    const args = ['run', '-c', 'ROMEO', '--system', 'A scene', '--chat-template', path, '--json'];
    const { stdout, stderr, code } = lacuna([...args, ...short]);
    expect([stderr, code]).toEqual(['', 0]);
    expect(JSON.parse(stdout)).toMatchObject({ model: { name: 'shakespeare-7m' } });
    expect(lacuna(['run', '-c', 'ROMEO']).stderr).toMatch(/^lacuna: BAD_TEMPLATE: /);
  });

  test.each([
    ['low-confidence', '--steps', '6'],
    ['random', '--steps', '6', '--cfg-scale', '0.5'],
    ['threshold', '--tau', '0.6', '--cache', 'prefix'],
    ['factor', '--factor', '1.5', '--cache', 'dual'],
    ['entropy-bound', '--gamma', '0.5'],
    ['left-to-right', '--top-k', '20', '-t', '1'],
    ['right-to-left'],
    ['local-leap', '--cache', 'dual'],
    ['klass', '--tau', '0.3'],
    ['credit', '--tau', '0.6'],
    ['beam', '--depth', '3', '--width', '2'],
    ['sdar', '--tau', '0.3'],
    ['dilated', '--block-length', '8'],
    ['ancestral', '--steps', '6', '-t', '1'],
    ['dream-origin', '--steps', '6'],
    ['dream-maskgit-plus', '--steps', '6', '--top-p', '0.9', '-t', '0.5'],
    ['dream-topk-margin', '--alg-temp', '0.2'],
    ['dream-entropy', '--steps', '4'],
  ])('every decoder runs: %s', (decode, ...more) => {
    const args = ['run', '-p', 'ROMEO:\n', '-n', '12', '--json', '--decode', decode, ...more];
    const { code, stdout, stderr } = lacuna(args);
    expect(stderr).toBe('');
    expect(code).toBe(0);
    expect((JSON.parse(stdout) as { forwards: number }).forwards).toBeGreaterThan(0);
  });

  test.each(['auto', 'none', 'prefix', 'dual', 'vicinity', 'dkv', 'dllm', 'dpad'])(
    'every cache runs: %s',
    (cache) => {
      const args = ['run', '-p', 'ROMEO:\n', '-n', '12', '--json', '--cache', cache];
      const { code, stdout, stderr } = lacuna(args);
      expect(stderr).toBe('');
      expect(code).toBe(0);
      expect((JSON.parse(stdout) as { forwards: number }).forwards).toBe(12);
    },
  );

  test('a reader that leaves early is no error', async () => {
    const child = spawn(process.execPath, [main, 'run', '-p', 'ROMEO:\n', ...short]);
    child.stdout.destroy();
    let stderr = '';
    child.stderr.on('data', (data: Buffer) => (stderr += data.toString()));
    const code = await new Promise((resolve) => child.on('close', resolve));
    expect(stderr).not.toContain('EPIPE');
    expect(code).toBe(0);
  });
});

test('demo in a pipe: scene, continuation, numbers, and a sudoku', () => {
  const { code, stdout, stderr } = lacuna(['demo']);
  expect(code).toBe(0);
  expect(stdout.split(/\n\n/).length).toBeGreaterThan(2);
  expect(stderr.match(/tokens\/s/g)).toHaveLength(2);
  expect(stdout).toMatch(/solved:\n\n( {2}[1-4]( [1-4]){3}\n){4}$/);
  expect(stderr).toContain('Every row, column and box is right.');
});

// util-linux's script(1) gives a child a terminal of its own.
const hasScript = process.platform === 'linux' && existsSync('/usr/bin/script');

describe.skipIf(!hasScript)('run in a terminal (needs script(1))', () => {
  let ran: Ended;
  // Node takes a CI variable for a log without colours, whatever the terminal can do.
  const none = { NO_COLOR: undefined, CI: undefined };
  const colours = { ...none, COLORTERM: 'truecolor', TERM: 'xterm-256color' };
  const inScript = (args: string[]): string[] => {
    const command = [process.execPath, main, ...args].map((word) => `'${word}'`).join(' ');
    return ['-qec', `stty cols 60 rows 20; ${command}`, '/dev/null'];
  };
  const inTerminal = (args: string[], env: NodeJS.ProcessEnv = {}): Ended => {
    return ended('script', inScript(args), '', { ...colours, ...env });
  };

  beforeAll(() => {
    ran = inTerminal(['run', '-p', 'JULIET:', '-n', '24', '--block-length', '8', '-t', '0.8']);
  });

  test('draws masks, colours and the status line, and gives the cursor back', () => {
    expect(ran.code).toBe(0);
    expect(ran.stdout).toContain('░');
    expect(ran.stdout).toMatch(/\x1b\[38;2;\d+;\d+;\d+m/);
    expect(ran.stdout).toMatch(/block \d\/3 · \d+ tokens? left/);
    expect(ran.stdout.lastIndexOf('\x1b[?25h')).toBeGreaterThan(
      ran.stdout.lastIndexOf('\x1b[?25l'),
    );
    expect(ran.stdout.lastIndexOf('\x1b[?7h')).toBeGreaterThan(ran.stdout.lastIndexOf('\x1b[?7l'));
  });

  test('what stays is the text: no masks, no status line', () => {
    const left = ran.stdout.slice(ran.stdout.lastIndexOf('\x1b[J'));
    expect(left).toContain('JULIET:');
    expect(left).not.toMatch(/░|block \d/);
  });

  test('Ctrl-C ends the run with 130 and leaves the text that is there', async () => {
    const args = ['run', '-p', 'JULIET:', '-n', '200', '--device', 'ref'];
    const child = spawn('script', inScript(args), { env: { ...process.env, ...colours } });
    let stdout = '';
    child.stdout.on('data', (data: Buffer) => {
      const before = stdout.includes('tokens left');
      stdout += data.toString();
      if (!before && stdout.includes('tokens left')) child.stdin.write('\x03');
    });
    const code = await new Promise((resolve) => child.on('close', resolve));
    expect(code).toBe(130);
    const left = stdout.slice(stdout.lastIndexOf('\x1b[J'));
    expect(left).toContain('\x1b[?7h\x1b[?25h');
    expect(left).not.toMatch(/tokens left|lacuna:/);
  });

  test('NO_COLOR draws without colours', () => {
    const { stdout } = inTerminal(['run', '-p', 'x', ...short], { NO_COLOR: '1' });
    expect(stdout).toContain('░');
    expect(stdout).not.toMatch(/\x1b\[[\d;]*m/);
  });

  test.each([
    [['--no-live'], {}],
    [[], { TERM: 'dumb' }],
  ] as [string[], NodeJS.ProcessEnv][])('draws nothing: %j %j', (args, env) => {
    const { stdout } = inTerminal(['run', '-p', 'x', ...short, ...args], env);
    expect(stdout).not.toMatch(/\x1b|░/);
  });
});
