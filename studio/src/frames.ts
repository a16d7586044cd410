/** What the server says of a canvas while it fills, and the file that keeps it. */

/** Position in the answer, token id, its text, probability where the policy proposed it. */
export type Entry = [at: number, token: number, text: string, p: number | null];
export type Candidates = [at: number, top: [token: number, text: string, p: number][]];

export interface Policy {
  name: string;
  options?: unknown;
}

interface Named {
  /** By token id, what it adds to the answer where that is not its text: base64, empty for nothing. */
  bytes?: Record<string, string>;
}

export interface StartFrame extends Named {
  kind: 'start';
  /** Positions of the answer. */
  length: number;
  /** Tokens before it. */
  prompt: number;
  blocks: number;
  mask: number;
  /** Tokens that end the answer. */
  ends: number[];
  /** What is known at first. */
  fixed: [at: number, token: number, text: string][];
  policies: Record<string, Policy | Policy[]>;
  /** What the model thought of masks was not kept: their confidence is 0 in all frames. */
  blind?: boolean;
}

interface Measured extends Named {
  /** Of an answer that became longer while it was written: its positions from here on. */
  length?: number;
  step: number;
  block: number;
  remaining: number;
  /** Positions that nothing changes any more, from the first on. */
  stable: number;
  /** One byte a position, base64. */
  confidence: string;
  entropy?: string;
  margin?: string;
}

export interface StepFrame extends Measured {
  kind: 'step';
  ms: number | null;
  /** The step computed a cache anew. */
  refresh?: boolean;
  commits: Entry[];
  edits?: Entry[];
  remasks?: number[];
  splices?: { at: number; remove: number; tokens: number[] }[];
  candidates?: Candidates[];
}

export interface Keyframe extends Measured {
  kind: 'keyframe';
  tokens: number[];
  text: (string | null)[];
}

export interface Stats {
  forwards: number;
  tokens: number;
  tokensPerForward: number;
  slots: number;
  firstTextMs?: number;
  wallMs: number;
}

export interface EndFrame {
  kind: 'end';
  finish?: string;
  stats: Stats;
}

export type CanvasFrame = StartFrame | StepFrame | Keyframe | EndFrame;

/** A request to the server: enough to make it again. */
export interface RunRequest {
  path: '/v1/completions' | '/v1/chat/completions';
  body: {
    lacuna?: Record<string, unknown>;
    [key: string]: unknown;
  };
}

/** A run as a file: `.lacuna.json`. */
export interface Trace {
  kind: 'lacuna-run';
  v: 1;
  title: string;
  model: string;
  request: RunRequest;
  frames: CanvasFrame[];
  text: string;
}
