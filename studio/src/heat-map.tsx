/** The fingerprint of a policy: positions across, steps down, colour by the lens. */
import { effect } from '@preact/signals';
import { useEffect, useRef, useState } from 'preact/hooks';
import { binOf, bins, leastSure, lensNumber, lensValue } from './figures.js';
import type { Lane } from './lane.js';
import { active, go, index, lens, select, selected } from './state.js';
import { theme } from './theme.js';

interface Grid {
  columns: number;
  rows: number;
  /** CSS pixels of a cell. */
  width: number;
  height: number;
}

function gridOf(lane: Lane, box: HTMLElement): Grid {
  const columns = lane.timeline.last?.tokens.length ?? 1;
  const rows = Math.max(1, lane.timeline.moments.length - 1);
  const width = Math.max(1, box.clientWidth / columns);
  return { columns, rows, width, height: Math.min(10, Math.max(2, 260 / rows)) };
}

function draw(lane: Lane, canvas: HTMLCanvasElement, grid: Grid): void {
  const ratio = devicePixelRatio;
  const { columns, rows, width, height } = grid;
  canvas.width = Math.round(columns * width * ratio);
  canvas.height = Math.round(rows * height * ratio);
  canvas.style.height = `${rows * height}px`;
  const context = canvas.getContext('2d')!;
  const style = getComputedStyle(document.documentElement);
  const colours = Array.from({ length: bins }, (_, i) => style.getPropertyValue(`--bin${i}`));
  const [ink, accent, ground] = ['ink', 'accent', 'ground'].map((name) =>
    style.getPropertyValue(`--${name}`),
  );
  context.scale(ratio, ratio);
  context.fillStyle = ground;
  context.fillRect(0, 0, columns * width, rows * height);
  const { moments, mask } = lane.timeline;
  const seen = lens.peek() === 'none' ? 'confidence' : lens.peek();
  moments.slice(1).forEach((moment, y) => {
    moment.tokens.forEach((token, x) => {
      const value = lensValue(seen, moment, x, token !== mask, rows);
      if (value === undefined) return;
      context.fillStyle = colours[binOf(value)];
      context.fillRect(x * width, y * height, width + 0.5, height + 0.5);
    });
    context.fillStyle = context.strokeStyle = ink;
    for (const [x, mark] of moment.marks) {
      const [cx, cy] = [(x + 0.5) * width, (y + 0.5) * height];
      const size = Math.max(1, Math.min(width, height) / 3.2);
      context.beginPath();
      if (mark === 'commit') context.arc(cx, cy, size, 0, 7);
      else if (mark === 'edit') {
        context.moveTo(cx, cy - size);
        for (const [dx, dy] of [
          [1, 0],
          [0, 1],
          [-1, 0],
        ])
          context.lineTo(cx + dx * size, cy + dy * size);
      } else {
        context.moveTo(cx - size, cy - size);
        context.lineTo(cx + size, cy + size);
        context.moveTo(cx + size, cy - size);
        context.lineTo(cx - size, cy + size);
        context.stroke();
      }
      if (mark !== 'remask') context.fill();
    }
  });
  context.strokeStyle = accent;
  context.lineWidth = 1.5;
  const row = index.peek() - 1;
  if (row >= 0) context.strokeRect(0.75, row * height, columns * width - 1.5, height);
  const column = selected.peek();
  if (column !== undefined) context.strokeRect(column * width, 0.75, width, rows * height - 1.5);
}

export function HeatMap({ lane }: { lane: Lane }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const [told, tell] = useState('');
  useEffect(() => {
    const paint = () => {
      const element = canvas.current!;
      draw(lane, element, gridOf(lane, element.parentElement!));
    };
    const stop = effect(() => {
      void [lane.version.value, theme.value, lens.value, index.value, selected.value];
      paint();
    });
    const watch = new ResizeObserver(paint);
    watch.observe(canvas.current!.parentElement!);
    return () => {
      stop();
      watch.disconnect();
    };
  }, [lane]);
  const spot = (event: MouseEvent) => {
    const { left, top, width, height } = canvas.current!.getBoundingClientRect();
    const { columns, rows } = gridOf(lane, canvas.current!.parentElement!);
    const x = Math.floor(((event.clientX - left) / width) * columns);
    const y = Math.floor(((event.clientY - top) / height) * rows);
    return {
      x: Math.max(0, Math.min(x, columns - 1)),
      step: Math.max(0, Math.min(y, rows - 1)) + 1,
    };
  };
  const hover = (event: MouseEvent) => {
    const { x, step } = spot(event);
    const moment = lane.timeline.moments[step];
    if (moment === undefined) return;
    const known = moment.tokens[x] !== lane.timeline.mask;
    const value = lensValue(lens.value, moment, x, known, lane.last);
    const number = value === undefined ? '' : ` · ${lensNumber(lens.value, value, moment, x)}`;
    const token = known
      ? JSON.stringify(lane.timeline.texts.get(moment.tokens[x]) ?? '')
      : 'masked';
    tell(`step ${step} · position ${x} · ${token}${number}`);
  };
  const choose = (event: MouseEvent) => {
    const { x, step } = spot(event);
    active.value = lane;
    go(step);
    select(x);
  };
  void lane.version.value;
  const columns = lane.timeline.last?.tokens.length ?? 0;
  return (
    <figure class="heat">
      <figcaption>
        Positions across, steps down <span class="told">{told}</span>
      </figcaption>
      <canvas
        ref={canvas}
        role="img"
        aria-label={`Heat map: ${columns} positions over ${lane.last} steps. The table below has the least sure commits.`}
        onMouseMove={hover}
        onMouseLeave={() => tell('')}
        onClick={choose}
      />
      <details>
        <summary>Least sure commits</summary>
        <table>
          <thead>
            <tr>
              <th scope="col">Token</th>
              <th scope="col">Position</th>
              <th scope="col">Step</th>
              <th scope="col">Confidence</th>
            </tr>
          </thead>
          <tbody>
            {leastSure(lane.timeline, 10).map((row) => (
              <tr key={`${row.index}-${row.at}`}>
                <td>
                  <button
                    type="button"
                    class="plain"
                    onClick={() => {
                      go(row.index);
                      select(row.at);
                    }}
                  >
                    {JSON.stringify(row.text)}
                  </button>
                </td>
                <td>{row.at}</td>
                <td>{row.index}</td>
                <td>{row.p.toFixed(3)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </details>
    </figure>
  );
}
