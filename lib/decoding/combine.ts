/** Which policies do not go together: a table, applied before anything is computed. */
import { LacunaError } from '../errors.js';
import type { PolicyFacts, Trait } from './named.js';
import type { RunPolicies } from './policy.js';

/** [a policy with the one trait, cannot go with one that has the other, because] */
const conflicts: readonly [Trait, Trait, string][] = [
  ['scheduled', 'inserts', 'shares out its steps among positions that it must know in advance'],
  ['scheduled', 'adapts', 'shares out its steps among blocks that it must know in advance'],
  ['scheduled', 'remasks', 'shares out its steps among masks of which no more may come'],
  ['inserts', 'tracks', 'moves positions, of which the other remembers something'],
  ['inserts', 'adapts', 'moves positions, and with them the ends that the model gave its blocks'],
  ['softMask', 'softMask', 'fills in the soft masks, of which a step has one set'],
  ['speculates', 'remembers', 'asks what later steps would do, which is not known in advance'],
  ['speculates', 'looks', 'guesses what a step decides from an older forward, and makes none'],
  ['speculates', 'adapts', 'guesses canvases of blocks whose ends must be known'],
  ['speculates', 'softMask', 'guesses canvases, whose soft masks are not known in advance'],
  ['speculates', 'credit', 'guesses canvases, whose credits are not known in advance'],
  ['credit', 'credit', 'gives credits, of which a step has one set'],
  ['fillsEnd', 'holes', 'fills up what is behind the first end of text, which here ends one hole'],
];

/** Throws `INVALID_ARGUMENT` that names both policies and the reason. */
export function refuseCombinations({ refine, ...roles }: RunPolicies): void {
  const all = Object.entries<PolicyFacts>(roles).concat(refine.map((facts) => ['refine', facts]));
  for (const [trait, other, reason] of conflicts) {
    for (const [role, facts] of all) {
      if (!facts.traits.includes(trait)) continue;
      const clash = all.find(([, peer]) => peer !== facts && peer.traits.includes(other));
      if (clash === undefined) continue;
      throw new LacunaError(
        'INVALID_ARGUMENT',
        `${role}: ${facts.name}() ${reason}; it does not go with ${clash[0]}: ${clash[1].name}()`,
      );
    }
  }
}
