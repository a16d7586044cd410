/** Runs as files: saved, opened, made into a page of its own. */
import { base64Of, bytesOf } from './base64.js';
import type { Trace } from './frames.js';
import { Lane } from './lane.js';
import { lanes, notice, show } from './state.js';
import { parseTrace } from './traces.js';

export function save(name: string, content: string, type: string): void {
  const url = URL.createObjectURL(new Blob([content], { type }));
  const link = document.createElement('a');
  Object.assign(link, { href: url, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

const nameOf = (lane: Lane) =>
  lane.title.value
    .replace(/[^\p{L}\p{N}]+/gu, '-')
    .replace(/^-|-$/g, '')
    .toLowerCase() || 'run';

export function saveTrace(lane: Lane): void {
  save(`${nameOf(lane)}.lacuna.json`, JSON.stringify(lane.trace), 'application/json');
}

/** Opens a run beside nothing; whoever fails says why. */
export function open(json: string): Lane | undefined {
  try {
    const lane = Lane.of(parseTrace(json));
    show([lane]);
    return lane;
  } catch (error) {
    notice.value = error instanceof Error ? error.message : String(error);
    return undefined;
  }
}

/** base64 of the gzipped JSON. */
export async function packed(traces: readonly Trace[]): Promise<string> {
  const stream = new Blob([JSON.stringify(traces)]).stream();
  const zipped = stream.pipeThrough(new CompressionStream('gzip'));
  return base64Of(new Uint8Array(await new Response(zipped).arrayBuffer()));
}

export async function unpacked(base64: string): Promise<Trace[]> {
  const stream = new Blob([bytesOf(base64)]).stream().pipeThrough(new DecompressionStream('gzip'));
  return JSON.parse(await new Response(stream).text()) as Trace[];
}

async function digest(text: string): Promise<string> {
  const hash = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text));
  return `'sha256-${base64Of(new Uint8Array(hash))}'`;
}

/** All runs on the screen in one page that plays from a disk: nothing is loaded, nothing is asked. */
export async function saveHtml(): Promise<void> {
  const [script, style] = await Promise.all(
    ['/studio/player.js', '/studio/player.css'].map(async (path) => (await fetch(path)).text()),
  );
  // Inside a script element only its end tag and comments mean anything to HTML.
  const code = script.replaceAll(/<(?=\/script|!--)/gi, '\\x3c');
  const policy = `default-src 'none'; script-src ${await digest(code)}; style-src ${await digest(style)}; img-src data:`;
  const data = await packed(lanes.value.map((lane) => lane.trace));
  const html = `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><meta http-equiv="Content-Security-Policy" content="${policy}"><title>Lacuna: a recorded run</title><style>${style}</style><div id="app"></div><script type="text/plain" id="runs">${data}</script><script>${code}</script></html>`;
  save(`${nameOf(lanes.value[0])}.html`, html, 'text/html');
}
