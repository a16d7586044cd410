/** JSON of which nothing is known but that it is an object. */
import type { CompileOptions } from './compile.js';
import { compile } from './compile.js';
import type { Node } from './types.js';

const charactersOfKey = 24;

/** `depth` levels of objects and arrays below the outermost object. */
export function anyObject(options: CompileOptions): Node {
  const scalar = compile({ type: ['string', 'number', 'boolean', 'null'] }, options);
  const record = (value: Node): Node => {
    return { kind: 'record', max: options.maxItems, key: charactersOfKey, value };
  };
  const array = (rest: Node): Node => {
    return { kind: 'array', min: 0, max: options.maxItems, first: [], rest };
  };
  let value = scalar;
  for (let level = 0; level < options.depth; level++) {
    value = { kind: 'union', branches: [scalar, array(value), record(value)] };
  }
  return record(value);
}
