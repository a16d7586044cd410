/** From the operator's defaults and a request's wishes to the options of a run. */
import { factsOf } from '../decoding/named.js';
import type { Refinement } from '../decoding/policy.js';
import { withPreset } from '../decoding/presets.js';
import type { GenerateOptions } from '../plan.js';

/** A preset that the request names has its way over the policies of the defaults. */
export function settingsOf(defaults: GenerateOptions, wanted: GenerateOptions): GenerateOptions {
  const { bos: _b, chat: _c, ...usual } = defaults; // what the prompt was made with
  const suppress = [...Array.from(usual.suppress ?? []), ...Array.from(wanted.suppress ?? [])];
  if (wanted.preset === undefined) {
    const refine = [...refinements(usual.refine), ...refinements(wanted.refine)];
    return { ...usual, ...wanted, suppress, refine };
  }
  const { decode: _1, blocks: _2, cache: _3, length: _4, refine: _5, ...others } = usual;
  return { ...others, ...wanted, suppress };
}

/**
 * The same for text with gaps: they have a length plan of their own, and no decoder can share out
 * its steps over gaps that shrink, so that one with a schedule becomes one token a forward.
 */
export function holeSettings(options: GenerateOptions): GenerateOptions {
  const { length: _1, stopAtEos: _2, preset: _3, ...settings } = withPreset(options);
  const scheduled = settings.decode && factsOf(settings.decode).traits.includes('scheduled');
  if (scheduled) delete settings.decode;
  return settings;
}

export function refinements(value: GenerateOptions['refine']): readonly Refinement[] {
  if (value === undefined) return [];
  return typeof value === 'function' ? [value] : value;
}
