/** `/lacuna/v1/policies`: what a request may choose from, for forms that are made from it. */
import { catalogue, schemaOf, type Listed } from '../decoding/catalogue.js';
import { factsOf } from '../decoding/named.js';
import { presets, type Preset } from '../decoding/presets.js';
import type { GenerateOptions } from '../plan.js';
import type { Engine } from './engine.js';
import type { Limits } from './limits.js';
import { measureNames } from './steering.js';

/** Roles by name: JSON Schema of the options of each policy; presets: what each sets. */
export function policiesOf({ id, model, defaults, limits }: Engine): object {
  const schemas = Object.fromEntries(
    Object.entries(catalogue).map(([role, entries]) => [
      role,
      Object.fromEntries(
        Object.entries<Listed<unknown>>(entries).map(([name, entry]) => [
          name,
          within(schemaOf(entry), limits),
        ]),
      ),
    ]),
  );
  const { architecture, parameters, context, backend, name } = model.info;
  const { temperature = 0, topK, topP = 1, seed = 0, preset, bos, chat } = defaults;
  return {
    model: { id, name, architecture, parameters, context, backend },
    ...schemas,
    presets: Object.fromEntries(
      Object.entries(presets as Record<string, Preset>).map(([key, { about, options }]) => [
        key,
        { about, ...policyFacts(options) },
      ]),
    ),
    measures: measureNames,
    defaults: {
      preset,
      bos,
      chat,
      temperature,
      top_k: topK,
      top_p: topP,
      seed,
      ...policyFacts(defaults),
    },
  };
}

/** What the server takes may be less than what the library does. */
function within(schema: ReturnType<typeof schemaOf>, { hypotheses }: Limits): object {
  const { width } = schema.properties;
  if (width === undefined) return schema;
  return {
    ...schema,
    properties: { ...schema.properties, width: { ...width, maximum: hypotheses } },
  };
}

/** `{ name, options }` of those that are set. A cache may also be picked: `'auto'`. */
function policyFacts(options: Pick<GenerateOptions, 'decode' | 'blocks' | 'cache' | 'length'>) {
  const roles = ['decode', 'blocks', 'cache', 'length'] as const;
  return Object.fromEntries(
    roles.flatMap((role) => {
      const policy = options[role];
      if (policy === undefined) return [];
      return [[role, typeof policy === 'string' ? policy : factOf(policy)]];
    }),
  );
}

/** A plan of blocks is made with a number, which data calls `size`. */
function factOf(policy: (...args: never[]) => unknown): object {
  const { name, options } = factsOf(policy);
  return { name, options: typeof options === 'number' ? { size: options } : options };
}
