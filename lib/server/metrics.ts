/** What the server counts, for Prometheus. */
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { Engine } from './engine.js';

/** Buckets in seconds, from a forward of a small model to a long answer. */
const seconds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300];

/** A registry of its own, so that several handlers of a process do not mix. */
export class Metrics {
  readonly registry = new Registry();
  readonly requests = this.#counter('requests_total', 'Requests by route and status', [
    'route',
    'status',
  ]);
  readonly tokens = this.#counter('tokens_total', 'Tokens of prompts and answers', ['kind']);
  readonly forwards = this.#counter('forwards_total', 'Forwards of the model, shared ones once');
  readonly slots = this.#counter('slots_total', 'Canvas positions computed');
  readonly cancelled = this.#counter('cancelled_total', 'Generations that their client left');
  readonly dropped = this.#counter(
    'canvas_frames_dropped_total',
    'Canvas frames left out for slow readers',
  );
  readonly queueSeconds = this.#histogram('queue_seconds', 'Wait for a slot', seconds);
  readonly firstText = this.#histogram(
    'time_to_first_text_seconds',
    'From the request to its first text',
    seconds,
  );
  readonly requestSeconds = this.#histogram('request_seconds', 'Whole requests', seconds);
  readonly forwardSeconds = this.#histogram('forward_seconds', 'Shared forwards', seconds);
  readonly tokensPerForward = this.#histogram(
    'tokens_per_forward',
    'Useful tokens of an answer for each of its forwards',
    [0.25, 0.5, 1, 1.5, 2, 3, 4, 6, 8, 12, 16, 32],
  );

  constructor(engine: Engine) {
    const gauge = (name: string, help: string, value: () => number) =>
      new Gauge({
        name: `lacuna_${name}`,
        help,
        registers: [this.registry],
        collect() {
          this.set(value());
        },
      });
    gauge('requests_running', 'Generations that have a slot', () => engine.running);
    gauge('requests_waiting', 'Generations that wait for a slot', () => engine.waiting);
    gauge('cache_utilization_ratio', 'Slots in use', () => engine.running / engine.parallel);
    gauge('model_loaded', '1 while the model can be used', () => (engine.model.disposed ? 0 : 1));
    const memory = new Gauge({
      name: 'lacuna_memory_bytes',
      help: 'Memory by what it holds',
      labelNames: ['kind'],
      registers: [this.registry],
      collect() {
        memory.set({ kind: 'weights' }, engine.model.info.weightBytes);
        memory.set({ kind: 'sessions' }, engine.sessionBytes);
      },
    });
  }

  #counter<T extends string>(name: string, help: string, labelNames: T[] = []) {
    return new Counter({ name: `lacuna_${name}`, help, labelNames, registers: [this.registry] });
  }

  #histogram(name: string, help: string, buckets: number[]) {
    return new Histogram({ name: `lacuna_${name}`, help, buckets, registers: [this.registry] });
  }
}
