/** Mercury's dialect: chats whose text is replaced as it gets clearer, and filling in. */
import { boolean } from '../../validate.js';
import { chatCompletions, completions } from '../completions.js';
import type { Context } from '../context.js';
import { sse } from '../events.js';
import { optional, type Body } from '../request.js';
import { openai, type Chunk, type Wire } from '../wire.js';
import { through } from './through.js';

/**
 * `/v1/chat/completions`. With `diffusing: true` each `delta.content` is all of the text as it looks
 * now, `░` for each mask, and replaces the one before.
 */
export async function chat(body: Body, context: Context): Promise<Response> {
  const { diffusing, ...rest } = body;
  if (!(optional('diffusing', diffusing, boolean) ?? false)) return chatCompletions(rest, context);
  context.wire = replacing;
  const lacuna = { ...(rest.lacuna as object | undefined), canvas: 'text' };
  return through(chatCompletions, { ...rest, stream: true, lacuna }, context, {});
}

/** `/v1/fim/completions`: what stands between `prompt` and `suffix`. */
export async function fim(body: Body, context: Context): Promise<Response> {
  context.wire = middle;
  return completions(body, context);
}

interface Picture {
  kind: string;
  text?: string;
  remaining?: number;
  length?: number;
}

const replacing: Wire = {
  framing: sse,
  whole: (answer) => openai.whole(answer),
  events: () => {
    const lengths = new Map<number, number>();
    const texts = new Map<number, string>();
    return (event) => {
      if (event === '[DONE]' || event.error !== undefined) return [event];
      const [choice] = event.choices;
      if (choice === undefined) return [event];
      const { index, delta, finish_reason } = choice;
      const whole = (content: string, progress: number, reason: string | null) => {
        const message = { role: 'assistant', content, tool_calls: delta?.tool_calls ?? [] };
        const diffusion_meta = { diffusion_content: true, diffusion_progress: progress };
        const choices = [{ index, delta: message, finish_reason: reason }];
        const { lacuna: _, ...chunk } = event;
        return { ...chunk, choices, diffusion_meta };
      };
      const picture = event.lacuna as Picture | undefined;
      if (picture?.kind === 'start') lengths.set(index, picture.length ?? 0);
      if (picture?.kind === 'text') {
        const { text = '', remaining = 0 } = picture;
        return [whole(text, progressOf(remaining, lengths.get(index)), null)];
      }
      if (picture !== undefined) return [];
      const text = (texts.get(index) ?? '') + (delta?.content ?? '');
      texts.set(index, text);
      if (finish_reason === null) return delta?.tool_calls ? [whole(text, 1, null)] : [];
      return [whole(text, 1, finish_reason), event];
    };
  },
};

/** How much of the canvas is known. */
function progressOf(remaining: number, length = 0): number {
  return length === 0 ? 0 : Math.max(0, 1 - remaining / length);
}

/** For those who read `text`, and those who read a message. */
const middle: Wire = {
  framing: sse,
  whole: (answer) => withMessages(answer, 'message'),
  events: () => (event) => [
    event === '[DONE]' || event.error !== undefined ? event : withMessages(event, 'delta'),
  ],
};

function withMessages(chunk: Chunk, name: 'message' | 'delta'): object {
  const choices = chunk.choices.map((choice) => {
    const message = { role: 'assistant', content: choice.text ?? '' };
    return { ...choice, [name]: message };
  });
  return { ...chunk, choices };
}
