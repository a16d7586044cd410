import { LacunaError } from '../errors.js';

/** @param path JSON pointer into the schema */
export function refuse(path: string, problem: string): never {
  throw new LacunaError('INVALID_ARGUMENT', `schema: ${path} ${problem}`);
}
