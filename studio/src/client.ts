/** The server of this page. */
import type { CanvasFrame, Policy, RunRequest } from './frames.js';

export interface Field {
  type: 'number' | 'integer' | 'boolean' | 'string';
  default?: number | boolean | string;
  minimum?: number;
  maximum?: number;
  enum?: string[];
  description: string;
}
export interface PolicySchema {
  description: string;
  properties: Record<string, Field>;
}
export interface PresetFacts {
  about: string;
  decode?: Policy;
  blocks?: Policy;
  cache?: Policy | string;
}
export const roles = ['decode', 'blocks', 'cache'] as const;
export type Role = (typeof roles)[number];

/** `/lacuna/v1/policies` */
export type Catalogue = Record<Role, Record<string, PolicySchema>> & {
  model: { id: string; name: string; architecture: string; parameters: number; backend: string };
  presets: Record<string, PresetFacts>;
  defaults: {
    preset?: string;
    bos?: boolean;
    chat?: unknown;
    temperature: number;
    seed: number;
  } & Partial<Record<Role, Policy>>;
};

const storage = 'lacuna-token';

/** Keeps the token of the start address for this tab, and takes it out of the address. */
export function takeToken(): void {
  const given = new URLSearchParams(location.hash.slice(1)).get('token');
  if (given === null) return;
  sessionStorage.setItem(storage, given);
  history.replaceState(null, '', location.pathname);
}

export function locked(): boolean {
  return sessionStorage.getItem(storage) !== null;
}

function headers(): Record<string, string> {
  const token = sessionStorage.getItem(storage);
  return {
    'content-type': 'application/json',
    ...(token !== null && { authorization: `Bearer ${token}` }),
  };
}

async function refused(response: Response): Promise<Error> {
  const body = (await response.json().catch(() => null)) as { error?: { message?: string } } | null;
  return new Error(body?.error?.message ?? `the server answered ${response.status}`);
}

export async function policies(): Promise<Catalogue> {
  const response = await fetch('/lacuna/v1/policies', { headers: headers() });
  if (!response.ok) throw await refused(response);
  return (await response.json()) as Catalogue;
}

/** Token ids of a text. */
export async function tokenize(text: string): Promise<number[]> {
  const body = JSON.stringify({ content: text, add_special: false });
  const response = await fetch('/tokenize', { method: 'POST', headers: headers(), body });
  if (!response.ok) throw await refused(response);
  return ((await response.json()) as { tokens: number[] }).tokens;
}

interface Chunk {
  choices?: { text?: string; delta?: { content?: string } }[];
  lacuna?: CanvasFrame;
  error?: { message: string };
}

/** Runs a request as a stream. Resolves at its end; rejects with what the server or network said. */
export async function stream(
  { path, body }: RunRequest,
  on: { frame(frame: CanvasFrame): void; text(text: string): void },
  signal: AbortSignal,
): Promise<void> {
  const response = await fetch(path, {
    ...{ method: 'POST', headers: headers(), signal },
    body: JSON.stringify({ ...body, stream: true }),
  });
  if (!response.ok || response.body === null) throw await refused(response);
  let rest = '';
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    const events = (rest + part.value).split('\n\n');
    rest = events.pop()!;
    for (const event of events) {
      if (!event.startsWith('data: {')) continue;
      const chunk = JSON.parse(event.slice(6)) as Chunk;
      if (chunk.error) throw new Error(chunk.error.message);
      if (chunk.lacuna) on.frame(chunk.lacuna);
      const [choice] = chunk.choices ?? [];
      const text = choice?.text ?? choice?.delta?.content;
      if (text) on.text(text);
    }
  }
}
