/** Numbers per step. The cursor of the charts is the scrubber. */
import { effect } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import { seriesOf, whatIf } from './figures.js';
import type { Timeline } from './fold.js';
import type { Lane } from './lane.js';
import { active, go, index, threshold } from './state.js';
import { theme } from './theme.js';

const colour = (name: string) =>
  getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

type Draw = (lane: Lane) => {
  data: uPlot.AlignedData;
  options: Omit<uPlot.Options, 'width' | 'height'>;
  /** The threshold is a line in it. */
  draggable?: boolean;
};

/** Lines over a plot: moving one does not draw the plot again. */
function overlay(plot: uPlot, draggable: boolean): () => void {
  const now = document.createElement('i');
  now.className = 'now';
  const tau = document.createElement('i');
  tau.className = 'tau';
  tau.title = 'drag: what if all of at least that had been committed';
  plot.over.append(now, ...(draggable ? [tau] : []));
  tau.onpointerdown = (event) => tau.setPointerCapture(event.pointerId);
  tau.onpointermove = (event) => {
    if (!tau.hasPointerCapture(event.pointerId)) return;
    const top = event.clientY - plot.over.getBoundingClientRect().top;
    const to = Math.max(0, Math.min(plot.posToVal(top, 'y'), 1));
    threshold.value = Math.round(100 * to) / 100;
  };
  tau.onclick = (event) => event.stopPropagation(); // no step was chosen
  return () => {
    now.hidden = index.peek() === 0;
    now.style.left = `${plot.valToPos(index.peek(), 'x')}px`;
    tau.classList.toggle('set', threshold.peek() !== undefined);
    if (draggable) tau.style.top = `${plot.valToPos(threshold.peek() ?? 1, 'y')}px`;
  };
}

/** There are no halves of steps and tokens. */
const whole = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000];

function axes(...more: uPlot.Axis[]): uPlot.Axis[] {
  const base = {
    stroke: colour('dim'),
    grid: { stroke: colour('line'), width: 1 },
    font: '11px system-ui',
  };
  const ticks = { show: false };
  const x = { ...base, ticks, grid: { show: false }, size: 20, gap: 2, incrs: whole };
  return [x, ...more].map((axis) => ({ ...base, ticks, ...axis }));
}

function Chart({ lane, label, draw }: { lane: Lane; label: string; draw: Draw }) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const choose = (event: MouseEvent) => {
    if (plot.current === null) return;
    const left = event.clientX - plot.current.over.getBoundingClientRect().left;
    active.value = lane;
    go(Math.round(plot.current.posToVal(left, 'x')));
  };
  useEffect(() => {
    const element = box.current!;
    let place = () => {};
    const make = () => {
      plot.current?.destroy();
      const { data, options, draggable = false } = draw(lane);
      const size = { width: Math.max(120, element.clientWidth), height: 116 };
      plot.current = new uPlot(
        {
          ...size,
          ...options,
          legend: { show: false },
          cursor: { y: false, points: { show: false }, drag: { x: false, y: false } },
          hooks: { draw: [() => place()] },
          padding: [6, 8, 0, 0],
        },
        data,
        element,
      );
      place = overlay(plot.current, draggable);
    };
    const redraw = effect(() => {
      void theme.value;
      void lane.version.value;
      void threshold.value;
      if (plot.current === null || themeOf.get(plot.current) !== theme.value) {
        make();
        themeOf.set(plot.current!, theme.value);
      } else plot.current.setData(draw(lane).data);
    });
    const move = effect(() => {
      void index.value;
      place();
    });
    const watch = new ResizeObserver(() =>
      plot.current?.setSize({ width: Math.max(120, element.clientWidth), height: 116 }),
    );
    watch.observe(element);
    return () => {
      redraw();
      move();
      watch.disconnect();
      plot.current?.destroy();
      plot.current = null;
    };
  }, [lane, draw]);
  return <div ref={box} class="plot" role="img" aria-label={label} onClick={choose} />;
}

const themeOf = new WeakMap<uPlot, string>();
const range = (_: uPlot, __: number, most: number): [number, number] => [0, Math.max(1, most)];
const steps = (_: uPlot, __: number, most: number): [number, number] => [
  0.5,
  Math.max(8, most) + 0.5,
];

const commits: Draw = ({ timeline }) => {
  const { step, committed, remaining } = seriesOf(timeline);
  const tau = threshold.peek();
  const guess = tau === undefined ? step.map(() => null) : whatIf(timeline, tau);
  const bars = uPlot.paths.bars!({ size: [0.7, 14] });
  return {
    data: [step, committed, remaining, guess],
    options: {
      scales: { x: { time: false, range: steps }, y: { range }, left: { range } },
      axes: axes(
        { scale: 'y', size: 32, incrs: whole },
        { scale: 'left', side: 1, size: 36, grid: { show: false }, incrs: whole },
      ),
      series: [
        {},
        {
          paths: bars,
          fill: colour('bar'),
          stroke: colour('bar'),
          width: 0,
          points: { show: false },
        },
        { scale: 'left', stroke: colour('dim'), width: 1.5, points: { show: false } },
        { stroke: colour('accent'), width: 1.5, dash: [3, 3], points: { show: false } },
      ],
    },
  };
};

const confidence: Draw = ({ timeline }) => {
  const { step, mean, gate } = seriesOf(timeline);
  return {
    draggable: !timeline.start?.blind,
    data: [step, mean, gate],
    options: {
      scales: { x: { time: false, range: steps }, y: { range: [0, 1] } },
      axes: axes({ scale: 'y', size: 32 }),
      series: [
        {},
        { stroke: colour('bar'), width: 1.5, points: { show: false } },
        { stroke: colour('warm'), width: 1.5, points: { show: false } },
      ],
    },
  };
};

/** Marked are only those of a cache: without one every step computes all. */
function refreshes(timeline: Timeline): (number | null)[] {
  const { refreshed } = seriesOf(timeline);
  return refreshed.includes(null) ? refreshed : refreshed.map(() => null);
}

const time: Draw = ({ timeline }) => {
  const { step, ms } = seriesOf(timeline);
  const dots = { show: true, size: 6, fill: colour('warm') };
  return {
    data: [step, ms, refreshes(timeline)],
    options: {
      scales: { x: { time: false, range: steps }, y: { range } },
      axes: axes({ scale: 'y', size: 32 }),
      series: [
        {},
        { stroke: colour('bar'), width: 1.5, points: { show: false } },
        { stroke: colour('warm'), paths: () => null, points: dots },
      ],
    },
  };
};

/** What a threshold would have committed, as far as the confidences of the run can say. */
function WhatIf({ lane }: { lane: Lane }) {
  void lane.version.value;
  const { timeline } = lane;
  const tau = threshold.value;
  const i = index.value;
  const did = seriesOf(timeline).committed[i - 1];
  const would = tau === undefined || i === 0 ? undefined : whatIf(timeline, tau)[i - 1];
  return (
    <label class="what-if">
      What if all of at least
      <input
        type="range"
        min="0"
        max="1"
        step="0.01"
        value={tau ?? 1}
        onInput={(event) => (threshold.value = Number(event.currentTarget.value))}
      />
      <output>{tau === undefined ? 'off' : tau.toFixed(2)}</output>
      {would !== undefined && (
        <span>
          this step: {would} instead of {did} (first order: later steps would change)
        </span>
      )}
      {tau !== undefined && (
        <button type="button" class="plain" onClick={() => (threshold.value = undefined)}>
          Off
        </button>
      )}
    </label>
  );
}

export function Charts({ lane }: { lane: Lane }) {
  void lane.version.value;
  const { timeline } = lane;
  const { committed } = seriesOf(timeline);
  const anew = refreshes(timeline).filter((ms) => ms !== null).length;
  const total = committed.reduce((a, b) => a + b, 0);
  const label = `Tokens committed in each of ${committed.length} steps`;
  return (
    <section class="charts" aria-label="Charts">
      <figure>
        <figcaption>
          Committed per step <i class="key bar" /> and masks left <i class="key dim" />
          <span class="sr" data-commits={committed.join(',')}>
            {total} tokens in {committed.length} steps
          </span>
        </figcaption>
        <Chart lane={lane} draw={commits} label={label} />
      </figure>
      <figure>
        <figcaption>
          Confidence of the block: mean <i class="key bar" />, gate <i class="key warm" />
        </figcaption>
        <Chart lane={lane} draw={confidence} label="Mean and least confidence before each commit" />
      </figure>
      <figure>
        <figcaption>
          Milliseconds per forward
          {anew > 0 && (
            <>
              , <i class="key dot warm" /> {anew} cache refreshes
            </>
          )}
        </figcaption>
        <Chart lane={lane} draw={time} label="Milliseconds of each forward" />
      </figure>
      {!timeline.start?.blind && <WhatIf lane={lane} />}
    </section>
  );
}
