/** Events to a reader who may be slow, or go. */
import type { Limits } from './limits.js';

/** How events are written. */
export interface Framing {
  /** Content type. */
  type: string;
  /** @param event JSON, or the text of a last one: `[DONE]` */
  frame(event: object | string): string;
  /** What keeps a quiet stream alive. */
  alive: string;
}

// A bare colon: some clients take a longer comment for the end of what they have buffered.
const events = { type: 'text/event-stream; charset=utf-8', alive: ':\n\n' };

export const sse: Framing = { ...events, frame: (event) => `data: ${textOf(event)}\n\n` };

/** Each with its `type` as the name. */
export const namedSse: Framing = {
  ...events,
  frame: (event) => `event: ${(event as { type: string }).type}\ndata: ${textOf(event)}\n\n`,
};

/** JSON, one a line. */
export const lines: Framing = {
  type: 'application/x-ndjson',
  frame: (event) => `${textOf(event)}\n`,
  alive: '',
};

function textOf(event: object | string): string {
  return typeof event === 'string' ? event : JSON.stringify(event);
}

/** Bytes that a reader may leave before it counts as behind. */
const room = 16 << 10;

/**
 * The body of a stream of events. Text always gets through; what may be left out is left out while the
 * reader is behind. A reader who takes nothing for too long, or leaves too much, is cut off.
 */
export class EventStream {
  readonly body: ReadableStream<Uint8Array>;
  readonly #encoder = new TextEncoder();
  readonly #limits: Limits;
  readonly #framing: Framing;
  readonly #onGone: () => void;
  readonly #alive: NodeJS.Timeout;
  #controller!: ReadableStreamDefaultController<Uint8Array>;
  #stuck: NodeJS.Timeout | undefined;
  #written = 0; // bytes
  #open = true;

  /** @param onGone called once, if the reader goes or is cut off before `end` */
  constructor(limits: Limits, framing: Framing, onGone: () => void) {
    this.#limits = limits;
    this.#framing = framing;
    this.#onGone = onGone;
    this.body = new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          this.#controller = controller;
        },
        pull: () => {
          clearTimeout(this.#stuck);
          this.#stuck = undefined;
        },
        cancel: () => this.#close(),
      },
      new ByteLengthQueuingStrategy({ highWaterMark: room }),
    );
    const alive = () => this.#write(framing.alive);
    this.#alive = setInterval(alive, limits.keepAliveSeconds * 1000);
    this.#alive.unref();
  }

  send(event: object | string): void {
    this.#write(this.#framing.frame(event));
  }

  /** Whether the reader has taken what there was, so that what may be left out need not be. */
  get keepsUp(): boolean {
    return this.#open && this.#unread < room;
  }

  end(): void {
    if (!this.#open) return;
    this.#stop();
    this.#controller.close();
  }

  #write(text: string): void {
    if (!this.#open || text === '') return;
    const bytes = this.#encoder.encode(text);
    this.#written += bytes.length;
    this.#controller.enqueue(bytes);
    if (this.#unread <= room) return;
    if (this.#unread > this.#limits.unreadBytes) this.#cut();
    else if (this.#stuck === undefined) this.#watch();
  }

  get #unread(): number {
    return room - (this.#controller.desiredSize ?? 0);
  }

  /** Until the reader has caught up: cuts off one that takes nothing. */
  #watch(): void {
    const taken = this.#written - this.#unread;
    const look = () => {
      if (this.#written - this.#unread === taken) this.#cut();
      else this.#watch();
    };
    this.#stuck = setTimeout(look, this.#limits.unreadSeconds * 1000).unref();
  }

  #cut(): void {
    if (!this.#open) return;
    this.#controller.error(new Error('the reader is too slow'));
    this.#close();
  }

  #close(): void {
    if (!this.#open) return;
    this.#stop();
    this.#onGone();
  }

  #stop(): void {
    this.#open = false;
    clearInterval(this.#alive);
    clearTimeout(this.#stuck);
  }
}
