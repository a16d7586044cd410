/** From what the caller asks for to a generation that runs. */
import { Denoiser } from './denoise.js';
import { Extension } from './extension.js';
import { Forwards } from './forward.js';
import { Generation, throwIfAborted } from './generation.js';
import { checkOptions, planOf } from './plan.js';
import type { GenerateOptions, GenerationModel, Prompt } from './plan.js';
import { jobOf } from './template/job.js';
import type { TraceStep } from './trace.js';

/**
 * Fills an answer of `maxTokens` masks after the prompt.
 *
 * Throws at once: `INVALID_ARGUMENT` for options that are misspelt, out of range or do not fit
 * together or the model, `BAD_TEMPLATE` for messages that cannot be rendered. Whatever happens later
 * rejects `result` and ends the iteration: `ABORTED`, `DISPOSED`, `OUT_OF_MEMORY`.
 *
 * @param prompt text (encoded as it is, without a chat template), chat messages, token ids, or a
 * template, whose holes are filled
 */
export function generate(
  model: GenerationModel,
  prompt: Prompt,
  options: GenerateOptions = {},
): Generation {
  const job = jobOf(model, prompt, options);
  const settings = checkOptions(model, job.options);
  const plan = planOf(model, job.prompt, settings);
  const extension = new Extension(model, settings, plan);
  const worker = (emit: (step: TraceStep) => void, signal: AbortSignal) =>
    denoise(extension, emit, signal);
  return new Generation(plan.view, plan.run.policies, worker, {
    ...{ signal: options.signal, extension },
    finish: job.finish,
  });
}

/** As often as the answer becomes longer, with a canvas, keys and values of that length. */
async function denoise(
  extension: Extension,
  emit: (step: TraceStep) => void,
  signal: AbortSignal,
): Promise<Int32Array> {
  throwIfAborted(signal);
  try {
    for (let made = { steps: 0, stable: 0 }; ;) {
      const forwards = new Forwards(extension.plan.forward, signal);
      try {
        const denoiser = new Denoiser(extension, forwards, emit, signal, made);
        await denoiser.run();
        if (!denoiser.goesOn) return denoiser.tokens;
        made = denoiser.extend();
      } finally {
        forwards.dispose();
      }
    }
  } finally {
    extension.close();
  }
}
