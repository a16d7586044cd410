/** The fingerprint of a policy: positions across, steps down, colour by the lens. */
import { effect } from '@preact/signals';
import { useEffect, useRef, useState } from 'preact/hooks';
import { binOf, bins, leastSure, lensNumber, lensValue } from './figures.js';
import type { Mark } from './fold.js';
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

const property = (name: string) =>
  getComputedStyle(document.documentElement).getPropertyValue(`--${name}`);

function sized(canvas: HTMLCanvasElement, { columns, rows, width, height }: Grid) {
  const ratio = devicePixelRatio;
  canvas.width = Math.round(columns * width * ratio);
  canvas.height = Math.round(rows * height * ratio);
  const context = canvas.getContext('2d')!;
  context.scale(ratio, ratio);
  return context;
}

/** Colours and marks, which stay while the scrubber moves. */
function paint(lane: Lane, grid: Grid): HTMLCanvasElement {
  const { columns, rows, width, height } = grid;
  const canvas = document.createElement('canvas');
  const context = sized(canvas, grid);
  const colours = Array.from({ length: bins }, (_, i) => property(`bin${i}`));
  const ink = property('ink');
  context.fillStyle = property('ground');
  context.fillRect(0, 0, columns * width, rows * height);
  const { moments, mask } = lane.timeline;
  const seen = lens.peek() === 'none' ? 'confidence' : lens.peek();
  moments.slice(1).forEach((moment, y) => {
    // Cells of one colour that lie side by side are one rectangle.
    let [from, last] = [0, -1];
    for (let x = 0; x <= moment.tokens.length; x++) {
      const value =
        x < moment.tokens.length
          ? lensValue(seen, moment, x, moment.tokens[x] !== mask, rows)
          : undefined;
      const bin = value === undefined ? -1 : binOf(value);
      if (bin === last && x < moment.tokens.length) continue;
      if (last >= 0) {
        context.fillStyle = colours[last];
        context.fillRect(from * width, y * height, (x - from) * width + 0.5, height + 0.5);
      }
      [from, last] = [x, bin];
    }
    context.fillStyle = context.strokeStyle = ink;
    for (const [x, kind] of moment.marks) {
      mark(
        context,
        kind,
        (x + 0.5) * width,
        (y + 0.5) * height,
        Math.max(1, Math.min(width, height) / 3.2),
      );
    }
  });
  return canvas;
}

/** Round: committed; a diamond: edited; a cross: taken back. */
function mark(
  context: CanvasRenderingContext2D,
  kind: Mark,
  x: number,
  y: number,
  size: number,
): void {
  context.beginPath();
  if (kind === 'commit') context.arc(x, y, size, 0, 7);
  else if (kind === 'edit') {
    context.moveTo(x, y - size);
    context.lineTo(x + size, y);
    context.lineTo(x, y + size);
    context.lineTo(x - size, y);
  } else {
    context.moveTo(x - size, y - size);
    context.lineTo(x + size, y + size);
    context.moveTo(x + size, y - size);
    context.lineTo(x - size, y + size);
    context.stroke();
    return;
  }
  context.fill();
}

/** The picture, and over it where the scrubber and the inspector are. */
function draw(canvas: HTMLCanvasElement, picture: HTMLCanvasElement, grid: Grid): void {
  const { columns, rows, width, height } = grid;
  canvas.style.height = `${rows * height}px`;
  const context = sized(canvas, grid);
  context.drawImage(picture, 0, 0, columns * width, rows * height);
  context.strokeStyle = property('accent');
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
    const element = canvas.current!;
    let picture: HTMLCanvasElement;
    let grid: Grid;
    const anew = () => {
      grid = gridOf(lane, element.parentElement!);
      picture = paint(lane, grid);
      draw(element, picture, grid);
    };
    const whole = effect(() => {
      void [lane.version.value, theme.value, lens.value];
      anew();
    });
    const overlay = effect(() => {
      void [index.value, selected.value];
      draw(element, picture, grid);
    });
    const watch = new ResizeObserver(anew);
    watch.observe(element.parentElement!);
    return () => {
      whole();
      overlay();
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
