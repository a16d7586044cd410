/** What all commands share: help, wrong use, errors. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { lacuna, model, temporaryFolder } from './lacuna.js';

const folder = temporaryFolder();

const commands = [
  'run',
  'replay',
  'demo',
  'inspect',
  'devices',
  'bench',
  'compare',
  'calibrate',
  'background',
];

describe('help and usage', () => {
  test('help explains every command', () => {
    const { code, stdout } = lacuna(['--help']);
    expect(code).toBe(0);
    expect(stdout).toContain('Examples:');
    for (const command of commands) {
      expect(stdout).toMatch(new RegExp(`^  ${command} `, 'm'));
      const help = lacuna([command, '--help']);
      expect(help.code).toBe(0);
      expect(help.stdout).toMatch(new RegExp(`^Usage: lacuna ${command} `));
      expect(help.stderr).toBe('');
    }
    expect(lacuna(['run', '--help']).stdout).toMatch(/--tau <p> .*default: 0\.9/s);
  });

  test('version', () => {
    expect(lacuna(['--version'])).toEqual({ code: 0, stdout: '0.1.0\n', stderr: '' });
  });

  test.each([
    [[], /Usage: lacuna/],
    [['--frobnicate'], /unknown option '--frobnicate'/],
    [['rnu'], /unknown command 'rnu'\s+\(Did you mean run\?\)/],
    [['run', '-n', 'many'], /--max-tokens.*whole number/],
    [['run', '-p', 'x', '-t', '-1'], /--temperature.*at least 0/],
    [['run', '-p', 'x', '--decode', 'best'], /Allowed choices are low-confidence/],
    [
      ['run', '-p', 'x', '--tau', '0.5'],
      /^lacuna: --tau needs --decode threshold or credit or klass or sdar$/m,
    ],
    [
      ['run', '-p', 'x', '--decode', 'random', '--gamma', '1'],
      /--gamma needs --decode entropy-bound/,
    ],
    [['run', '-p', 'x', '-c', 'y'], /give only one of --prompt and --chat/],
    [['run', '-p', 'x', '--attention', 'sideways'], /full, causal or block-causal:N/],
    [['run', model, '-p', 'x', '--absolute-blocks'], /--absolute-blocks needs --block-length/],
    [['run', '-p', 'x', '--system', 'y'], /--system needs --chat/],
    [['run', '--template', 'a{{2}}', '-n', '4'], /--template has its own length/],
    [['run', '--template', 'a{{2}}', '--suffix', 'b'], /--template has its own end/],
    [['run', '--template', 'a{{9-2}}'], /\{\{9-2\}\} must be \{\{most\}\}/],
    [['run', '-p', 'x', '--stop', 'y'], /--stop needs --template/],
    [['run', '-p', 'x', '--chat-template', 'y'], /--chat-template needs --chat/],
    [['inspect'], /missing required argument 'file'/],
    [['bench', 'a.gguf', '--synthetic', 'tiny'], /a model or --synthetic, not both/],
    [['run', '-p', 'x', '--refresh', '4'], /--refresh needs --cache prefix or dual/],
    [['run', '-p', 'x', '--cache', 'dllm', '--refresh', '4'], /--refresh needs --cache prefix/],
    [['bench', '--canvas', '8', '--rows', '9'], /no room for --rows 9/],
  ])('wrong use ends with 2: %j', (args, message) => {
    const { code, stdout, stderr } = lacuna(args);
    expect(stderr).toMatch(message);
    expect(stdout).toBe('');
    expect(code).toBe(2);
  });
});

describe('errors', () => {
  const line = (code: string) => new RegExp(`^lacuna: ${code}: [^\\n]+\\n$`);

  test('a missing file', () => {
    const { code, stderr, stdout } = lacuna(['run', join(folder, 'none.gguf'), '-p', 'x']);
    expect(stderr).toMatch(line('FILE_ERROR'));
    expect(stderr).toContain('none.gguf');
    expect([code, stdout]).toEqual([1, '']);
  });

  test('a file that is no GGUF', () => {
    const path = join(folder, 'text.gguf');
    writeFileSync(path, 'These are not the weights you are looking for.');
    for (const command of ['run', 'inspect']) {
      const { code, stderr } = lacuna([command, path]);
      expect(stderr).toMatch(line('BAD_GGUF'));
      expect(code).toBe(1);
    }
  });

  test('what the library refuses', () => {
    const { code, stderr } = lacuna(['run', '-p', 'x', '-n', '100000']);
    expect(stderr).toMatch(line('INVALID_ARGUMENT'));
    expect(code).toBe(1);
    expect(lacuna(['run', '-p', 'x', '--device', 'cuda:99']).stderr).toMatch(line('NO_CUDA'));
    expect(lacuna(['run', '-f', join(folder, 'none.txt')]).stderr).toMatch(line('FILE_ERROR'));
  });

  test('LACUNA_DEBUG shows where it happened', () => {
    const { stderr } = lacuna(['inspect', folder], '', { LACUNA_DEBUG: '1' });
    expect(stderr).toMatch(/LacunaError: .*\n\s+at /);
  });
});
