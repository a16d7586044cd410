/** One run on the screen: live, done, recorded or stepped by hand. */
import { signal, type Signal } from '@preact/signals';
import { stream } from './client.js';
import { Timeline } from './fold.js';
import type { CanvasFrame, Entry, RunRequest, StepFrame, Trace } from './frames.js';

export type Status = 'waiting' | 'running' | 'done' | 'stopped' | 'failed' | 'recorded' | 'manual';

let ids = 0;

/** Runs are shown when they have ended, not while they go on. */
export const atOnce = signal(false);

export class Lane {
  readonly id = ++ids;
  readonly title: Signal<string>;
  readonly request: RunRequest;
  readonly model: string;
  readonly timeline = new Timeline();
  readonly frames: CanvasFrame[] = [];
  /** Grows whenever the timeline has, at most once for each picture on the screen. */
  readonly version = signal(0);
  readonly status: Signal<Status>;
  readonly error = signal('');
  /** Where the answer came from `stream`, its text so far. */
  readonly text = signal('');
  /** What the policy would commit next, and whether the user wants it. */
  readonly proposal = signal<{ frame: StepFrame; wanted: Set<number> } | undefined>(undefined);
  readonly pins = signal<ReadonlySet<number>>(new Set());
  #started = 0;
  #controller = new AbortController();
  #drawn = false;

  constructor(title: string, model: string, request: RunRequest, status: Status = 'waiting') {
    this.title = signal(title);
    this.model = model;
    this.request = request;
    this.status = signal(status);
    const fixed = request.body.lacuna?.fixed;
    if (Array.isArray(fixed)) this.pins.value = new Set(fixed as number[]);
  }

  static of({ title, model, request, frames, text }: Trace): Lane {
    const lane = new Lane(title, model, request, 'recorded');
    for (const frame of frames) lane.push(frame);
    lane.text.value = text;
    return lane;
  }

  get trace(): Trace {
    const { model, request, frames } = this;
    const text = this.text.value;
    return { kind: 'lacuna-run', v: 1, title: this.title.value, model, request, frames, text };
  }

  /** Milliseconds since it began. */
  get wall(): number {
    return this.#started === 0 ? 0 : performance.now() - this.#started;
  }

  get last(): number {
    return this.timeline.moments.length - 1;
  }

  push(frame: CanvasFrame): void {
    this.frames.push(frame);
    this.timeline.push(frame);
    if (this.#drawn || (atOnce.value && this.status.value === 'running')) return;
    this.#drawn = true;
    const draw = () => {
      this.#drawn = false;
      this.version.value++;
    };
    if (document.visibilityState === 'visible') requestAnimationFrame(draw);
    else setTimeout(draw);
  }

  /** Resolves when the run that was started last has ended. */
  finished: Promise<void> = Promise.resolve();

  /** Never rejects: what goes wrong is shown. */
  run(): Promise<void> {
    this.finished = this.#run();
    return this.finished;
  }

  async #run(): Promise<void> {
    this.status.value = 'running';
    this.#started = performance.now();
    this.#controller = new AbortController();
    let said = '';
    const text = (more: string) => {
      said += more;
      if (!atOnce.value) this.text.value = said;
    };
    const frame = (frame: CanvasFrame) => this.push(frame);
    try {
      await stream(this.request, { frame, text }, this.#controller.signal);
      this.status.value = 'done';
    } catch (error) {
      this.#failed(error);
    }
    this.text.value = said;
    if (atOnce.value) this.version.value++;
  }

  stop(): void {
    this.#controller.abort();
  }

  #failed(error: unknown): void {
    const stopped = this.#controller.signal.aborted;
    this.status.value = stopped ? 'stopped' : 'failed';
    if (!stopped) this.error.value = error instanceof Error ? error.message : String(error);
  }

  /** One forward from the canvas as it stands; what it would commit becomes the proposal. */
  async propose(): Promise<void> {
    this.status.value = 'running';
    this.#controller = new AbortController();
    const { last } = this.timeline;
    const start = last && Array.from(last.tokens, (id) => (id === this.timeline.mask ? null : id));
    const fixed = start && [...this.pins.value].filter((at) => start[at] !== null);
    const lacuna = { ...this.request.body.lacuna, ...(start && { start, fixed }), pause: 1 };
    const request = { ...this.request, body: { ...this.request.body, lacuna } };
    let found: StepFrame | undefined;
    const frame = (frame: CanvasFrame) => {
      if (frame.kind === 'start' && last === undefined) this.push(frame);
      if (frame.kind === 'step' && found === undefined) this.timeline.name((found = frame));
    };
    try {
      await stream(request, { frame, text: () => {} }, this.#controller.signal);
      this.status.value = 'manual';
      if (found === undefined) return;
      const wanted = new Set([...found.commits, ...(found.edits ?? [])].map(([at]) => at));
      this.proposal.value = { frame: found, wanted };
    } catch (error) {
      this.#failed(error);
    }
  }

  toggle(at: number): void {
    const proposal = this.proposal.value;
    if (proposal === undefined) return;
    const wanted = new Set(proposal.wanted);
    if (!wanted.delete(at)) wanted.add(at);
    this.proposal.value = { ...proposal, wanted };
  }

  /** Writes what the user left of the proposal. */
  apply(): void {
    const proposal = this.proposal.value;
    const { last, mask } = this.timeline;
    if (proposal === undefined || last === undefined) return;
    const { frame, wanted } = proposal;
    const kept = (list: Entry[] = []) => list.filter(([at]) => wanted.has(at));
    const tokens = last.tokens.slice();
    for (const [at, token] of [...kept(frame.commits), ...kept(frame.edits)]) tokens[at] = token;
    for (const at of frame.remasks ?? []) tokens[at] = mask;
    this.proposal.value = undefined;
    this.push({
      ...frame,
      step: last.step + 1,
      remaining: tokens.filter((token) => token === mask).length,
      ...{ commits: kept(frame.commits), edits: kept(frame.edits) },
    });
  }
}
