/** Going on from a step of a run with something changed, as a run of its own beside it. */
import { tokenize } from './client.js';
import { Lane } from './lane.js';
import { add, notice } from './state.js';
import { nameOf } from './words.js';

/** A token, a text, a mask, or the token that is there and stays. */
export type Change = { at: number } & (
  { token: number } | { words: string } | { remask: true } | { pin: true }
);

/** Starts at moment `index` of the run. What is put in by hand stays; so does what was pinned before. */
export async function branch(lane: Lane, index: number, change: Change): Promise<void> {
  const { timeline } = lane;
  const start = Array.from(timeline.moments[index].tokens, (token) =>
    token === timeline.mask ? null : token,
  );
  const fixed = new Set([...lane.pins.value].filter((at) => start[at] !== null));
  const { at } = change;
  let name: string;
  if ('remask' in change) {
    start[at] = null;
    fixed.delete(at);
    name = `re-mask ${at}`;
  } else if ('pin' in change) {
    fixed.add(at);
    name = `pin ${at}`;
  } else {
    const tokens = 'token' in change ? [change.token] : await tokensOf(change.words);
    if (tokens === undefined) return;
    tokens.slice(0, start.length - at).forEach((token, i) => {
      start[at + i] = token;
      fixed.add(at + i);
    });
    const what = 'token' in change ? nameOf(timeline, change.token) : JSON.stringify(change.words);
    name = `${what} at ${at}`;
  }
  const { body, path } = lane.request;
  const { template: _, pause: _p, ...lacuna } = body.lacuna ?? {};
  const more = { lacuna: { ...lacuna, start, fixed: [...fixed].sort((a, b) => a - b) } };
  const request = { path, body: { ...body, max_tokens: start.length, ...more } };
  const next = new Lane(`${lane.title.value} · ${name}`, lane.model, request);
  add(next);
  await next.run();
}

async function tokensOf(words: string): Promise<number[] | undefined> {
  try {
    return await tokenize(words);
  } catch (error) {
    notice.value = error instanceof Error ? error.message : String(error);
    return undefined;
  }
}
