/** How much one client may ask for, and how slow it may be. */
import { integer, knownKeys, object } from '../validate.js';

/** All can be set; the numbers are the defaults. */
export const defaultLimits = {
  /** Bytes of a request's body. */
  body: 4 << 20,
  /** Seconds until a body must have arrived. */
  bodySeconds: 30,
  /** Bytes that may wait for a client that reads slowly, and the seconds it may take none of them. */
  unreadBytes: 1 << 20,
  unreadSeconds: 30,
  /** Requests that wait for a slot; more are refused with 429. */
  queue: 64,
  /** Generations at a time. */
  parallel: 8,
  /** Seconds that a request may take in all. */
  requestSeconds: 600,
  /** Tokens of prompt and answer together. */
  canvas: 8192,
  /** Steps of a run, as multiples of its answer's length. */
  stepsPerToken: 4,
  /** Answers to one request. */
  n: 8,
  /** Stop strings, and characters of each. */
  stop: 16,
  stopLength: 256,
  /** Most probable tokens reported for each. */
  topLogprobs: 20,
  messages: 1024,
  /** Texts and holes of a template. */
  segments: 256,
  /** Schemas: parts, levels, bytes of JSON. */
  schemaNodes: 2000,
  schemaDepth: 32,
  schemaBytes: 64 << 10,
  /** Tools of a request, and calls of an answer. */
  tools: 128,
  calls: 8,
  /** Tokens of `logit_bias`. */
  biases: 300,
  /** Tokens of a prediction: what its forward reports grows with their square. */
  prediction: 2048,
  /** Canvases that a decoder looks at together: `width` of `beam`. */
  hypotheses: 16,
  /** Nesting of a body's JSON. */
  depth: 64,
  /** Milliseconds that a chat template may take. */
  templateMs: 250,
  /** Characters that it may write. */
  templateLength: 4 << 20,
  /** Connections at a time, bytes of a request's headers and seconds until they must have arrived. */
  connections: 512,
  headers: 16 << 10,
  headerSeconds: 10,
  /** Seconds between comments that keep a quiet stream alive. */
  keepAliveSeconds: 15,
};

export type Limits = typeof defaultLimits;

/** Throws `INVALID_ARGUMENT` for a limit that is misspelt or not a positive integer. */
export function limitsOf(given: Partial<Limits> = {}): Limits {
  knownKeys('limits', given, Object.keys(defaultLimits));
  const checked = Object.entries(object('limits', given)).map(([name, value]) => [
    name,
    integer(`limits.${name}`, value, { min: 1 }),
  ]);
  return { ...defaultLimits, ...(Object.fromEntries(checked) as Partial<Limits>) };
}
