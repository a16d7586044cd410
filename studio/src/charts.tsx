/** Numbers per step. The cursor of the charts is the scrubber. */
import { effect } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import { seriesOf, whatIf } from './figures.js';
import type { Lane } from './lane.js';
import { active, go, index, threshold } from './state.js';
import { theme } from './theme.js';

const colour = (name: string) =>
  getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

type Draw = (lane: Lane) => {
  data: uPlot.AlignedData;
  options: Omit<uPlot.Options, 'width' | 'height'>;
};

/** A vertical line at the step that is looked at. */
function marker(plot: uPlot): void {
  const { ctx, bbox } = plot;
  const x = Math.round(plot.valToPos(index.peek(), 'x', true));
  if (index.peek() === 0) return;
  ctx.save();
  ctx.strokeStyle = colour('accent');
  ctx.lineWidth = 2 * devicePixelRatio;
  ctx.beginPath();
  ctx.moveTo(x, bbox.top);
  ctx.lineTo(x, bbox.top + bbox.height);
  ctx.stroke();
  ctx.restore();
}

function axes(...more: uPlot.Axis[]): uPlot.Axis[] {
  const base = {
    stroke: colour('dim'),
    grid: { stroke: colour('line'), width: 1 },
    font: '11px system-ui',
  };
  const ticks = { show: false };
  const x = { ...base, ticks, grid: { show: false }, size: 20, gap: 2 };
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
    const make = () => {
      plot.current?.destroy();
      const { data, options } = draw(lane);
      const size = { width: Math.max(120, element.clientWidth), height: 116 };
      plot.current = new uPlot(
        {
          ...size,
          ...options,
          legend: { show: false },
          cursor: { y: false, points: { show: false }, drag: { x: false, y: false } },
          hooks: { draw: [marker] },
          padding: [6, 8, 0, 0],
        },
        data,
        element,
      );
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
      plot.current?.redraw(false, false);
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
        { scale: 'y', size: 32 },
        { scale: 'left', side: 1, size: 36, grid: { show: false } },
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
  const tau = threshold.peek();
  return {
    data: [step, mean, gate, step.map(() => tau ?? null)],
    options: {
      scales: { x: { time: false, range: steps }, y: { range: [0, 1] } },
      axes: axes({ scale: 'y', size: 32 }),
      series: [
        {},
        { stroke: colour('bar'), width: 1.5, points: { show: false } },
        { stroke: colour('warm'), width: 1.5, points: { show: false } },
        { stroke: colour('accent'), width: 1.5, dash: [3, 3], points: { show: false } },
      ],
    },
  };
};

const time: Draw = ({ timeline }) => {
  const { step, ms } = seriesOf(timeline);
  return {
    data: [step, ms],
    options: {
      scales: { x: { time: false, range: steps }, y: { range } },
      axes: axes({ scale: 'y', size: 32 }),
      series: [{}, { stroke: colour('bar'), width: 1.5, points: { show: false } }],
    },
  };
};

export function Charts({ lane }: { lane: Lane }) {
  void lane.version.value;
  const tau = threshold.value;
  const i = index.value;
  const would = tau === undefined || i === 0 ? undefined : whatIf(lane.timeline, tau)[i - 1];
  const did = seriesOf(lane.timeline).committed;
  const total = did.reduce((a, b) => a + b, 0);
  return (
    <section class="charts" aria-label="Charts">
      <figure>
        <figcaption>
          Committed per step <i class="key bar" /> and masks left <i class="key dim" />
          <span class="sr" data-commits={did.join(',')}>
            {total} tokens in {did.length} steps
          </span>
        </figcaption>
        <Chart
          lane={lane}
          draw={commits}
          label={`Tokens committed in each of ${did.length} steps`}
        />
      </figure>
      <figure>
        <figcaption>
          Confidence of the block: mean <i class="key bar" />, gate <i class="key warm" />
        </figcaption>
        <Chart lane={lane} draw={confidence} label="Mean and least confidence before each commit" />
      </figure>
      <figure>
        <figcaption>Milliseconds per forward</figcaption>
        <Chart lane={lane} draw={time} label="Milliseconds of each forward" />
      </figure>
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
            this step: {would} instead of {did[i - 1]} (first order: later steps would change)
          </span>
        )}
        {tau !== undefined && (
          <button type="button" class="plain" onClick={() => (threshold.value = undefined)}>
            Off
          </button>
        )}
      </label>
    </section>
  );
}
