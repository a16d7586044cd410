/** What a policy is called and what others must know of it, as data on the function. */

/** What decides whether policies go together. */
export type Trait =
  /** Shares out a number of steps among blocks that it must know in advance. */
  | 'scheduled'
  /** Takes tokens back or edits them. */
  | 'revises'
  /** What it decides depends on more than the step's state and statistics. */
  | 'remembers'
  /** Takes tokens back beside the decoder, which then has more to commit than it began with. */
  | 'remasks'
  /** Remembers something of positions, which must therefore stay where they are. */
  | 'tracks'
  /** The canvas changes its length. */
  | 'grows'
  /** Canvas positions are inserted in front of others. */
  | 'inserts'
  /** Blocks end where the model says. */
  | 'adapts'
  /** Fills in the step's `softMask`. */
  | 'softMask'
  /** Fills in the step's `credit`. */
  | 'credit'
  /** A decoder that looks at canvases that might be. */
  | 'looks'
  /** Computes canvases of later steps in advance. */
  | 'speculates';

export interface PolicyFacts {
  /** The function that made it; that of the function itself for policies of the caller. */
  readonly name: string;
  /** What it was called with. */
  readonly options: unknown;
  readonly traits: readonly Trait[];
  /** Why this one, where it was not the caller who chose. */
  readonly reason?: string;
}

const facts = Symbol('facts of a policy');

/**
 * Marks a policy with the name and the options of the function that makes it, for messages and
 * traces, and with its traits.
 */
export function named<P extends (...args: never[]) => unknown>(
  name: string,
  options: unknown,
  policy: P,
  traits: readonly Trait[] = [],
): P {
  const value: PolicyFacts = { name, options, traits };
  return Object.defineProperty(policy, facts, { value, configurable: true });
}

/** Says of a policy just made why it was chosen. */
export function because<P extends (...args: never[]) => unknown>(reason: string, policy: P): P {
  const value: PolicyFacts = { ...factsOf(policy), reason };
  return Object.defineProperty(policy, facts, { value, configurable: true });
}

export function factsOf(policy: (...args: never[]) => unknown): PolicyFacts {
  const known = (policy as { [facts]?: PolicyFacts })[facts];
  return known ?? { name: policy.name || 'anonymous', options: undefined, traits: [] };
}

/** Whether the library made it, so that its traits say all there is to know. */
export function isNamed(policy: (...args: never[]) => unknown): boolean {
  return facts in policy;
}
