/** What `lacuna run --trace` writes, as the frames that a server would have sent. Pure. */
import { base64Of, bytesOf } from './base64.js';
import type { CanvasFrame, Entry, Policy, RunRequest, Trace } from './frames.js';

/** docs/decoding/traces.md says what is in it; this is what is read of it. */
export interface TerminalTrace {
  kind: 'trace';
  model: { architecture: string; name?: string };
  sampling?: { temperature?: number; topP?: number; topK?: number; seed?: number };
  policies: Record<string, Policy | Policy[]>;
  prompt: number[];
  shape: {
    maxTokens: number;
    initial: number[];
    capacity: number;
    mask: number;
    blocks: number;
    ends: number[];
  };
  steps: TerminalStep[];
  forwards: number;
  finishReason: string;
  timing: { total: number };
  text: string;
  tokens: number[];
  /** Bytes by token, base64. */
  pieces: Record<string, string>;
  /** Names of control tokens. */
  special: Record<string, string>;
}

type Written = [position: number, token: number, p: number | null];

interface TerminalStep {
  step: number;
  block: number;
  refresh: boolean;
  committed: Written[];
  edited?: Written[];
  remasked?: number[];
  stable: number;
  splices?: { at: number; remove: number; tokens: number[] }[];
  timing?: { total: number };
}

export function terminalTrace(file: TerminalTrace): Trace {
  const { model, policies, text } = file;
  const decode = policies.decode as Policy | undefined;
  return {
    ...{ kind: 'lacuna-run', v: 1, title: decode?.name ?? 'a run', text },
    model: model.name || model.architecture,
    request: requestOf(file),
    frames: framesOf(file),
  };
}

function framesOf(file: TerminalTrace): CanvasFrame[] {
  const { shape, prompt, policies, steps, tokens, forwards, timing } = file;
  const { maxTokens, initial, mask, blocks, ends } = shape;
  const names = namesOf(file);
  const answer = new Answer(file, names.text);
  const count = tokens.length;
  const length = Math.min(maxTokens, initial.length);
  const known = initial.slice(0, length).map((token, i) => [i, token, names.text(token)] as const);
  return [
    {
      ...{ kind: 'start', length, prompt: prompt.length, blocks, mask, ends, policies },
      fixed: known.filter(([, token]) => token !== mask).map((entry) => [...entry]),
      ...{ blind: true, bytes: names.bytes },
    },
    ...steps.flatMap((step) => answer.frames(step)),
    {
      ...{ kind: 'end', finish: file.finishReason },
      stats: {
        ...{ forwards, tokens: count, tokensPerForward: forwards === 0 ? 0 : count / forwards },
        ...{ slots: answer.length, wallMs: timing.total },
      },
    },
  ];
}

/** The answer as it is filled; the canvas may go on behind it. */
class Answer {
  readonly #file: TerminalTrace;
  readonly #text: (token: number) => string;
  #tokens: number[];
  #sure: number[];

  constructor(file: TerminalTrace, text: (token: number) => string) {
    [this.#file, this.#text] = [file, text];
    const { initial, mask } = file.shape;
    this.#tokens = [...initial];
    this.#sure = initial.map((token) => Number(token !== mask));
  }

  get length(): number {
    return Math.min(this.#file.shape.maxTokens, this.#tokens.length);
  }

  frames(step: TerminalStep): CanvasFrame[] {
    const { prompt, shape } = this.#file;
    const { committed, edited = [], remasked = [], splices = [], block, stable, refresh } = step;
    const at = (position: number) => position - prompt.length;
    const inside = (i: number) => i >= 0 && i < this.length;
    const entries = (list: Written[]) =>
      list
        .map(([position, token, p]): Entry => [at(position), token, this.#text(token), p])
        .filter(([i]) => inside(i));
    const changes = {
      ...{ commits: entries(committed), edits: entries(edited) },
      remasks: remasked.map(at).filter(inside),
    };
    for (const [position, token, p] of [...committed, ...edited]) {
      this.#write(at(position), token, p ?? 0);
    }
    for (const position of remasked) this.#write(at(position), shape.mask, 0);
    const moved = splices.map((splice) => ({ ...splice, at: at(splice.at) }));
    for (const splice of moved.toReversed()) this.#splice(splice);
    const facts = { step: step.step, block, stable: Math.min(stable, this.length) };
    const state = { ...facts, ...this.#measured() };
    const ms = step.timing?.total ?? 0;
    if (moved.length === 0) return [{ kind: 'step', ...state, ms, refresh, ...changes }];
    const tokens = this.#tokens.slice(0, this.length);
    const text = tokens.map((token) => (token === shape.mask ? null : this.#text(token)));
    return [
      { kind: 'step', ...state, ms, refresh, ...changes, splices: moved },
      { kind: 'keyframe', ...state, tokens, text },
    ];
  }

  #write(at: number, token: number, p: number): void {
    [this.#tokens[at], this.#sure[at]] = [token, p];
  }

  #splice({ at, remove, tokens }: { at: number; remove: number; tokens: number[] }): void {
    const { capacity } = this.#file.shape;
    this.#tokens.splice(at, remove, ...tokens);
    this.#sure.splice(at, remove, ...tokens.map(() => 0));
    this.#tokens = this.#tokens.slice(0, capacity);
    this.#sure = this.#sure.slice(0, capacity);
  }

  #measured(): { remaining: number; confidence: string } {
    const tokens = this.#tokens.slice(0, this.length);
    const sure = this.#sure.slice(0, this.length);
    return {
      remaining: tokens.filter((token) => token === this.#file.shape.mask).length,
      confidence: base64Of(Uint8Array.from(sure, (p) => Math.round(255 * p))),
    };
  }
}

/** Text of each token; `bytes` where that is not what it adds to the answer. */
function namesOf({ pieces, special }: TerminalTrace) {
  const bytes: Record<string, string> = {};
  const texts = new Map<number, string>();
  for (const [id, piece] of Object.entries(pieces)) {
    const text = new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytesOf(piece));
    texts.set(Number(id), text);
    if (special[id] !== undefined) bytes[id] = '';
    else if (text.includes('\uFFFD')) bytes[id] = piece;
  }
  // Without a tokenizer the ids are all there is.
  return { bytes, text: (token: number) => texts.get(token) ?? ` #${token}` };
}

/** The same run once more, as far as the page can say it. */
function requestOf(file: TerminalTrace): RunRequest {
  const { prompt, policies, special, sampling = {}, shape, pieces } = file;
  const { temperature, topP, topK, seed } = sampling;
  const [first, ...others] = prompt;
  // In front, the server puts the token that begins a text by itself.
  const plain = special[first] === undefined ? prompt : others;
  const text = plain.every((id) => special[id] === undefined && pieces[id] !== undefined);
  const bytes = plain.flatMap((id) => [...bytesOf(pieces[id] ?? '')]);
  const lacuna = Object.fromEntries(
    (['decode', 'blocks', 'cache'] as const).flatMap((role) => {
      const named = namedPolicy(policies[role]);
      return named === undefined ? [] : [[role, named]];
    }),
  );
  const watch = { canvas: 'delta', measures: ['entropy', 'margin'], ahead: true, candidates: 5 };
  const body = {
    prompt: text ? new TextDecoder().decode(Uint8Array.from(bytes)) : prompt,
    max_tokens: shape.maxTokens,
    ...{ temperature, top_p: topP, top_k: topK, seed },
    lacuna: { ...watch, ...lacuna },
  };
  return { path: '/v1/completions', body };
}

/** As a request names it; undefined for one whose options are more than numbers and words. */
function namedPolicy(policy: Policy | Policy[] | undefined): Policy | undefined {
  if (policy === undefined || Array.isArray(policy)) return undefined;
  const { name, options = {} } = policy;
  const given = typeof options === 'number' ? { size: options } : (options as object);
  const simple = Object.values(given).every((value) => typeof value !== 'object');
  return simple ? { name, options: given } : undefined;
}
