/** Decoders made from others: of what one decides, only some is committed. */
import { integer, invalid, knownKeys, number } from '../validate.js';
import type { StepResult } from '../types.js';
import { factsOf, named, type PolicyFacts, type Trait } from './named.js';
import type { Change, Decision, Decoder, Look, RunFacts, StepState } from './policy.js';
import { ranked } from './rule.js';
import { selected } from './scores.js';

export interface CapOptions {
  /** The most that a step commits. Default: no limit. */
  max?: number;
  /** The most that a step commits as a share of the block's masks, rounded down. Default 1. */
  share?: number;
  /**
   * The highest perplexity of what a step commits, at least 1: with p the probabilities of n tokens,
   * (Π p)^(−1/n), as if they did not depend on each other. Default: no limit.
   */
  perplexity?: number;
  /** What `share` and `perplexity` may not go below. Default 1. */
  min?: number;
}

/**
 * At most a number of tokens per step: of what `decoder` decides the best
 * min(max(⌊share · masks⌋, min), max). `share: 0.7, min: 5, max: 20` is the cap of WINO. With
 * `perplexity` the longest run of the best that stays below it, if that is fewer; for a number that
 * does not depend on the step, `max: zipf().largest(perplexity)`.
 * Best is what the decoder's own score says, and probability where it has none.
 * Source: WINO (arXiv 2507.18578), `decoding.py`, for the formula; "Why mask diffusion does not work"
 * for the perplexity of tokens that are committed together.
 */
export function cap(decoder: Decoder, options: CapOptions): Decoder {
  const name = 'cap()';
  knownKeys(name, options, ['max', 'share', 'perplexity', 'min']);
  const min = integer(`${name}: min`, options.min ?? 1, { min: 1 });
  const max = integer(`${name}: max`, options.max ?? Number.MAX_SAFE_INTEGER, { min });
  const share = number(`${name}: share`, options.share ?? 1, { min: 0, max: 1 });
  const perplexity =
    options.perplexity === undefined
      ? Infinity
      : number(`${name}: perplexity`, options.perplexity, { min: 1 });
  const keep = ({ masked }: StepState, best: Change[], report: StepResult) => {
    const sure = perplexity === Infinity ? best.length : belowPerplexity(best, report, perplexity);
    return best.slice(
      0,
      Math.min(Math.max(Math.min(Math.floor(share * masked.length), sure), min), max),
    );
  };
  return narrowed('cap', decoder, options, keep);
}

/** The most of the first changes that stay below it together. */
function belowPerplexity(best: Change[], { position, probability }: StepResult, most: number) {
  let nats = 0;
  let longest = 0;
  best.forEach((change, i) => {
    nats -= Math.log(probability[position.indexOf(change.position)]);
    if (Math.exp(nats / (i + 1)) <= most) longest = i + 1;
  });
  return longest;
}

/**
 * Keeps the tokens of a step apart: of what `decoder` decides, from the best on, those that are at
 * least max(2, ⌊masks · gap / block⌋) positions from every one kept before. The others wait.
 * Source: DUS (arXiv 2506.19037), `generate.py`, the filter for entropy and confidence decoders.
 * @param options `gap` between tokens of a step while the whole block is masked, default 8
 */
export function spaced(decoder: Decoder, options: { gap?: number } = {}): Decoder {
  knownKeys('spaced()', options, ['gap']);
  const gap = integer('spaced(): gap', options.gap ?? 8, { min: 1 });
  const keep = ({ masked, range: { start, end } }: StepState, best: Change[]) => {
    const least = Math.max(2, Math.floor((masked.length * gap) / (end - start)));
    const kept: Change[] = [];
    for (const change of best) {
      const apart = ({ position }: Change) => Math.abs(position - change.position) >= least;
      if (kept.every(apart)) kept.push(change);
    }
    return kept;
  };
  return narrowed('spaced', decoder, options, keep);
}

/** `decoder`, of whose changes, best first, `keep` says which are made. */
function narrowed(
  name: string,
  decoder: Decoder,
  options: object,
  keep: (state: StepState, best: Change[], report: StepResult) => Change[],
): Decoder {
  if (typeof decoder !== 'function') invalid(`${name}(): decoder`, decoder, 'a decoder');
  const { traits, ...inner } = factsOf(decoder);
  refuse(name, factsOf(decoder));
  const outer: Decoder = (run) => {
    const decode = decoder(run);
    return (state) => {
      const decision = decode(state);
      if (decision === undefined) return undefined;
      if (decision.commit === undefined && decision.choose === undefined) return decision;
      const { request } = decision;
      const choose = async (report: StepResult, look: Look) =>
        keep(state, await bestFirst(run, state, decision, report, look), report);
      return { request, choose };
    };
  };
  return named(name, { ...options, decoder: inner }, outer, traits);
}

function refuse(name: string, { name: inner, traits }: PolicyFacts): void {
  const clash = {
    revises: 'one that takes nothing back',
    scheduled: 'one without a schedule, whose last step would leave masks',
    looks: 'one that decides each token by itself: tokens chosen together stay together',
  };
  for (const [trait, right] of Object.entries(clash)) {
    if (traits.includes(trait as Trait)) invalid(`${name}(): decoder`, `${inner}()`, right);
  }
}

/** What the rule or the choice of `decision` commits, the best first. */
async function bestFirst(
  { tokens: { mask }, seed }: RunFacts,
  state: StepState,
  { commit, choose }: Decision,
  report: StepResult,
  look: Look,
): Promise<Change[]> {
  const rule = { select: { kind: 'all' } as const, seed, step: state.step, ...commit };
  const ruled = commit === undefined ? [] : selected(rule, state, mask, report);
  const chosen = choose === undefined ? [] : await choose(report, look);
  const order = ranked({ ...rule, within: state.range }, state.canvas, mask, report);
  const rank = new Map(order.map(({ position }, i) => [position, i]));
  const place = ({ position }: Change) => rank.get(position) ?? order.length;
  return [...ruled, ...chosen].sort((a, b) => place(a) - place(b) || a.position - b.position);
}
