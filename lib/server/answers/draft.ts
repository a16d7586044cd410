/** `prediction`: an answer that begins as the text that the client expects. */
import type { LengthPlan } from '../../decoding/policy.js';
import { named } from '../../decoding/named.js';
import { invalid, object, oneOf } from '../../validate.js';
import type { Job, Outcome } from '../answer.js';
import { contentOf } from '../messages.js';
import { writeText } from './text.js';

/** A token of the draft stays if it is at least so probable, as a share of the most probable one. */
const share = 0.5;
/** Longer ones on average are rare: what would be too much is left aside before it is encoded. */
const charactersPerToken = 8;

/** OpenAI's field. @returns undefined: nothing is expected */
export function predictionOf(value: unknown): string | undefined {
  if (value === undefined || value === null) return undefined;
  const { type, content } = object('prediction', value);
  oneOf('prediction.type', type, ['content']);
  return contentOf('prediction.content', content) || undefined;
}

/**
 * The canvas starts from the draft. One forward says of each of its tokens how probable it is where it
 * stands, given the prompt and all others; what is unlikely becomes a mask, and so is what follows.
 */
export function draftWork(job: Job, prediction: string): Promise<Outcome> {
  const { engine, model, maxTokens } = job;
  const reach = prediction.slice(0, charactersPerToken * maxTokens); // encoding takes its time
  const tokens = model.tokenizer.encode(reach, { bos: false }).subarray(0, maxTokens);
  const most = engine.limits.prediction;
  if (tokens.length > most) {
    invalid('prediction', prediction, `at most ${most} tokens; it has ${tokens.length}`);
  }
  return edited(job, tokens);
}

async function edited(job: Job, tokens: Int32Array): Promise<Outcome> {
  const { engine, model, maxTokens, prompt, wanted } = job;
  const drafted = await likely(job, tokens);
  const firstForward = performance.now();
  const { mask } = model.info.tokens;
  const initial = Array.from({ length: maxTokens }, (_, i) => (drafted.has(i) ? tokens[i] : mask!));
  const length: LengthPlan = named('draft', { kept: drafted.size }, () => ({ initial }));
  const options = { ...engine.settings(wanted.options), maxTokens, length };
  const { stop } = wanted;
  const written = await writeText(job, prompt, { options, stop, drafted });
  const accepted = written.ids.filter((token, i) => token === tokens.at(i)).length;
  return {
    ...written,
    ...{ forwards: written.forwards + 1, firstForward },
    draft: { accepted, rejected: tokens.length - accepted },
  };
}

/** Indices of the tokens that stay, and their probabilities. */
async function likely(
  { model, prompt, maxTokens, signal }: Job,
  tokens: Int32Array,
): Promise<Map<number, number>> {
  const session = model.createSession({ length: prompt.length + maxTokens });
  try {
    session.set(0, prompt);
    session.set(prompt.length, tokens);
    const shadow = Int32Array.from(tokens, (_, i) => prompt.length + i);
    const probe = Int32Array.from(new Set(tokens)).sort();
    const request = { query: new Int32Array(), shadow, probe, topK: 1 };
    const report = await session.step(request, { signal });
    const probabilities = Array.from(tokens, (token, i) => {
      return [i, report.probe![i * probe.length + probe.indexOf(token)]] as const;
    });
    return new Map(probabilities.filter(([i, p]) => p >= share * report.top!.probability[i]));
  } finally {
    session.dispose();
  }
}
