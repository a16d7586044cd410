/** Through time: the scrubber, play, and which lens lies over the canvas. */
import { Choice } from './choice.js';
import { bins, lenses, type Lens } from './figures.js';
import { blockOf } from './fold.js';
import type { Lane } from './lane.js';
import { active, at, go, index, lens, play, playing, speed } from './state.js';

const speeds = [0.25, 0.5, 1, 2, 4];

/** To the first step of the block before or after. */
export function goBlock(direction: 1 | -1): void {
  const moments = active.value?.timeline.moments ?? [];
  const from = index.value;
  const block = moments[from]?.block;
  let to = from + direction;
  while (moments[to] && moments[to].block === block) to += direction;
  go(to);
}

export function faster(direction: 1 | -1): void {
  const next = speeds.indexOf(speed.value) + direction;
  speed.value = speeds[Math.max(0, Math.min(next, speeds.length - 1))];
}

const shapes = {
  first: 'M3 3h2v10H3zM13 3v10L6 8z',
  back: 'M11 3v10L4 8z',
  play: 'M4 2.5v11L13.5 8z',
  pause: 'M4 3h3v10H4zM9 3h3v10H9z',
  forward: 'M5 3v10l7-5z',
  last: 'M3 3v10l7-5zM11 3h2v10h-2z',
};

function Icon({ shape }: { shape: keyof typeof shapes }) {
  return (
    <svg class="icon" viewBox="0 0 16 16" aria-hidden="true">
      <path d={shapes[shape]} />
    </svg>
  );
}

function Steps() {
  return (
    <div class="buttons" role="group" aria-label="Steps">
      <button type="button" aria-label="First step" onClick={() => go(0)}>
        <Icon shape="first" />
      </button>
      <button type="button" aria-label="Step back" onClick={() => go(index.value - 1)}>
        <Icon shape="back" />
      </button>
      <button type="button" aria-label={playing.value ? 'Pause' : 'Play'} onClick={play}>
        <Icon shape={playing.value ? 'pause' : 'play'} />
      </button>
      <button type="button" aria-label="Step forward" onClick={() => go(index.value + 1)}>
        <Icon shape="forward" />
      </button>
      <button type="button" aria-label="Last step" onClick={() => go(null)}>
        <Icon shape="last" />
      </button>
    </div>
  );
}

function Scrubber({ last }: { last: number }) {
  return (
    <>
      <input
        type="range"
        class="scrubber"
        aria-label="Step"
        aria-valuetext={`step ${index.value} of ${last}`}
        min="0"
        max={Math.max(1, last)}
        value={index.value}
        onInput={(event) => {
          playing.value = false;
          go(Number(event.currentTarget.value));
        }}
      />
      <output class="where">
        {index.value}/{last}
      </output>
    </>
  );
}

function stateOf({ timeline }: Lane): string {
  const moment = timeline.moments[index.value];
  if (moment === undefined || timeline.start === undefined) return '';
  const length = timeline.last!.tokens.length;
  const blocks = Math.max(timeline.start.blocks, length && blockOf(timeline, length - 1) + 1);
  const masks = moment.remaining === 1 ? '1 mask' : `${moment.remaining} masks`;
  return `block ${moment.block + 1}/${blocks} · ${masks} left`;
}

function LensChoice() {
  return (
    <>
      <Choice
        label="Lens"
        name="lens"
        value={lens.value}
        options={lenses.map(({ key, label, about }, i) => [key, `${i + 1} ${label}`, about])}
        choose={(key) => (lens.value = key as Lens)}
      />
      <span class="ramp" aria-hidden="true">
        low
        {Array.from({ length: bins }, (_, i) => (
          <i key={i} class={`bin${i}`} />
        ))}
        high
      </span>
    </>
  );
}

export function Transport() {
  const lane = active.value;
  if (lane === undefined) return null;
  void lane.version.value;
  return (
    <div class="transport">
      <Steps />
      <Scrubber last={lane.last} />
      <Choice
        label="Speed"
        hidden
        value={String(speed.value)}
        options={speeds.map((x) => [String(x), `${x}×`])}
        choose={(x) => (speed.value = Number(x))}
      />
      {lane.status.value === 'running' && at.value !== null && (
        <button type="button" class="live" onClick={() => go(null)}>
          Live ▸
        </button>
      )}
      <div class="second">
        <span class="state">{stateOf(lane)}</span>
        <LensChoice />
      </div>
    </div>
  );
}
