import { integer, integers, invalid, knownKeys, list, number, string } from '../validate.js';
import type { Hole, HoleOptions, Segment, Stop } from './types.js';

const optionNames = [
  'min',
  'max',
  'initial',
  'expand',
  'low',
  'stop',
  'allow',
  'suppress',
  'choices',
];

/**
 * A gap in a template, of `min` to `max` tokens. It ends at the first end of text or turn or `stop`
 * from its `min`-th token on: what is behind that goes, and the text after the hole moves up. With
 * `initial` below `max` it can also become longer: the mask that the model is least sure of makes
 * room for `expand` masks, and a full hole that waits for its `stop` gets as many more.
 *
 * Throws `INVALID_ARGUMENT`.
 * Source: slots that are ended by a null token: Self-adaptive Schema Scaffolding (arXiv 2507.04504),
 * whose code leaves the null tokens in; room where the model is unsure: DAEDAL (arXiv 2508.00819).
 */
export function hole(options: HoleOptions = {}): Hole {
  const name = 'hole()';
  knownKeys(name, options, optionNames);
  if (options.choices !== undefined) return choiceOf(name, options);
  const min = integer(`${name}: min`, options.min ?? 1, { min: 0 });
  const max = integer(`${name}: max`, options.max ?? Math.max(32, min), { min: Math.max(1, min) });
  const bounds = { min: Math.max(1, min), max };
  const allow = options.allow && integers(`${name}: allow`, options.allow, { min: 0 });
  if (allow?.length === 0) invalid(`${name}: allow`, allow, 'left out, or hold a token');
  return {
    kind: 'hole',
    min,
    max,
    initial: integer(`${name}: initial`, options.initial ?? max, bounds),
    expand: integer(`${name}: expand`, options.expand ?? 8, { min: 1 }),
    low: number(`${name}: low`, options.low ?? 0.1, { min: 0, max: 1 }),
    stop: stops(`${name}: stop`, options.stop),
    allow,
    suppress: integers(`${name}: suppress`, options.suppress ?? [], { min: 0 }),
    choices: [],
  };
}

function choiceOf(name: string, { choices, ...others }: HoleOptions): Hole {
  const texts = list(`${name}: choices`, choices).map((text) => string(`${name}: choices`, text));
  if (texts.length === 0 || texts.includes('')) {
    invalid(`${name}: choices`, choices, 'texts that are not empty, one at least');
  }
  const given = Object.entries(others).find(([, value]) => value !== undefined);
  if (given) invalid(`${name}: ${given[0]}`, given[1], 'left out with choices');
  // A token has a byte at least; how many it really takes only a tokenizer knows.
  const max = Math.max(...texts.map((text) => Buffer.byteLength(text)));
  return { ...hole({ max, initial: 1 }), choices: texts };
}

export function isHole(segment: unknown): segment is Hole {
  return (
    typeof segment === 'object' && segment !== null && 'kind' in segment && segment.kind === 'hole'
  );
}

function stops(name: string, value: HoleOptions['stop']): Stop[] {
  const given = Array.isArray(value) ? (value as readonly Stop[]) : [value as Stop];
  const list = value === undefined ? [] : given;
  return list.map((stop) => {
    if (typeof stop === 'number') return integer(name, stop, { min: 0 });
    if (typeof stop === 'function' || (typeof stop === 'string' && stop !== '')) return stop;
    return invalid(name, stop, 'a text that is not empty, a token id, or a function');
  });
}

/** The parts of a tagged template: texts, and in between holes, or values that are text, too. */
export function segmentsOf(strings: TemplateStringsArray, values: readonly unknown[]): Segment[] {
  return strings.flatMap((text, i): Segment[] => {
    if (text === undefined) invalid(`infill: part ${i}`, text, 'free of invalid escapes');
    if (i === values.length) return [text];
    const value = values[i];
    if (isHole(value)) return [text, value];
    const plain = typeof value === 'string' || typeof value === 'number';
    return [
      text,
      plain ? String(value) : invalid(`infill: value ${i}`, value, 'a hole() or a text'),
    ];
  });
}
