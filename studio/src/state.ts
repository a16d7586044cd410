/** What the page shows: which runs, which of them, which step, through which lens. */
import { computed, signal } from '@preact/signals';
import type { Lens } from './figures.js';
import type { Lane } from './lane.js';

export const mostLanes = 4;

export const lanes = signal<readonly Lane[]>([]);
export const active = signal<Lane | undefined>(undefined);
/** Index of the moment that is looked at; null: the newest. */
export const at = signal<number | null>(null);
export const playing = signal(false);
export const speed = signal(1);
export const lens = signal<Lens>('confidence');
export const selected = signal<number | undefined>(undefined);
export const threshold = signal<number | undefined>(undefined);
export const togethers = { step: 'step', time: 'time', filled: 'share filled' };
export type Together = keyof typeof togethers;
/** How lanes keep together. */
export const together = signal<Together>('step');
export const notice = signal('');

/** Index of the active lane's moment that is looked at. */
export const index = computed(() => {
  const lane = active.value;
  if (lane === undefined) return 0;
  void lane.version.value;
  return Math.max(0, at.value === null ? lane.last : Math.min(at.value, lane.last));
});

/** The same of any lane. */
export function indexOf(lane: Lane): number {
  if (lane === active.value || active.value === undefined) return index.value;
  void lane.version.value;
  if (at.value === null) return lane.last;
  if (together.value === 'step') return Math.max(0, Math.min(at.value, lane.last));
  const far = (one: Lane, i: number) => {
    const moment = one.timeline.moments[i];
    if (moment === undefined) return 0;
    if (together.value === 'time') return moment.elapsed;
    return 1 - moment.remaining / Math.max(1, moment.tokens.length);
  };
  const to = far(active.value, index.value);
  const found = lane.timeline.moments.findIndex((_, i) => far(lane, i) >= to);
  return found < 0 ? lane.last : found;
}

/** Shows these runs instead of those before. */
export function show(list: readonly Lane[]): void {
  for (const lane of lanes.value) if (!list.includes(lane)) lane.stop();
  lanes.value = list;
  active.value = list[0];
  [at.value, playing.value, selected.value] = [null, false, undefined];
}

/** Adds a run beside the others; the last goes where there is no room. */
export function add(lane: Lane): void {
  lanes.value = [...lanes.value.slice(0, mostLanes - 1), lane];
  active.value = lane;
  at.value = null;
  playing.value = false;
}

export function remove(lane: Lane): void {
  lane.stop();
  lanes.value = lanes.value.filter((one) => one !== lane);
  if (active.value === lane) active.value = lanes.value[0];
}

/** Looks at another step, as far as there is one. */
export function go(to: number | null): void {
  const last = active.value?.last ?? 0;
  at.value = to === null ? null : Math.max(0, Math.min(to, last));
}

let clock: ReturnType<typeof setTimeout> | undefined;

/** Plays from here, or from the beginning if this is the end. */
export function play(): void {
  const lane = active.value;
  clearTimeout(clock);
  playing.value = !playing.value && lane !== undefined;
  if (!playing.value) {
    at.value = index.value;
    return;
  }
  if (index.value >= lane!.last && lane!.status.value !== 'running') at.value = 0;
  else at.value = index.value;
  const tick = () => {
    if (!playing.value) return;
    const next = index.value + 1;
    if (next > (active.value?.last ?? 0)) {
      playing.value = false;
      at.value = null;
      return;
    }
    at.value = next;
    clock = setTimeout(tick, 120 / speed.value);
  };
  clock = setTimeout(tick, 120 / speed.value);
}

/** The position under the cursor moves over the canvas. */
export function select(to: number | undefined): void {
  const length = active.value?.timeline.moments[index.value]?.tokens.length ?? 0;
  selected.value =
    to === undefined || length === 0 ? undefined : Math.max(0, Math.min(to, length - 1));
}
