/** What is the same live and in a saved page: canvases, scrubber, charts, heat map. */
import { useEffect } from 'preact/hooks';
import { CanvasView } from './canvas-view.js';
import { Charts } from './charts.js';
import { Comparison } from './compare.js';
import { HeatMap } from './heat-map.js';
import type { Lane, Status } from './lane.js';
import { active, lanes, remove } from './state.js';
import { signal } from '@preact/signals';
import { Transport } from './transport.js';
import { textOf } from './words.js';

const names: Record<Status, string> = {
  waiting: 'waits for its turn',
  running: 'running',
  done: 'done',
  stopped: 'stopped',
  failed: 'failed',
  recorded: 'recorded',
  manual: 'by hand',
};

const wide = signal<Lane | undefined>(undefined);

function LaneHead({ lane, alone }: { lane: Lane; alone: boolean }) {
  const status = lane.status.value;
  return (
    <header class="lane-head">
      <button
        type="button"
        class="plain title"
        aria-pressed={active.value === lane}
        onClick={() => (active.value = lane)}
      >
        {lane.title.value}
      </button>
      <span class={`status ${status}`}>{names[status]}</span>
      {!alone && (
        <>
          <button
            type="button"
            class="plain"
            onClick={() => (wide.value = wide.value === lane ? undefined : lane)}
          >
            {wide.value === lane ? 'Side by side' : 'Widen'}
          </button>
          <button
            type="button"
            class="plain"
            aria-label={`Close ${lane.title.value}`}
            onClick={() => remove(lane)}
          >
            ✕
          </button>
        </>
      )}
    </header>
  );
}

function LaneView({ lane, alone }: { lane: Lane; alone: boolean }) {
  const json = lane.request.body.response_format !== undefined;
  const frames = lane.version.value > 0 || lane.timeline.moments.length > 0;
  return (
    <section
      class={`lane${active.value === lane && !alone ? ' current' : ''}`}
      aria-label={`Run ${lanes.value.indexOf(lane) + 1}: ${lane.title.value}`}
    >
      <LaneHead lane={lane} alone={alone} />
      {lane.error.value && (
        <p class="error" role="alert">
          {lane.error.value}
        </p>
      )}
      {(frames || !json) && <CanvasView lane={lane} />}
      {json && <Json text={lane.text.value} over={lane.status.value !== 'running'} />}
    </section>
  );
}

/** Text that is written in order, and whether it is JSON already. */
function Json({ text, over }: { text: string; over: boolean }) {
  let pretty = text;
  let whole = false;
  try {
    pretty = JSON.stringify(JSON.parse(text), null, 2);
    whole = true;
  } catch {
    // Not complete yet.
  }
  return (
    <div class="json">
      <span class={`badge ${whole ? 'good' : ''}`}>
        {whole ? 'valid JSON' : over ? 'not complete' : 'being written'}
      </span>
      <pre>{pretty}</pre>
    </div>
  );
}

const said = signal('');

/** Says now and then how far it is, and the text once: nothing is said for each token. */
function Announcer() {
  useEffect(() => {
    const tell = setInterval(() => {
      const lane = active.value;
      if (lane?.status.value !== 'running') return;
      const { last, timeline } = lane;
      const { remaining, tokens } = timeline.last ?? { remaining: 0, tokens: [] };
      const filled = Math.round(100 * (1 - remaining / Math.max(1, tokens.length)));
      said.value = `step ${last}, ${filled} percent filled`;
    }, 2000);
    return () => clearInterval(tell);
  }, []);
  const lane = active.value;
  const done = lane?.status.value === 'done' && lane.timeline.last;
  return (
    <p role="status" class="sr">
      {done ? `Done: ${textOf(lane.timeline, done)}` : said.value}
    </p>
  );
}

export function Viewer() {
  const list = lanes.value;
  const lane = active.value;
  const shown = wide.value && list.includes(wide.value) ? [wide.value] : list;
  return (
    <section class="view" aria-label="Canvas">
      <Announcer />
      <Transport />
      <div class={`lanes n${shown.length}`}>
        {shown.map((one) => (
          <LaneView key={one.id} lane={one} alone={list.length === 1} />
        ))}
      </div>
      <Comparison />
      {lane && <Charts lane={lane} />}
      {lane && <HeatMap lane={lane} />}
    </section>
  );
}
