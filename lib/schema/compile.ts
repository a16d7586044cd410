/** From a JSON Schema to what is to be written. What it cannot promise to fulfil, it refuses. */
import { Validator } from '@cfworker/json-schema';
import { refuseOverlap } from './disjoint.js';
import { formatLanguage, formats } from './formats.js';
import { languageOf, PatternError } from './language.js';
import { jsonText } from './json.js';
import { refuse } from './refuse.js';
import { decimal, isEmpty, type NumberRange } from './number.js';
import { both, languageGuide, matchesAll, shortest } from './strings.js';
import type { JsonSchema, Member, Node } from './types.js';

export interface CompileOptions {
  maxStringTokens: number;
  maxItems: number;
  depth: number;
  /** Most parts of the schema, each as often as it is referred to. Default 100,000. */
  nodes?: number;
  /** Most schemas inside of each other. Default: no limit. */
  levels?: number;
}

type Keywords = { readonly [keyword: string]: unknown };
type Type = 'null' | 'boolean' | 'number' | 'integer' | 'string' | 'array' | 'object';

/** Keywords by the type they are about; they say nothing of other types. */
const byType: Readonly<Record<Type, readonly string[]>> = {
  null: [],
  boolean: [],
  number: ['minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum', 'multipleOf'],
  integer: [],
  string: ['minLength', 'maxLength', 'pattern', 'format'],
  array: ['items', 'prefixItems', 'minItems', 'maxItems'],
  object: ['properties', 'required', 'additionalProperties'],
};
const types = Object.keys(byType) as Type[];
/** They say nothing about values. */
const remarks = [
  ...['$schema', '$id', '$comment', '$defs', 'definitions', 'title', 'description', 'default'],
  ...['examples', 'deprecated', 'readOnly', 'writeOnly'],
];
const known = ['type', 'enum', 'const', '$ref', 'anyOf', 'oneOf', ...Object.values(byType).flat()];

/** Digits of a number whose schema does not ask for more, before and behind the point. */
const wholeDigits = 9;
const places = 4;
/** States of a pattern's automaton, times characters. */
const mostGuide = 4_000_000;
/** Characters a token is taken to have, for strings by pattern. */
const charactersPerToken = 4;

export function compile(schema: JsonSchema, options: CompileOptions): Node {
  const node = new Compiler(schema, options).node(schema, '#', []);
  if (node !== undefined) return node;
  return refuse('#', `is inside of itself more than ${options.depth} times wherever it may end`);
}

const isObject = (value: unknown): value is Keywords =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

class Compiler {
  readonly #root: JsonSchema;
  readonly #options: CompileOptions;
  /** Plans of schemas that other values fit, too: without a type, or cut at the depth of recursion. */
  readonly #loose = new Set<Node>();
  #nodes = 0;
  #level = 0;

  constructor(root: JsonSchema, options: CompileOptions) {
    this.#root = root;
    this.#options = options;
  }

  /** @returns `undefined`: beyond the depth of recursion */
  node(schema: unknown, path: string, refs: readonly string[]): Node | undefined {
    const { levels = Infinity } = this.#options;
    this.#count(1, path);
    if (++this.#level > levels) refuse(path, `is nested deeper than ${levels} schemas`);
    const node = this.#node(schema, path, refs);
    this.#level--;
    return node;
  }

  #count(parts: number, path: string): void {
    const { nodes = 100_000 } = this.#options;
    this.#nodes += parts;
    if (this.#nodes > nodes) refuse(path, `is part of a schema with more than ${nodes} parts`);
  }

  #node(schema: unknown, path: string, refs: readonly string[]): Node | undefined {
    if (schema === true) return this.node({}, path, refs);
    if (schema === false) refuse(path, 'is false: no value fits');
    if (!isObject(schema)) return refuse(path, 'must be an object, true or false');
    for (const keyword of Object.keys(schema)) {
      if (schema[keyword] === undefined || remarks.includes(keyword)) continue;
      if (!known.includes(keyword))
        refuse(path, `has the keyword "${keyword}", which is not supported`);
    }
    if (schema.$ref !== undefined) return this.#reference(schema, path, refs);
    if (schema.const !== undefined || schema.enum !== undefined) return this.#values(schema, path);
    const keyword = schema.anyOf !== undefined ? 'anyOf' : 'oneOf';
    if (schema[keyword] !== undefined) return this.#branches(schema, keyword, path, refs);
    return this.#typed(schema, path, refs);
  }

  /** Only remarks, and those keywords, may stand beside. */
  #alone(schema: Keywords, keywords: readonly string[], path: string): void {
    const other = Object.keys(schema).find(
      (key) => !keywords.includes(key) && !remarks.includes(key) && schema[key] !== undefined,
    );
    if (other !== undefined)
      refuse(path, `has "${other}" beside "${keywords[0]}", which is not supported`);
  }

  #reference(schema: Keywords, path: string, refs: readonly string[]): Node | undefined {
    this.#alone(schema, ['$ref'], path);
    const ref = String(schema.$ref);
    if (!/^#(\/|$)/.test(ref))
      refuse(path, `has the $ref "${ref}"; only those like "#/$defs/name" are supported`);
    if (refs.filter((outer) => outer === ref).length > this.#options.depth) return undefined;
    let target: unknown = this.#root;
    for (const part of ref.split('/').slice(1)) {
      const key = decodeURIComponent(part).replaceAll('~1', '/').replaceAll('~0', '~');
      const inside = typeof target === 'object' && target !== null && Object.hasOwn(target, key);
      target = inside
        ? (target as Keywords)[key]
        : refuse(path, `has the $ref "${ref}", which leads nowhere`);
    }
    const last = refs.at(-1);
    if (last === ref && isObject(target) && target.$ref === ref)
      refuse(path, `has a $ref to itself`);
    return this.node(target, ref, [...refs, ref]);
  }

  #values(schema: Keywords, path: string): Node {
    for (const keyword of ['anyOf', 'oneOf']) {
      if (schema[keyword] !== undefined)
        refuse(path, `has "${keyword}" beside "enum" or "const", which is not supported`);
    }
    const listed = schema.enum ?? [schema.const];
    if (!Array.isArray(listed)) return refuse(`${path}/enum`, 'must be an array');
    this.#count(listed.length, path);
    const fits = this.#fits(schema, path);
    const fitting = listed.filter(fits);
    const texts = [...new Set(fitting.map((value) => jsonText(value)))];
    return texts.length > 0 ? { kind: 'choice', texts } : refuse(path, 'leaves no value to choose');
  }

  /** Patterns are matched without backtracking; deeper down, where nobody has them, not at all. */
  #fits(schema: Keywords, path: string): (value: unknown) => boolean {
    const { pattern: _, ...others } = schema;
    const inner = ['properties', 'items', 'prefixItems'].find((key) => hasPattern(others[key]));
    if (inner !== undefined) {
      refuse(
        path,
        `has a "pattern" in "${inner}" beside "enum" or "const", which is not supported`,
      );
    }
    const validator = new Validator(others, '2020-12');
    const pattern = text(schema, 'pattern', path);
    const language = pattern === undefined ? undefined : this.#language(pattern, path);
    return (value) => {
      const matches = typeof value !== 'string' || !language || matchesAll(language, value);
      return matches && validator.validate(value).valid;
    };
  }

  #branches(
    schema: Keywords,
    keyword: 'anyOf' | 'oneOf',
    path: string,
    refs: readonly string[],
  ): Node | undefined {
    this.#alone(schema, [keyword, 'type'], path);
    const list = schema[keyword];
    if (!Array.isArray(list) || list.length === 0)
      return refuse(`${path}/${keyword}`, 'must be an array with an entry');
    const branches = list.map((branch: unknown, i) => {
      const at = `${path}/${keyword}/${i}`;
      if (schema.type === undefined) return this.node(branch, at, refs);
      if (!isObject(branch) || (branch.type !== undefined && branch.type !== schema.type)) {
        return refuse(at, 'must have the type that stands beside it');
      }
      return this.node({ type: schema.type, ...branch }, at, refs);
    });
    if (keyword === 'oneOf') refuseOverlap(branches, path, this.#loose);
    return this.#union(branches);
  }

  #typed(schema: Keywords, path: string, refs: readonly string[]): Node | undefined {
    const given = schema.type ?? this.#implied(schema);
    const list: unknown[] = Array.isArray(given) ? given : [given];
    const wrong = list.find((type) => !types.includes(type as Type));
    if (list.length === 0 || wrong !== undefined)
      refuse(path, `has the type ${JSON.stringify(wrong)}; types are ${types.join(', ')}`);
    const node = this.#union(
      (list as Type[]).map((type) => this.#ofType(type, schema, path, refs)),
    );
    if (node !== undefined && schema.type === undefined) this.#loose.add(node);
    return node;
  }

  #union(branches: readonly (Node | undefined)[]): Node | undefined {
    const node = union(branches);
    if (node !== undefined && branches.includes(undefined)) this.#loose.add(node);
    return node;
  }

  /** Any value fits a schema without a type; one of the types that its keywords are about is meant. */
  #implied(schema: Keywords): Type[] {
    const meant = types.filter((type) =>
      byType[type].some((keyword) => schema[keyword] !== undefined),
    );
    return meant.length > 0 ? meant : ['string', 'number', 'boolean', 'null'];
  }

  #ofType(type: Type, schema: Keywords, path: string, refs: readonly string[]): Node | undefined {
    switch (type) {
      case 'null':
        return { kind: 'choice', texts: ['null'] };
      case 'boolean':
        return { kind: 'choice', texts: ['true', 'false'] };
      case 'number':
      case 'integer':
        return this.#number(type, schema, path);
      case 'string':
        return this.#string(schema, path);
      case 'array':
        return this.#array(schema, path, refs);
      case 'object':
        return this.#object(schema, path, refs);
    }
  }

  #number(type: 'number' | 'integer', schema: Keywords, path: string): Node {
    const bound = (keyword: string) => {
      const value = schema[keyword];
      if (value === undefined) return undefined;
      return Number.isFinite(value)
        ? decimal(value as number)
        : refuse(`${path}/${keyword}`, 'must be a number');
    };
    const named = ['minimum', 'exclusiveMinimum', 'maximum', 'exclusiveMaximum', 'multipleOf'];
    const [low, above, high, below, multiple] = named.map(bound);
    const fractions = [low, above, high, below, multiple].map((value) => value?.places ?? 0);
    const scale = type === 'integer' ? Math.max(0, ...fractions) : Math.max(places, ...fractions);
    const exact = (value: { n: bigint; places: number }) =>
      value.n * 10n ** BigInt(scale - value.places);
    const least = [low && exact(low), above && exact(above) + 1n].filter((n) => n !== undefined);
    const most = [high && exact(high), below && exact(below) - 1n].filter((n) => n !== undefined);
    const unit = type === 'integer' ? 10n ** BigInt(scale) : 1n;
    const step = multiple === undefined ? unit : common(exact(multiple), unit);
    if (step <= 0n) refuse(`${path}/multipleOf`, 'must be above 0');
    const usual = 10n ** BigInt(scale + wholeDigits) - 1n;
    const range: NumberRange = {
      ...{ places: scale, step },
      least: least.length > 0 ? least.reduce((a, b) => (a > b ? a : b)) : -usual,
      most: most.length > 0 ? most.reduce((a, b) => (a < b ? a : b)) : usual,
    };
    if (least.length === 0 && range.most < -usual) range.least = range.most * 10n;
    if (most.length === 0 && range.least > usual) range.most = range.least * 10n;
    const near = {
      ...range,
      least: range.least < -usual ? -usual : range.least,
      most: range.most > usual ? usual : range.most,
    };
    if (!isEmpty(near)) return { kind: 'number', range: near };
    return isEmpty(range) ? refuse(path, 'leaves no number') : { kind: 'number', range };
  }

  #string(schema: Keywords, path: string): Node {
    const { maxStringTokens } = this.#options;
    const min = count(schema, 'minLength', path) ?? 0;
    const characters = maxStringTokens * charactersPerToken;
    const most = count(schema, 'maxLength', path) ?? Infinity;
    if (most < min) refuse(path, 'has a maxLength below its minLength');
    const format = text(schema, 'format', path);
    if (format !== undefined && !Object.hasOwn(formats, format)) {
      refuse(path, `has the format "${format}"; supported are ${Object.keys(formats).join(', ')}`);
    }
    const pattern = text(schema, 'pattern', path);
    if (pattern === undefined && format === undefined) {
      return { kind: 'string', min, max: Math.min(most, Math.max(min, characters)) };
    }
    const languages = [
      ...(pattern === undefined ? [] : [this.#language(pattern, path)]),
      ...(format === undefined ? [] : [formatLanguage(format)]),
    ];
    const language = languages.reduce(both);
    if (shortest(language) === Infinity)
      refuse(path, 'has a pattern that no text of its format fits');
    const max = Math.min(most, Math.max(min, characters, 2 * shortest(language)));
    if (max * language.accepts.length > mostGuide) {
      refuse(path, `has a pattern too large for texts of ${max} characters`);
    }
    if (languageGuide(language, min, max) === undefined) {
      refuse(
        path,
        `has a pattern that no text of ${min} to ${max} characters fits without escapes`,
      );
    }
    return { kind: 'string', min, max, language };
  }

  #language(pattern: string, path: string) {
    try {
      const language = languageOf(pattern);
      if (shortest(language) < Infinity) return language;
    } catch (error) {
      if (error instanceof PatternError)
        refuse(`${path}/pattern`, `${error.message}, which is not supported`);
      throw error;
    }
    return refuse(`${path}/pattern`, 'fits no text without escapes');
  }

  #array(schema: Keywords, path: string, refs: readonly string[]): Node | undefined {
    const min = count(schema, 'minItems', path) ?? 0;
    const given = schema.prefixItems ?? [];
    if (!Array.isArray(given)) return refuse(`${path}/prefixItems`, 'must be an array');
    const first: Node[] = [];
    for (const [i, item] of given.entries()) {
      const node = this.node(item, `${path}/prefixItems/${i}`, refs);
      if (node === undefined) break;
      first.push(node);
    }
    const closed = schema.items === false || first.length < given.length;
    const rest = closed ? undefined : this.node(schema.items ?? {}, `${path}/items`, refs);
    const most = Math.min(
      count(schema, 'maxItems', path) ?? Infinity,
      rest === undefined ? first.length : Infinity,
    );
    if (most >= min) {
      const max = Math.min(most, Math.max(min, first.length, this.#options.maxItems));
      return { kind: 'array', min, max, first, rest };
    }
    const deep = rest === undefined && schema.items !== false;
    return deep ? undefined : refuse(path, 'has fewer items at most than at least');
  }

  #object(schema: Keywords, path: string, refs: readonly string[]): Node | undefined {
    const properties = schema.properties ?? {};
    if (!isObject(properties)) return refuse(`${path}/properties`, 'must be an object');
    const required: unknown = schema.required ?? [];
    if (!Array.isArray(required)) return refuse(`${path}/required`, 'must be an array');
    const names = Object.keys(properties);
    if (names.length === 0 && isObject(schema.additionalProperties)) {
      refuse(path, 'has "additionalProperties" without "properties"; free keys are not supported');
    }
    const missing = required.map(String).find((name) => !names.includes(name));
    if (missing !== undefined)
      refuse(path, `requires "${missing}", which is not in its properties`);
    const members: Member[] = [];
    for (const key of names) {
      const node = this.node(properties[key], `${path}/properties/${key}`, refs);
      if (node !== undefined) members.push({ key, required: required.includes(key), node });
      else if (required.includes(key)) return undefined;
    }
    return { kind: 'object', members };
  }
}

function union(branches: readonly (Node | undefined)[]): Node | undefined {
  const open = branches.filter((branch) => branch !== undefined);
  const fixed = open.filter((branch) => branch.kind === 'choice');
  // Values side by side are one decision, not two.
  const texts = [...new Set(fixed.flatMap((branch) => branch.texts))];
  const others = open.filter((branch) => branch.kind !== 'choice');
  const all: Node[] = texts.length > 0 ? [...others, { kind: 'choice', texts }] : others;
  if (all.length <= 1) return all.at(0);
  return { kind: 'union', branches: all };
}

function count(schema: Keywords, keyword: string, path: string): number | undefined {
  const value = schema[keyword];
  if (value === undefined || (Number.isSafeInteger(value) && (value as number) >= 0)) {
    return value as number | undefined;
  }
  return refuse(`${path}/${keyword}`, 'must be an integer of at least 0');
}

function text(schema: Keywords, keyword: string, path: string): string | undefined {
  const value = schema[keyword];
  if (value === undefined || typeof value === 'string') return value;
  return refuse(`${path}/${keyword}`, 'must be a string');
}

function hasPattern(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return 'pattern' in value || Object.values(value).some(hasPattern);
}

/** Least common multiple. */
function common(a: bigint, b: bigint): bigint {
  let [x, y] = [a, b];
  while (y > 0n) [x, y] = [y, x % y];
  return x > 0n ? (a / x) * b : 0n;
}
