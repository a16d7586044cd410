import { describe, expect, it } from 'vitest';
import { LacunaError } from '../../lib/errors.js';
import * as validate from '../../lib/validate.js';

describe('LacunaError', () => {
  it('has a code, a name and a cause', () => {
    const cause = new Error('underneath');
    const error = new LacunaError('BAD_GGUF', 'model.gguf: truncated', { cause });
    expect(error).toBeInstanceOf(Error);
    expect(error.code).toBe('BAD_GGUF');
    expect(error.cause).toBe(cause);
    expect(String(error)).toBe('LacunaError: model.gguf: truncated');
  });

  it('is recognised across copies of the package', () => {
    const copy = Object.assign(new Error('busy'), { [Symbol.for('lacuna.error')]: true });
    expect(LacunaError.isInstance(new LacunaError('BUSY', 'busy'))).toBe(true);
    expect(LacunaError.isInstance(copy)).toBe(true);
    for (const other of [new Error('BUSY'), { code: 'BUSY' }, null, undefined, 'BUSY']) {
      expect(LacunaError.isInstance(other)).toBe(false);
    }
  });
});

describe('validate', () => {
  const message = (check: () => unknown): string => {
    try {
      check();
    } catch (error) {
      expect(LacunaError.isInstance(error) && error.code).toBe('INVALID_ARGUMENT');
      return (error as Error).message;
    }
    throw new Error('accepted');
  };

  it('returns what is right', () => {
    expect(validate.integer('n', 3, { min: 3, max: 3 })).toBe(3);
    expect(validate.number('t', 0.5, { min: 0 })).toBe(0.5);
    expect(validate.oneOf('device', 'cpu', ['cpu', 'ref'])).toBe('cpu');
    expect(validate.tokenIds('ids', new Uint8Array([1, 2]), 3)).toEqual(Int32Array.of(1, 2));
    expect(validate.object('options', undefined)).toEqual({});
    validate.knownKeys('options', undefined, []);
    validate.knownKeys('options', { a: 1 }, ['a']);
  });

  it('names the option, the value and what would be right', () => {
    expect(message(() => validate.integer('maxTokens', 0, { min: 1, max: 9 }))).toBe(
      'maxTokens must be an integer from 1 to 9, but is 0',
    );
    expect(message(() => validate.integer('n', 1.5))).toBe('n must be an integer, but is 1.5');
    expect(message(() => validate.integer('n', '1'))).toBe('n must be an integer, but is "1"');
    expect(message(() => validate.integer('n', 1n))).toBe('n must be an integer, but is 1n');
    expect(message(() => validate.number('t', NaN, { min: 0 }))).toBe(
      't must be a number of at least 0, but is NaN',
    );
    expect(message(() => validate.number('t', Infinity))).toBe(
      't must be a number, but is Infinity',
    );
    expect(message(() => validate.number('t', 2, { max: 1 }))).toBe(
      't must be a number of at most 1, but is 2',
    );
    expect(message(() => validate.oneOf('device', 'gpu', ['cpu', 'ref']))).toBe(
      'device must be one of "cpu", "ref", but is "gpu"',
    );
    expect(message(() => validate.boolean('on', 1))).toBe('on must be true or false, but is 1');
    expect(message(() => validate.string('s', [1]))).toBe(
      's must be a string, but is an array of length 1',
    );
    expect(message(() => validate.object('o', null))).toBe('o must be an object, but is null');
    expect(message(() => validate.tokenIds('ids', [1, 3], 3))).toBe(
      'ids[1] must be an integer from 0 to 2, but is 3',
    );
    expect(message(() => validate.tokenIds('ids', 'abc', 3))).toContain('an array of token ids');
    expect(message(() => validate.tokenIds('ids', [0, , 1], 3))).toContain('ids[1]'); // eslint-disable-line no-sparse-arrays
  });

  it('refuses misspelt options and lists the right ones', () => {
    const check = () =>
      validate.knownKeys('generate options', { maxToken: 1 }, ['maxTokens', 'seed']);
    expect(message(check)).toBe(
      'generate options: unknown option "maxToken"; the options are maxTokens, seed',
    );
  });
});
