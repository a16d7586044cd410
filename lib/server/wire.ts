/** How answers go out. They are made in OpenAI's shape; other formats are translations of that. */
import { sse, type EventStream, type Framing } from './events.js';
import type { ErrorBody } from './errors.js';

/** What translations read of a chunk, or of an answer in one piece. */
export interface Chunk extends Partial<ErrorBody> {
  id: string;
  created: number;
  model: string;
  choices: Choice[];
  usage?: Usage;
  timings?: Timings;
  /** The canvas channel, or at the end the counts of the run. */
  lacuna?: object;
}

export interface Choice {
  index: number;
  delta?: Message;
  message?: Message;
  text?: string;
  finish_reason: string | null;
  logprobs?: { content?: object[] } | null;
}

export interface Message {
  content?: string | null;
  tool_calls?: Call[];
}

export interface Call {
  id: string;
  function: { name: string; arguments: string };
}

export interface Usage {
  prompt_tokens: number;
  completion_tokens: number;
  total_tokens: number;
  prompt_tokens_details?: object;
}

export interface Timings {
  prompt_n: number;
  prompt_ms: number;
  predicted_n: number;
  predicted_ms: number;
  predicted_per_second: number;
}

/** `'[DONE]'` follows the last chunk of a stream that has not failed. */
export type Event = Chunk | '[DONE]';

export interface Wire {
  framing: Framing;
  /** An answer in one piece. */
  whole: (answer: Chunk) => object;
  /** Made anew for every stream: what goes out for each event. */
  events: () => (event: Event) => (object | string)[];
}

export const openai: Wire = {
  framing: sse,
  whole: (answer) => answer,
  events: () => (event) => [event],
};

/** Where the chunks of a stream go. */
export interface Sink {
  send(event: object | string): void;
  /** @returns whether the reader keeps up; only then the event was made and sent */
  offer(event: () => object): boolean;
  end(): void;
}

export function sinkOf(wire: Wire, stream: EventStream): Sink {
  const translate = wire.events();
  const send = (event: object | string) => {
    for (const out of translate(event as Event)) stream.send(out);
  };
  return {
    send,
    offer: (event) => {
      if (!stream.keepsUp) return false;
      send(event());
      return true;
    },
    end: () => stream.end(),
  };
}

export function headersOf({ framing }: Wire): Record<string, string> {
  return {
    'content-type': framing.type,
    'cache-control': 'no-cache, no-transform',
    'x-accel-buffering': 'no',
  };
}
