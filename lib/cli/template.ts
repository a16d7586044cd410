/** `lacuna run --template`: an answer with gaps on the command line. */
import type { Command } from 'commander';
import type { Prompt } from '../plan.js';
import type { PlainPrompt } from '../prompt.js';
import { hole } from '../template/hole.js';
import type { Hole, Segment } from '../template/types.js';
import { UsageError } from './options.js';
import { readPrompt, type PromptFlags } from './prompt.js';

export interface TemplateFlags {
  template?: string;
  suffix?: string;
  stop?: string[];
}

export function templateOptions(command: Command): Command {
  const collect = (text: string, before: string[] = []) => [...before, text];
  return command
    .optionsGroup('Known text in the answer:')
    .option(
      '--template <text>',
      'the answer, with gaps to fill: {{8}} of at most 8 tokens, {{2-8}} of at least 2, {{}} of 1 to 32',
    )
    .option('--stop <text>', 'ends a gap and is left out; may be given several times', collect)
    .option('--suffix <text>', 'what follows the answer, known from the beginning');
}

/**
 * The prompt, and what is known of the answer. Throws `UsageError` for flags that do not go together.
 * @param lengthGiven whether the caller said how long the answer is
 */
export async function readTemplate(
  flags: TemplateFlags & PromptFlags,
  lengthGiven: boolean,
): Promise<{ prompt: Prompt; before: string }> {
  const { template, suffix, stop } = flags;
  if (stop !== undefined && template === undefined) throw new UsageError('--stop needs --template');
  if (template === undefined) {
    const { prompt, before } = await readPrompt(flags);
    return { prompt: suffix === undefined ? prompt : { prefix: prompt, suffix }, before };
  }
  if (suffix !== undefined) {
    throw new UsageError('--template has its own end: leave out --suffix');
  }
  if (lengthGiven) throw new UsageError('--template has its own length: leave out --max-tokens');
  const segments = segmentsOf(template, stop);
  const { prompt, file, chat } = flags;
  const alone = [prompt, file, chat].every((given) => given === undefined);
  const context: { prompt?: PlainPrompt; before: string } = alone
    ? { before: '' }
    : await readPrompt(flags);
  return { prompt: { prompt: context.prompt, segments }, before: context.before };
}

/** Everything but `{{}}`, `{{8}}` and `{{2-8}}` is text. */
export function segmentsOf(template: string, stop?: readonly string[]): Segment[] {
  const [first, ...others] = template.split(/\{\{(\d*(?:-\d+)?)\}\}/);
  const segments: Segment[] = [first];
  for (let i = 0; i < others.length; i += 2) segments.push(holeOf(others[i], stop), others[i + 1]);
  return segments;
}

function holeOf(bounds: string, stop: readonly string[] = []): Hole {
  if (bounds === '') return hole({ stop });
  const [low, high] = bounds.split('-');
  const [min, max] = high === undefined ? [1, low] : [low === '' ? 0 : low, high];
  if (Number(max) >= Math.max(1, Number(min)) && Number(max) <= 2 ** 24) {
    return hole({ min: Number(min), max: Number(max), stop });
  }
  throw new UsageError(
    `--template: {{${bounds}}} must be {{most}} or {{least-most}}, most at least 1`,
  );
}
