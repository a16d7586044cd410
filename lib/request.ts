/** From the step that a caller asks for to the plain lists that native code takes. */
import { LacunaError } from './errors.js';
import type { NativeCommit, NativeStep } from './native.js';
import { refuseEmptyChoice, resolveLimits, tokenSet } from './token-sets.js';
import type { CommitRule, Credit, Range, Sampling, SoftMask, StepRequest } from './types.js';
import {
  boolean,
  integer,
  integers,
  invalid,
  knownKeys,
  list,
  number,
  object,
  oneOf,
  positions,
  tokenIds,
} from './validate.js';

/** What a request is checked against and completed from. */
export interface StepContext {
  vocabulary: number;
  mask: number;
  logitShift: number;
  /** Positions of the canvas. */
  length: number;
  /** (length) tokens; a copy, made only for requests without a query. */
  canvas: () => Int32Array;
  /** Steps made so far. */
  steps: number;
}

/** A step without the sessions. */
export type ResolvedStep = Omit<NativeStep, 'session' | 'unconditional' | 'guidance'>;

const largestWord = 2 ** 32 - 1;

const requestKeys = [
  'rows',
  'visible',
  'query',
  'shadow',
  'sampling',
  'guidance',
  'softMask',
  'credit',
  'suppress',
  'allow',
  'limits',
  'unscored',
  'allowMask',
  'probe',
  'topK',
  'kl',
  'logits',
  'commit',
];

/** Checks everything but `guidance`, fills in the defaults, sorts. Throws `INVALID_ARGUMENT`. */
export function resolveStep(request: StepRequest, context: StepContext): ResolvedStep {
  knownKeys('step request', request, requestKeys);
  const { vocabulary, mask, length } = context;
  const rows = resolveRows(request.rows, length);
  const sampling = resolveSampling(request.sampling, context);
  const suppress = tokenSet('suppress', request.suppress, vocabulary);
  const allow = tokenSet('allow', request.allow, vocabulary);
  const unscored = tokenSet('unscored', request.unscored, vocabulary);
  const allowMask = boolean('allowMask', request.allowMask ?? false);
  const unchosen = Int32Array.from(allowMask ? [] : [mask]);
  if (request.allow?.length === 0) invalid('allow', [], 'left out, or hold a token');
  const sets = { allow, suppress, unchosen, unscored };
  refuseEmptyChoice('', vocabulary, sets);
  const queried = resolveQuery(request.query, rows, context);
  const shadow = positions('shadow', request.shadow ?? [], length);
  const explicit = request.query !== undefined && !isRange(request.query);
  const reported = explicit ? [...queried.query, ...shadow] : undefined;
  return {
    rows,
    visible: resolveVisible(request.visible, length),
    ...queried,
    shadow,
    soft: request.softMask === undefined ? null : resolveSoft(request.softMask, context),
    credit: request.credit === undefined ? null : resolveCredit(request.credit, context),
    ...sampling,
    suppress,
    allow,
    limits: resolveLimits(request.limits ?? [], sets, reported, context),
    unchosen,
    unscored,
    probe: tokenSet('probe', request.probe, vocabulary),
    list: integer('topK', request.topK ?? 0, { min: 0, max: vocabulary }),
    kl: boolean('kl', request.kl ?? false),
    logits: boolean('logits', request.logits ?? false),
    commit: request.commit === undefined ? null : resolveCommit(request.commit, sampling, length),
  };
}

// ---- Positions ---------------------------------------------------------------------------------

function upTo(start: number, end: number): Int32Array {
  const positions = new Int32Array(end - start);
  for (let i = 0; i < positions.length; i++) positions[i] = start + i;
  return positions;
}

/** `start` ≤ `end` within the canvas. */
function range(name: string, value: Range, length: number): Range {
  knownKeys(name, value, ['start', 'end']);
  const start = integer(`${name}.start`, value.start, { min: 0, max: length });
  return { start, end: integer(`${name}.end`, value.end, { min: start, max: length }) };
}

function isRange(value: unknown): value is Range {
  return typeof value === 'object' && value !== null && 'start' in value;
}

function resolveRows(rows: StepRequest['rows'], length: number): Int32Array {
  if (rows === undefined) return upTo(0, length);
  if (typeof rows !== 'object' || rows === null) {
    return invalid('rows', rows, '{ start, end } or an array of positions');
  }
  if (!isRange(rows)) return positions('rows', rows, length);
  const { start, end } = range('rows', rows, length);
  return upTo(start, end);
}

function resolveVisible(visible: StepRequest['visible'], length: number): Int32Array {
  if (visible === undefined) return upTo(0, length);
  if (typeof visible !== 'number') return positions('visible', visible, length);
  return upTo(0, integer('visible', visible, { min: 0, max: length }));
}

function resolveQuery(
  query: StepRequest['query'],
  rows: Int32Array,
  { length, canvas, mask, logitShift }: StepContext,
): Pick<NativeStep, 'query' | 'maskedFrom' | 'maskedTo'> {
  const list = { maskedFrom: -1, maskedTo: -1 };
  if (isRange(query)) {
    const { start, end } = range('query', query, length);
    return { query: new Int32Array(), maskedFrom: start, maskedTo: end };
  }
  const computed = new Uint8Array(length);
  for (const row of rows) computed[row] = 1;
  const source = (position: number) => Math.max(position - logitShift, 0);
  if (query === undefined) {
    const tokens = canvas();
    const masked = rows.filter((p) => tokens[p] === mask && computed[source(p)] === 1);
    return { query: masked, ...list };
  }
  const asked = positions('query', query, length);
  const lost = asked.find((position) => computed[source(position)] === 0);
  if (lost === undefined) return { query: asked, ...list };
  throw new LacunaError(
    'INVALID_ARGUMENT',
    `query holds position ${lost}, which is predicted from row ${source(lost)}; add that row to rows`,
  );
}

function resolveSampling(value: Sampling | undefined, { vocabulary, steps }: StepContext) {
  const names = ['temperature', 'topK', 'topP', 'statistics', 'seed', 'step'];
  knownKeys('sampling', value, names);
  const { temperature = 0, topK, topP = 1, statistics = 'model', seed = 0 } = value ?? {};
  const kept = topK === undefined ? 0 : integer('sampling.topK', topK, { min: 1 });
  const nucleus = number('sampling.topP', topP, { min: 0, max: 1 });
  if (nucleus === 0) invalid('sampling.topP', topP, 'above 0');
  return {
    temperature: number('sampling.temperature', temperature, { min: 0, max: 1e30 }),
    topK: Math.min(kept, vocabulary),
    topP: nucleus,
    tempered: oneOf('sampling.statistics', statistics, ['model', 'sampled']) === 'sampled',
    seed: integer('sampling.seed', seed, { min: 0 }),
    step: integer('sampling.step', value?.step ?? steps, { min: 0, max: largestWord }),
  };
}

// ---- Lists with payload ------------------------------------------------------------------------

function floats(
  name: string,
  value: unknown,
  count: number,
  bounds: { min?: number; max?: number },
) {
  const values = list(name, value);
  if (values.length !== count) invalid(name, value, `an array of length ${count}`);
  return Float32Array.from(values, (x, i) => number(`${name}[${i}]`, x, bounds));
}

const largestFloat = 3.4e38; // numbers beyond it have no 32-bit float

function resolveSoft(value: SoftMask, { vocabulary, length }: StepContext): NativeStep['soft'] {
  knownKeys('softMask', object('softMask', value), ['position', 'alpha', 'token', 'weight']);
  const given = list('softMask.position', value.position);
  const position = positions('softMask.position', given, length);
  const n = position.length;
  const alpha = floats('softMask.alpha', value.alpha, n, { min: 0, max: 1 });
  const token = tokenIds('softMask.token', value.token, vocabulary);
  const k = n === 0 ? 0 : token.length / n;
  if (!Number.isInteger(k) || (n === 0 && token.length > 0)) {
    invalid('softMask.token', token, `a multiple of ${n} tokens: k for each position`);
  }
  const weight = floats('softMask.weight', value.weight, n * k, { min: 0, max: largestFloat });
  // The payload goes where the sort has put its position.
  const order = Array.from({ length: n }, (_, i) => i).sort(
    (a, b) => (given[a] as number) - (given[b] as number),
  );
  const cells = order.flatMap((from) => Array.from({ length: k }, (_, j) => from * k + j));
  return {
    position,
    alpha: Float32Array.from(order, (from) => alpha[from]),
    token: Int32Array.from(cells, (from) => token[from]),
    weight: Float32Array.from(cells, (from) => weight[from]),
  };
}

function resolveCredit(value: Credit, { vocabulary, length }: StepContext): NativeStep['credit'] {
  knownKeys('credit', object('credit', value), ['position', 'token', 'value']);
  const position = integers('credit.position', value.position, { min: 0, max: length - 1 });
  const token = tokenIds('credit.token', value.token, vocabulary);
  if (token.length !== position.length) {
    invalid('credit.token', value.token, `an array of length ${position.length}`);
  }
  const bounds = { min: -largestFloat, max: largestFloat };
  const added = floats('credit.value', value.value, position.length, bounds);
  const seen = new Set(position.map((p, i) => p * vocabulary + token[i]));
  if (seen.size < position.length) {
    invalid('credit', value, 'free of repeats: one value for each position and token');
  }
  return { position, token, value: added };
}

// ---- Commit rule -------------------------------------------------------------------------------

const selectKeys = {
  topK: ['kind', 'k'],
  threshold: ['kind', 'tau', 'strict', 'min'],
  factor: ['kind', 'factor', 'literal'],
  entropyBound: ['kind', 'gamma'],
  all: ['kind'],
} as const;
const selects = Object.keys(selectKeys) as (keyof typeof selectKeys)[];
const scores = ['probability', 'margin', 'negEntropy', 'random', 'position'] as const;

/** A rule in native form; `sampling` gives the default seed and step. */
export function resolveCommit(
  rule: CommitRule,
  sampling: { seed: number; step: number },
  length: number,
): NativeCommit {
  knownKeys('commit', rule, ['score', 'select', 'bias', 'within', 'seed', 'step']);
  const select = object('commit.select', rule.select);
  const kind = oneOf('commit.select.kind', select.kind, selects);
  knownKeys('commit.select', select, selectKeys[kind]);
  const option = <T>(key: string, wanted: string, check: (name: string, value: unknown) => T) =>
    kind === wanted ? check(`commit.select.${key}`, select[key]) : undefined;
  const count = (name: string, value: unknown) =>
    integer(name, value, { min: 0, max: 2 ** 31 - 1 });
  const real = (name: string, value: unknown) =>
    number(name, value, { min: -largestFloat, max: largestFloat });
  const flag = (name: string, value: unknown) => boolean(name, value ?? false);
  const { start, end } =
    rule.within === undefined
      ? { start: 0, end: length }
      : range('commit.within', rule.within, length);
  const bounds = { min: -largestFloat, max: largestFloat };
  return {
    score: oneOf('commit.score', rule.score ?? 'probability', scores),
    select: kind,
    k: option('k', 'topK', count) ?? 0,
    tau: option('tau', 'threshold', real) ?? 0,
    strict: option('strict', 'threshold', flag) ?? false,
    min: option('min', 'threshold', (name, value) => count(name, value ?? 1)) ?? 0,
    factor: option('factor', 'factor', real) ?? 0,
    literal: option('literal', 'factor', flag) ?? false,
    gamma: option('gamma', 'entropyBound', real) ?? 0,
    begin: start,
    end,
    bias: rule.bias === undefined ? null : floats('commit.bias', rule.bias, length, bounds),
    seed: integer('commit.seed', rule.seed ?? sampling.seed, { min: 0 }),
    step: integer('commit.step', rule.step ?? sampling.step, { min: 0, max: largestWord }),
  };
}
