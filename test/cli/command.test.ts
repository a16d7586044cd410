/** The command as a user runs it: a child process of the built package. */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { writeGguf } from '../../lib/gguf/writer.js';

const root = join(import.meta.dirname, '..', '..');
const main = join(root, 'dist', 'cli', 'main.js');
const model = join(root, 'models', 'shakespeare-7m.Q8_0.gguf');
const folder = mkdtempSync(join(tmpdir(), 'lacuna-cli-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Ended {
  code: number | null;
  stdout: string;
  stderr: string;
}

function lacuna(args: string[], input = '', env: NodeJS.ProcessEnv = {}): Ended {
  const options = { input, encoding: 'utf8' as const, env: { ...process.env, ...env } };
  const { status, stdout, stderr } = spawnSync(process.execPath, [main, ...args], options);
  return { code: status, stdout, stderr };
}

const short = ['-n', '12', '--block-length', '4', '--steps', '6', '--threads', '1'];

describe('help and usage', () => {
  test('help explains every command', () => {
    const { code, stdout } = lacuna(['--help']);
    expect(code).toBe(0);
    for (const word of [
      'run',
      'replay',
      'demo',
      'inspect',
      'bench',
      'compare',
      'calibrate',
      'background',
      'Examples:',
    ]) {
      expect(stdout).toContain(word);
    }
    for (const command of [
      'run',
      'replay',
      'demo',
      'inspect',
      'bench',
      'compare',
      'calibrate',
      'background',
    ]) {
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
    expect(lacuna(['run', '-p', 'x', '--device', 'cuda']).stderr).toMatch(line('NO_CUDA'));
    expect(lacuna(['run', '-f', join(folder, 'none.txt')]).stderr).toMatch(line('FILE_ERROR'));
  });

  test('LACUNA_DEBUG shows where it happened', () => {
    const { stderr } = lacuna(['inspect', folder], '', { LACUNA_DEBUG: '1' });
    expect(stderr).toMatch(/LacunaError: .*\n\s+at /);
  });
});

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

test('demo in a pipe: scene, continuation, numbers', () => {
  const { code, stdout, stderr } = lacuna(['demo']);
  expect(code).toBe(0);
  expect(stdout.split(/\n\n/).length).toBeGreaterThan(2);
  expect(stderr).toMatch(/tokens\/s/);
});

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

describe('bench cache', () => {
  test('every cache next to none', () => {
    const prompts = join(folder, 'prompts.txt');
    writeFileSync(prompts, 'ROMEO:\\nWhat light is this?\\n\\nJULIET:\\n\n\n');
    const args = ['bench', 'cache', '--prompts', prompts, '--tokens', '8', '--runs', '1'];
    const { code, stdout, stderr } = lacuna([...args, '--block-length', '4']);
    expect([stderr, code]).toEqual(['', 0]);
    expect(stdout).toMatch(/^cache +agree +equal +Δ log p +forwards +rows +ms/m);
    expect(stdout).toMatch(/^noCache\(\) +100\.0 % +100\.0 % +\+0\.000 +4 /m);
    // the first forward of each block is a full one, the second computes the block
    // of two tables; the rows of the first win
    const cells = stdout.split('\n').map((line) => line.split(/ {2,}/));
    const rows = new Map(cells.reverse().map(([name, , , , , count]) => [name, Number(count)]));
    expect(rows.get('dualCache()')).toBe(rows.get('noCache()')! / 2 + 2 * 4);
    expect(rows.get('dpad({ cache: dualCache() })')).toBeLessThanOrEqual(rows.get('dualCache()')!);
    expect(stdout).toMatch(
      /block-causal:4\n\n.*\nnoCache\(\) .*\nblockCausalCache\(\) +100\.0 % +100\.0 %/,
    );
  });

  test('--json, speed only', () => {
    const args = ['bench', 'cache', '--tokens', '4', '--runs', '1', '--no-quality', '--json'];
    const { stdout } = lacuna([...args, '--threads', '1']);
    const report = JSON.parse(stdout) as { caches: Record<string, unknown>[]; threads: number };
    expect(report).toMatchObject({ threads: 1, settings: { prompts: 4, tokens: 4, steps: 2 } });
    expect(report.caches[0]).toMatchObject({ cache: 'noCache()', forwards: 8 });
    expect(report.caches.every((cache) => !('quality' in cache))).toBe(true);
    expect(report.caches.at(-1)).toHaveProperty('reason');
  });

  test('a file without prompts is refused', () => {
    const empty = join(folder, 'empty.txt');
    writeFileSync(empty, '\n\n');
    const { code, stderr } = lacuna(['bench', 'cache', '--prompts', empty]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/--prompts: .*empty\.txt holds no prompt/);
  });
});

describe('bench', () => {
  const small = ['--rows', '16', '--threads', '1'];

  test('a synthetic model: table, and nothing left behind', () => {
    const TMPDIR = mkdtempSync(join(folder, 'tmp-'));
    const { code, stdout, stderr } = lacuna(['bench', '--synthetic', 'tiny', ...small], '', {
      TMPDIR,
    });
    expect(stderr).toBe('');
    expect(code).toBe(0);
    expect(stdout).toMatch(/^forward 16 rows: [\d.]+ ms$/m);
    expect(readdirSync(TMPDIR)).toEqual([]);
  });

  test('a file, with the peak, as JSON', () => {
    const { stdout } = lacuna(['bench', model, ...small, '--peak', '--json']);
    type Timing = Record<string, number>;
    const report = JSON.parse(stdout) as {
      forward: { rows: number; gops: number; timing: Timing };
      peak: { int8: number };
      generation: {
        forwards: number;
        milliseconds: number;
        tokensPerSecond: number;
        steps: { rows: number; count: number; milliseconds: number; timing: Timing }[];
        accounting: { verbs: number; leastOfAStep: number; outside: number };
      };
    };
    expect(report.forward.rows).toBe(16);
    expect(report.forward.gops).toBeGreaterThan(0);
    expect(report.peak.int8).toBeGreaterThan(0);
    expect(Object.keys(report.forward.timing)).toEqual([
      ...['embed', 'norm', 'linear', 'rope', 'attend', 'moe', 'head', 'commit'],
      'rest',
    ]);
    const { generation } = report;
    expect(generation.tokensPerSecond).toBeGreaterThan(0);
    // The first step of a block computes the whole canvas, the others the block.
    expect(generation.steps.map(({ rows }) => rows)).toEqual([96, 32]);
    expect(generation.steps.reduce((sum, { count }) => sum + count, 0)).toBe(generation.forwards);
    for (const { milliseconds, timing } of generation.steps) {
      const sum = Object.values(timing).reduce((a, b) => a + b, 0);
      expect(sum).toBeCloseTo(milliseconds, 6);
    }
    const { verbs, leastOfAStep, outside } = generation.accounting;
    const native = generation.steps.reduce((ms, step) => ms + step.count * step.milliseconds, 0);
    const rest = generation.steps.reduce((ms, step) => ms + step.count * step.timing.rest, 0);
    expect(verbs).toBeCloseTo(1 - rest / native, 9);
    expect(outside).toBeCloseTo(1 - native / generation.milliseconds, 9);
    expect(leastOfAStep).toBeLessThanOrEqual(verbs);
  });
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
    const options = { encoding: 'utf8' as const, env: { ...process.env, ...colours, ...env } };
    const { status, stdout, stderr } = spawnSync('script', inScript(args), options);
    return { code: status, stdout, stderr };
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
