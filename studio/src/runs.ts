/** Starting and stopping what the panel describes. */
import {
  request,
  catalogue,
  chosen,
  locked,
  numbers,
  preset,
  tab,
  tabNames,
  usual,
} from './form.js';
import { Lane } from './lane.js';
import { active, add, lanes, show } from './state.js';

/** What is chosen; if nothing is, the decoder that runs by itself, which text with gaps has of its own. */
function title(): string {
  const decoder = chosen.value.decode?.name;
  const fact = usual('decode');
  const plain = tab.value === 'complete' || tab.value === 'chat';
  const own = plain && typeof fact === 'object' ? fact.name : tabNames[tab.value];
  return [preset.value, decoder].filter(Boolean).join(' · ') || own;
}

function laneOf(): Lane {
  return new Lane(title(), catalogue.value?.model.id ?? '', structuredClone(request.value));
}

function nextSeed(): void {
  if (locked.value) return;
  numbers.value = { ...numbers.value, seed: Math.floor(Math.random() * 2 ** 31) };
}

/** One run in place of those on the screen. */
export async function run(): Promise<void> {
  nextSeed();
  const lane = laneOf();
  show([lane]);
  await lane.run();
}

/** One run beside those on the screen; they take turns, so that times can be compared. */
export async function compare(): Promise<void> {
  const busy = lanes.value.map((lane) => lane.finished);
  const lane = laneOf();
  add(lane);
  await Promise.all(busy);
  if (lanes.value.includes(lane)) await lane.run();
}

export function stop(): void {
  for (const lane of lanes.value) lane.stop();
}

/** The JSON tab writes values in the order of its scaffold: there is no step of a canvas. */
export function canStep(): boolean {
  return tab.value !== 'json' && tab.value !== 'fill';
}

/** A forward and what it proposes; then writing what was left of that. */
export async function step(): Promise<void> {
  const lane = active.value;
  if (lane?.status.value === 'manual') {
    if (lane.proposal.value) lane.apply();
    else if (lane.timeline.last?.remaining !== 0) await lane.propose();
    return;
  }
  const next = laneOf();
  next.title.value = `${next.title.value} · by hand`;
  show([next]);
  await next.propose();
}
