/** The heat map itself: what is painted, what lies over it, what the pointer does. */
import { effect, type Signal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import type { Lane } from './lane.js';
import { Picture, whole, type Part } from './picture.js';
import { active, go, index, lens, select, selected } from './state.js';
import { theme } from './theme.js';

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

export interface Spot {
  /** Position and moment. */
  x: number;
  step: number;
}

function between(a: Spot, b: Spot): Part {
  const [left, top] = [Math.min(a.x, b.x), Math.min(a.step, b.step)];
  const columns = Math.max(a.x, b.x) - left + 1;
  return { left, top, columns, rows: Math.max(a.step, b.step) - top + 1 };
}

interface MapProps {
  lane: Lane;
  /** What the pointer has chosen; undefined: all of it. */
  zoom: Signal<Part | undefined>;
  tell(spot: Spot | undefined): void;
}

/** The picture, and over it where the scrubber and the inspector are. */
function usePicture({ lane, zoom }: Pick<MapProps, 'lane' | 'zoom'>) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const row = useRef<HTMLElement>(null);
  const column = useRef<HTMLElement>(null);
  const picture = useRef<Picture | undefined>(undefined);
  useEffect(() => {
    const element = canvas.current!;
    const overlay = () => {
      const { grid } = picture.current!;
      const { left, top, columns, rows } = grid;
      place(row.current!, grid, [0, index.peek() - top, columns, 1]);
      place(column.current!, grid, [(selected.peek() ?? -1) - left, 0, 1, rows]);
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
  return { canvas, row, column, picture };
}

/** A click goes to a step and token; dragging takes a part, which lies under `taken` meanwhile. */
function usePointer({ lane, zoom, tell }: MapProps, painted: ReturnType<typeof usePicture>) {
  const { canvas, picture } = painted;
  const taken = useRef<HTMLElement>(null);
  const from = useRef<Spot | undefined>(undefined);
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
  const end = () => {
    from.current = undefined;
    taken.current!.hidden = true;
  };
  const up = (event: PointerEvent) => {
    const [first, last] = [from.current, spot(event)];
    end();
    if (first === undefined) return;
    const part = between(first, last);
    if (part.columns > 2 && part.rows > 1) zoom.value = part;
    else {
      active.value = lane;
      go(last.step);
      select(last.x);
    }
  };
  return { taken, down, move, up, cancel: end };
}

export function MapView(props: MapProps) {
  const { lane, zoom, tell } = props;
  const painted = usePicture(props);
  const pointer = usePointer(props, painted);
  const columns = lane.timeline.last?.tokens.length ?? 0;
  return (
    <div class="map">
      <canvas
        ref={painted.canvas}
        role="img"
        aria-label={`Heat map: ${columns} positions over ${lane.last} steps. The table below has the least sure commits.`}
        onPointerDown={pointer.down}
        onPointerMove={pointer.move}
        onPointerUp={pointer.up}
        onPointerCancel={pointer.cancel}
        onPointerLeave={() => tell(undefined)}
        onDblClick={() => (zoom.value = undefined)}
      />
      <i ref={painted.row} hidden />
      <i ref={painted.column} hidden />
      <i ref={pointer.taken} class="taken" hidden />
    </div>
  );
}
