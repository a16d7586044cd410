import { named } from '../named.js';
import type { CachePlan } from '../policy.js';

/** Every row in every forward: nothing is approximated. Source: LLaDA, Dream. */
export function noCache(): CachePlan {
  return named('noCache', {}, () => () => ({}));
}
