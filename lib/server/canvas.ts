/** The canvas while it fills, beside the text: the field `lacuna` of chunks that say nothing else. */
import type { Frame } from '../frames.js';
import type { Generation, GenerationResult } from '../generation.js';
import type { Tokenizer } from '../text/tokenizer.js';
import type { Seen } from './observe.js';
import type { LacunaFields } from './request.js';
import type { Measure } from './steering.js';

/** Where frames go; an `EventStream`, for one. */
export interface FrameSink {
  /** @returns whether the reader keeps up; only then the frame was made and sent */
  offer(frame: () => object): boolean;
  send(frame: object): void;
}

/** A token by itself, and what it adds to the answer where that is something else. */
interface Word {
  text: string;
  /** In base64: part of a character, or nothing of a control token. */
  bytes?: string;
}

/** Steps between two pictures of the whole canvas. */
const keyframeEvery = 32;

/**
 * Sends frames as the reader keeps up: a start, then the changes of each step, whole pictures now and
 * then and after frames that were left out, an end. All positions count from the first of the answer.
 */
export class CanvasChannel {
  readonly #fields: LacunaFields;
  readonly #tokenizer: Tokenizer;
  readonly #events: FrameSink;
  readonly #chunk: (lacuna: object) => object;
  readonly #seen: ReadonlyMap<number, Seen>;
  #prompt = 0;
  #length: number | undefined; // of an answer that has become longer
  #missing = 0; // frames left out since the last picture
  #bytes: Record<number, string> = {}; // of the frame that is being made
  readonly #known = new Map<number, Word>();
  #lastPicture = 0;
  dropped = 0;

  /** @param chunk puts the field into a chunk of the endpoint */
  constructor(
    fields: LacunaFields,
    tokenizer: Tokenizer,
    events: FrameSink,
    seen: ReadonlyMap<number, Seen>,
    chunk: (lacuna: object) => object,
  ) {
    this.#fields = fields;
    this.#tokenizer = tokenizer;
    this.#events = events;
    this.#seen = seen;
    this.#chunk = chunk;
  }

  start({ prompt, policies, shape }: Generation): void {
    this.#prompt = prompt.length;
    const { initial, mask, ends, blocks } = shape;
    const fixed = () =>
      initial.flatMap((token, i) => (token === mask ? [] : [[i, token, this.#text(token)]]));
    const names = JSON.parse(JSON.stringify(policies, namesOnly)) as object;
    const length = Math.min(shape.maxTokens, initial.length);
    this.#offer(() => ({
      ...{ kind: 'start', length, prompt: prompt.length, blocks, mask, ends },
      ...{ fixed: fixed(), policies: names },
    }));
  }

  step(frame: Frame): void {
    const { canvas, every } = this.#fields;
    this.#length = frame.trace.longer?.maxTokens ?? this.#length;
    if (canvas === 'text') {
      if (frame.step % every === 0) {
        const { step, remaining, text } = frame;
        this.#offer(() => ({ kind: 'text', step, remaining, text }));
      }
      return;
    }
    const picture =
      canvas === 'full' ||
      frame.trace.splices !== undefined || // what they put in has no text in a step
      this.#missing > 0 ||
      frame.step - this.#lastPicture >= keyframeEvery;
    // Between frames changes would be lost, so that only whole pictures can be left out.
    const wanted = canvas === 'delta' ? this.#missing === 0 : frame.step % every === 0;
    if (canvas === 'delta' && wanted) this.#offer(() => this.#changes(frame));
    if (picture && (canvas === 'delta' || wanted)) {
      const sent = this.#offer(() => this.#picture(frame));
      if (sent) [this.#missing, this.#lastPicture] = [0, frame.step];
    }
  }

  end(result: GenerationResult | undefined, stats: object): void {
    const finish = result === undefined ? {} : { finish: result.finishReason };
    this.#events.send(this.#chunk({ v: 1, kind: 'end', ...finish, stats }));
  }

  #offer(make: () => object): boolean {
    const dropped = this.#missing > 0 ? { dropped: this.#missing } : {};
    const sent = this.#events.offer(() => {
      this.#bytes = {};
      const frame = make();
      const some = Object.keys(this.#bytes).length > 0;
      return this.#chunk({ v: 1, ...frame, ...(some && { bytes: this.#bytes }), ...dropped });
    });
    if (!sent) {
      this.#missing++;
      this.dropped++;
    }
    return sent;
  }

  #changes(frame: Frame): object {
    const { step, block, remaining, trace } = frame;
    const at = (position: number) => position - this.#prompt;
    const entries = (list: typeof trace.committed) =>
      list.map(([position, token, p]) => [at(position), token, this.#text(token), round(p)]);
    const { candidates } = this.#fields;
    return {
      ...{ kind: 'step', step, block, remaining, stable: frame.stable },
      ms: round(trace.timing?.total ?? 0),
      ...(trace.refresh && { refresh: true }),
      commits: entries(trace.committed),
      ...(trace.edited && { edits: entries(trace.edited) }),
      ...(trace.remasked && { remasks: trace.remasked.map(at) }),
      ...(trace.longer && { length: trace.longer.maxTokens }),
      ...(trace.splices && {
        splices: trace.splices.map((splice) => ({ ...splice, at: at(splice.at) })),
      }),
      confidence: this.#confidence(frame),
      ...this.#measures(frame),
      ...(candidates > 0 && { candidates: this.#candidates(frame) }),
    };
  }

  #picture(frame: Frame): object {
    const tokens = [...frame.tokens];
    const masked = new Set(frame.masked);
    const text = tokens.map((token, i) => (masked.has(i) ? null : this.#text(token)));
    const { step, block, remaining, stable } = frame;
    const length = this.#length === undefined ? {} : { length: this.#length };
    const state = { kind: 'keyframe', step, block, remaining, stable, ...length };
    const confidence = this.#confidence(frame);
    return { ...state, tokens, text, confidence, ...this.#measures(frame) };
  }

  /** (answer) One byte a position, in base64: 255 is sure. Of known tokens, when they were committed. */
  #confidence({ tokens, probability, masked }: Frame): string {
    const open = new Set(masked);
    const bytes = Uint8Array.from(tokens, (_, i) => {
      const seen = this.#seen.get(i + this.#prompt)?.probability ?? 0;
      const p = open.has(i) ? seen : probability[i];
      return Math.round(255 * (Number.isNaN(p) ? 0 : p));
    });
    return Buffer.from(bytes).toString('base64');
  }

  /** As bytes, like the confidence: 255 is a margin of 1, and the entropy of knowing nothing. */
  #measures({ tokens }: Frame): Partial<Record<Measure, string>> {
    const scale = { margin: 1, entropy: 1 / Math.log(this.#tokenizer.vocabularySize) };
    const bytesOf = (measure: Measure) =>
      Uint8Array.from(tokens, (_, i) => {
        const value = this.#seen.get(i + this.#prompt)?.[measure] ?? 0;
        return Math.round(255 * Math.min(1, Math.max(0, value * scale[measure])));
      });
    return Object.fromEntries(
      this.#fields.measures.map((name) => [name, Buffer.from(bytesOf(name)).toString('base64')]),
    );
  }

  /** Of positions that were masked before the step. */
  #candidates({ masked, committed }: Frame): unknown[] {
    return [...masked, ...committed]
      .sort((a, b) => a - b)
      .map((i) => [i, this.#seen.get(i + this.#prompt)?.top ?? []] as const)
      .filter(([, top]) => top.length > 0)
      .map(([i, top]) => [
        i,
        top.map(({ token, probability }) => [token, this.#text(token), round(probability)]),
      ]);
  }

  #text(token: number): string {
    const word = this.#known.get(token) ?? this.#word(token);
    this.#known.set(token, word);
    if (word.bytes !== undefined) this.#bytes[token] = word.bytes;
    return word.text;
  }

  #word(token: number): Word {
    const text = this.#tokenizer.token(token);
    const bytes = Buffer.from(this.#tokenizer.bytes(token)).toString('base64');
    if (text.includes('\ufffd')) return { text, bytes };
    const hidden = this.#tokenizer.decode([token]) !== text;
    return hidden ? { text, bytes: '' } : { text };
  }
}

function round(value: number): number | null {
  return Number.isNaN(value) ? null : Math.round(value * 1e4) / 1e4;
}

function namesOnly(_: string, value: unknown): unknown {
  if (typeof value === 'function') return `${value.name || 'anonymous'}()`;
  return ArrayBuffer.isView(value) ? undefined : value;
}
