/** The fingerprint of a policy: positions across, steps down, colour by the lens. */
import { effect, useSignal, type Signal } from '@preact/signals';
import { useEffect, useRef, useState } from 'preact/hooks';
import { binOf, bins, leastSure, lensNumber, lensValue } from './figures.js';
import type { Mark, Timeline } from './fold.js';
import type { Lane } from './lane.js';
import { active, go, index, lens, select, selected } from './state.js';
import { theme } from './theme.js';
import { nameOf } from './words.js';

/** The part that is shown, and the size of its cells. */
interface Grid {
  /** First position and first moment. */
  left: number;
  top: number;
  columns: number;
  rows: number;
  /** CSS pixels of a cell. */
  width: number;
  height: number;
}
type Part = Pick<Grid, 'left' | 'top' | 'columns' | 'rows'>;

/** While a run goes on there is room for rows to come, so that those before stay where they are. */
function whole(lane: Lane): Part {
  const rows = Math.max(1, lane.last);
  const room = Math.max(16, 2 ** Math.ceil(Math.log2(rows)));
  const columns = lane.timeline.last?.tokens.length ?? 1;
  return { left: 0, top: 1, columns, rows: lane.status.peek() === 'running' ? room : rows };
}

function gridOf(part: Part, box: HTMLElement): Grid {
  const width = Math.max(1, box.clientWidth / part.columns);
  return { ...part, width, height: Math.min(10, Math.max(2, 260 / part.rows)) };
}

const property = (name: string) =>
  getComputedStyle(document.documentElement).getPropertyValue(`--${name}`);

/** Colours and marks of one part; steps that come are painted under those before. */
class Picture {
  readonly grid: Grid;
  readonly #context: CanvasRenderingContext2D;
  readonly #colours = Array.from({ length: bins }, (_, i) => property(`bin${i}`));
  readonly #ink = property('ink');
  readonly #ground = property('ground');
  readonly #lens = lens.peek() === 'none' ? 'confidence' : lens.peek();
  #next: number;

  constructor(canvas: HTMLCanvasElement, part: Part) {
    this.grid = gridOf(part, canvas.parentElement!);
    const { columns, rows, width, height, top } = this.grid;
    const ratio = devicePixelRatio;
    canvas.width = Math.round(columns * width * ratio);
    canvas.height = Math.round(rows * height * ratio);
    canvas.style.height = `${rows * height}px`;
    this.#context = canvas.getContext('2d')!;
    this.#context.scale(ratio, ratio);
    this.#context.fillStyle = this.#ground;
    this.#context.fillRect(0, 0, columns * width, rows * height);
    this.#next = top;
  }

  paint({ timeline }: Lane): void {
    const { top, rows } = this.grid;
    const end = Math.min(timeline.moments.length, top + rows);
    // The last one may have been a step whose whole picture came later.
    for (let i = Math.max(top, this.#next - 1); i < end; i++) this.#row(timeline, i);
    this.#next = Math.max(this.#next, end);
  }

  #row({ moments, mask }: Timeline, index: number): void {
    const { left, top, columns, rows, width, height } = this.grid;
    const moment = moments[index];
    const context = this.#context;
    const y = (index - top) * height;
    context.fillStyle = this.#ground;
    context.fillRect(0, y, columns * width, height);
    const end = Math.min(moment.tokens.length, left + columns);
    // Cells of one colour that lie side by side are one rectangle.
    let [from, last] = [left, -1];
    for (let x = left; x <= end; x++) {
      const value =
        x < end
          ? lensValue(this.#lens, moment, x, moment.tokens[x] !== mask, rows, index)
          : undefined;
      const bin = value === undefined ? -1 : binOf(value);
      if (bin === last && x < end) continue;
      if (last >= 0) {
        context.fillStyle = this.#colours[last];
        context.fillRect((from - left) * width, y, (x - from) * width + 0.5, height);
      }
      [from, last] = [x, bin];
    }
    context.fillStyle = context.strokeStyle = this.#ink;
    const size = Math.max(1, Math.min(width, height) / 3.2);
    for (const [x, kind] of moment.marks) {
      if (x < left || x >= end) continue;
      mark(context, kind, (x - left + 0.5) * width, y + height / 2, size);
    }
  }
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

/** Lies over some cells of the part, or nowhere. */
function place(
  element: HTMLElement,
  { columns, rows }: Part,
  box: [number, number, number, number],
) {
  const [x, y, width, height] = box;
  element.hidden = x < 0 || y < 0 || x >= columns || y >= rows;
  const share = (part: number, of: number) => `${(100 * part) / of}%`;
  Object.assign(element.style, {
    ...{ left: share(x, columns), width: share(width, columns) },
    ...{ top: share(y, rows), height: share(height, rows) },
  });
}

interface Spot {
  /** Position and moment. */
  x: number;
  step: number;
}

function between(a: Spot, b: Spot): Part {
  const [left, top] = [Math.min(a.x, b.x), Math.min(a.step, b.step)];
  const columns = Math.max(a.x, b.x) - left + 1;
  return { left, top, columns, rows: Math.max(a.step, b.step) - top + 1 };
}

/** The picture, where the scrubber and the inspector are, and the part that the pointer takes. */
function MapView({ lane, zoom, tell }: MapProps) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const lines = [useRef<HTMLElement>(null), useRef<HTMLElement>(null)];
  const taken = useRef<HTMLElement>(null);
  const picture = useRef<Picture | undefined>(undefined);
  const from = useRef<Spot | undefined>(undefined);
  useEffect(() => {
    const element = canvas.current!;
    const overlay = () => {
      const { grid } = picture.current!;
      const { left, top, columns, rows } = grid;
      place(lines[0].current!, grid, [0, index.peek() - top, columns, 1]);
      place(lines[1].current!, grid, [(selected.peek() ?? -1) - left, 0, 1, rows]);
    };
    const anew = () => {
      picture.current = new Picture(element, zoom.peek() ?? whole(lane));
      picture.current.paint(lane);
      overlay();
    };
    const look = effect(() => {
      void [theme.value, lens.value, lane.status.value, zoom.value];
      anew();
    });
    const grow = effect(() => {
      void lane.version.value;
      const { columns, rows } = picture.current!.grid;
      const now = zoom.peek() ?? whole(lane);
      if (columns === now.columns && rows === now.rows) picture.current!.paint(lane);
      else anew();
    });
    const move = effect(() => {
      void [index.value, selected.value];
      overlay();
    });
    const watch = new ResizeObserver(anew);
    watch.observe(element.parentElement!);
    return () => {
      for (const end of [look, grow, move]) end();
      watch.disconnect();
    };
  }, [lane]);
  const spot = (event: PointerEvent): Spot => {
    const box = canvas.current!.getBoundingClientRect();
    const { left, top, columns, rows } = picture.current!.grid;
    const part = (at: number, of: number, count: number) =>
      Math.max(0, Math.min(Math.floor((at / of) * count), count - 1));
    const step = top + part(event.clientY - box.top, box.height, rows);
    return {
      x: left + part(event.clientX - box.left, box.width, columns),
      step: Math.min(step, Math.max(1, lane.last)),
    };
  };
  const move = (event: PointerEvent) => {
    const here = spot(event);
    tell(here);
    if (from.current === undefined) return;
    const { grid } = picture.current!;
    const { left, top, columns, rows } = between(from.current, here);
    const none = columns * rows === 1;
    place(taken.current!, grid, [none ? -1 : left - grid.left, top - grid.top, columns, rows]);
  };
  const down = (event: PointerEvent) => {
    if (event.button !== 0) return;
    canvas.current!.setPointerCapture(event.pointerId);
    from.current = spot(event);
  };
  const up = (event: PointerEvent) => {
    const [first, last] = [from.current, spot(event)];
    from.current = undefined;
    taken.current!.hidden = true;
    if (first === undefined) return;
    const part = between(first, last);
    if (part.columns > 2 && part.rows > 1) zoom.value = part;
    else {
      active.value = lane;
      go(last.step);
      select(last.x);
    }
  };
  const columns = lane.timeline.last?.tokens.length ?? 0;
  return (
    <div class="map">
      <canvas
        ref={canvas}
        role="img"
        aria-label={`Heat map: ${columns} positions over ${lane.last} steps. The table below has the least sure commits.`}
        onPointerDown={down}
        onPointerMove={move}
        onPointerUp={up}
        onPointerCancel={() => ((from.current = undefined), (taken.current!.hidden = true))}
        onPointerLeave={() => tell(undefined)}
        onDblClick={() => (zoom.value = undefined)}
      />
      <i ref={lines[0]} hidden />
      <i ref={lines[1]} hidden />
      <i ref={taken} class="taken" hidden />
    </div>
  );
}

interface MapProps {
  lane: Lane;
  /** What the pointer has chosen; undefined: all of it. */
  zoom: Signal<Part | undefined>;
  tell(spot: Spot | undefined): void;
}

export function HeatMap({ lane }: { lane: Lane }) {
  const [told, setTold] = useState('');
  const zoom = useSignal<Part | undefined>(undefined);
  useEffect(() => void (zoom.value = undefined), [lane]);
  const tell = (spot: Spot | undefined) => {
    const moment = spot && lane.timeline.moments[spot.step];
    if (moment === undefined) return setTold('');
    const { x, step } = spot!;
    const known = moment.tokens[x] !== lane.timeline.mask;
    const value = lensValue(lens.value, moment, x, known, lane.last, step);
    const number =
      value === undefined ? '' : ` · ${lensNumber(lens.value, value, moment, x, step)}`;
    const token = known ? nameOf(lane.timeline, moment.tokens[x]) : 'masked';
    setTold(`step ${step} · position ${x} · ${token}${number}`);
  };
  void lane.version.value;
  const part = zoom.value;
  return (
    <figure class="heat">
      <figcaption>
        Positions across, steps down
        {part && (
          <>
            {`: positions ${part.left}–${part.left + part.columns - 1}, steps ${part.top}–${part.top + part.rows - 1} `}
            <button type="button" class="plain" onClick={() => (zoom.value = undefined)}>
              Show all
            </button>
          </>
        )}
        <span class="told">{told}</span>
      </figcaption>
      <MapView lane={lane} zoom={zoom} tell={tell} />
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
                    {nameOf(lane.timeline, row.token)}
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
