/** The parts of an answer, for a reader who may be slow, or go. */
import type { LanguageModelV3StreamPart } from '@ai-sdk/provider';
import type { FrameSink } from '../server/canvas.js';

type Part = LanguageModelV3StreamPart;

/** Parts that a reader may leave before frames of the canvas are left out. */
const room = 64;

export class Parts implements FrameSink {
  readonly stream: ReadableStream<Part>;
  #controller!: ReadableStreamDefaultController<Part>;
  #open = true;

  /** @param onGone called if the reader cancels */
  constructor(onGone: () => void) {
    this.stream = new ReadableStream<Part>(
      {
        start: (controller) => {
          this.#controller = controller;
        },
        cancel: () => {
          this.#open = false;
          onGone();
        },
      },
      { highWaterMark: room },
    );
  }

  push(part: Part): void {
    if (this.#open) this.#controller.enqueue(part);
  }

  /** A frame of the canvas. */
  send(frame: object): void {
    this.push({ type: 'raw', rawValue: frame });
  }

  offer(frame: () => object): boolean {
    if (!this.#open || (this.#controller.desiredSize ?? 0) <= 0) return false;
    this.send(frame());
    return true;
  }

  end(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#controller.close();
  }

  /** What the reader has not read yet is lost. */
  abort(reason: unknown): void {
    if (!this.#open) return;
    this.#open = false;
    this.#controller.error(reason);
  }
}
