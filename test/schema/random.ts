/** Random JSON Schemas by seed, of everything that typed output supports. */
import type { Random } from '../../lib/gguf/random.js';

type Schema = Record<string, unknown>;

const keys = [
  'name',
  'größe',
  '名前',
  'a b',
  '"q"',
  'back\\slash',
  '🙂',
  '',
  'x/y~z',
  'tab\t',
  'constructor',
];
const patterns = [
  '^[A-Z]{2}-\\d{3}$',
  '^(ja|nein)$',
  '[0-9a-f]{4}',
  '^\\w+@\\w+\\.de$',
  '^a?b*c+$|^x$',
];
const formats = [
  'date',
  'time',
  'date-time',
  'uuid',
  'ipv4',
  'email',
  'hostname',
  'uri',
  'duration',
];

export class SchemaSource {
  readonly #random: Random;
  constructor(random: Random) {
    this.#random = random;
  }

  /** 0 … n − 1 */
  below(n: number): number {
    return this.#random.bits() % n;
  }

  #pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)];
  }

  schema(depth: number): Schema {
    const kinds = [
      'string',
      'text',
      'number',
      'integer',
      'boolean',
      'enum',
      'const',
      'null',
    ] as const;
    const nested = [
      'object',
      'object',
      'array',
      'tuple',
      'anyOf',
      'oneOf',
      'types',
      'ref',
    ] as const;
    const kind = this.#pick(depth > 0 && this.below(3) > 0 ? nested : kinds);
    switch (kind) {
      case 'string':
        return this.#plainString();
      case 'text':
        return this.below(3) === 0
          ? { type: 'string', format: this.#pick(formats) }
          : { type: 'string', pattern: this.#pick(patterns) };
      case 'number':
      case 'integer':
        return this.#number(kind);
      case 'boolean':
      case 'null':
        return { type: kind, description: 'x' };
      case 'enum':
        return { enum: [this.#value(), this.#value(), this.#value()] };
      case 'const':
        return { const: this.#value() };
      case 'object':
        return this.#object(depth);
      case 'array':
        return this.#array(depth);
      case 'tuple': {
        const prefixItems = [this.schema(depth - 1), this.schema(0)];
        return { type: 'array', prefixItems, items: false, minItems: this.below(3) };
      }
      case 'anyOf':
        return { anyOf: [this.schema(depth - 1), this.schema(0), { type: 'null' }] };
      case 'oneOf': {
        const branch = (kind: string): Schema => ({
          type: 'object',
          properties: { kind: { const: kind }, held: this.schema(depth - 1) },
          required: ['kind', 'held'],
        });
        return { oneOf: [branch('a'), branch('b'), { type: 'string', maxLength: 2 }] };
      }
      case 'types':
        return { type: ['integer', 'null', 'string'], minimum: 3, maximum: 40, maxLength: 3 };
      case 'ref':
        return { $ref: this.#pick(['#/$defs/tree', '#/$defs/leaf', '#/$defs/list']) };
    }
  }

  /** With definitions, some of them recursive. */
  root(depth: number): Schema {
    const root = this.#object(depth);
    const $defs = {
      leaf: this.schema(0),
      tree: {
        type: 'object',
        properties: { value: this.schema(0), left: { $ref: '#/$defs/tree' } },
        required: ['value'],
      },
      list: { type: 'array', items: { $ref: '#/$defs/list' }, maxItems: 2 },
    };
    return { $schema: 'https://json-schema.org/draft/2020-12/schema', ...root, $defs };
  }

  #plainString(): Schema {
    const min = this.below(4);
    const bounds = [
      {},
      { minLength: min },
      { maxLength: min },
      { minLength: min, maxLength: min + 2 },
    ];
    return { type: 'string', ...this.#pick(bounds) };
  }

  #number(type: 'number' | 'integer'): Schema {
    const low = this.below(2000) - 1000;
    const schema: Schema = { type };
    if (this.below(2) === 0) schema[this.#pick(['minimum', 'exclusiveMinimum'])] = low / 4;
    if (this.below(2) === 0) schema[this.#pick(['maximum', 'exclusiveMaximum'])] = low / 4 + 40;
    if (this.below(3) === 0)
      schema.multipleOf = this.#pick(type === 'integer' ? [2, 7] : [0.25, 0.01, 3]);
    return schema;
  }

  #object(depth: number): Schema {
    const properties: Schema = Object.create(null) as Schema;
    for (let n = this.below(4); n >= 0; n--) properties[this.#pick(keys)] = this.schema(depth - 1);
    const required = Object.keys(properties).filter(() => this.below(2) === 0);
    const closed = this.below(2) === 0 && { additionalProperties: false };
    return { type: 'object', properties, required, ...closed };
  }

  #array(depth: number): Schema {
    const min = this.below(3);
    const bounds = this.#pick([
      {},
      { minItems: min },
      { maxItems: min },
      { minItems: min, maxItems: min + 1 },
    ]);
    return { type: 'array', items: this.schema(depth - 1), ...bounds };
  }

  #value(): unknown {
    const n = this.below(30);
    return this.#pick<unknown>([
      n,
      -n / 8,
      `v${n}`,
      'ü "quoted"',
      true,
      null,
      [n],
      { k: n, 名: 'x' },
    ]);
  }
}
