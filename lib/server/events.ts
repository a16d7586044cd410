/** Server-sent events to a reader who may be slow, or go. */
import type { Limits } from './limits.js';

/** Bytes that a reader may leave before it counts as behind. */
const room = 16 << 10;

/**
 * The body of an event stream. Text always gets through; what may be left out is left out while the
 * reader is behind. A reader who takes nothing for too long, or leaves too much, is cut off.
 */
export class EventStream {
  readonly body: ReadableStream<Uint8Array>;
  readonly #encoder = new TextEncoder();
  readonly #limits: Limits;
  readonly #onGone: () => void;
  readonly #alive: NodeJS.Timeout;
  #controller!: ReadableStreamDefaultController<Uint8Array>;
  #stuck: NodeJS.Timeout | undefined;
  #written = 0; // bytes
  #open = true;

  /** @param onGone called once, if the reader goes or is cut off before `end` */
  constructor(limits: Limits, onGone: () => void) {
    this.#limits = limits;
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
    // A bare colon: some clients take a longer comment for the end of what they have buffered.
    this.#alive = setInterval(() => this.#write(':\n\n'), limits.keepAliveSeconds * 1000);
    this.#alive.unref();
  }

  /** @param event JSON, or the text of a last one: `[DONE]` */
  send(event: object | string): void {
    const data = typeof event === 'string' ? event : JSON.stringify(event);
    this.#write(`data: ${data}\n\n`);
  }

  /** An event of a named type. */
  sendNamed(name: string, event: object): void {
    this.#write(`event: ${name}\ndata: ${JSON.stringify(event)}\n\n`);
  }

  /** @returns whether the reader keeps up; only then the event was made and sent */
  offer(event: () => object): boolean {
    if (!this.#open || this.#unread >= room) return false;
    this.send(event());
    return true;
  }

  end(): void {
    if (!this.#open) return;
    this.#stop();
    this.#controller.close();
  }

  #write(text: string): void {
    if (!this.#open) return;
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

export const eventStreamHeaders = {
  'content-type': 'text/event-stream; charset=utf-8',
  'cache-control': 'no-cache, no-transform',
  'x-accel-buffering': 'no',
};
