/** The canvas of a run as text: one cell a token, redrawn only where it changed. */
import { effect, signal, type Signal } from '@preact/signals';
import { useEffect, useMemo, useRef } from 'preact/hooks';
import { binOf, lensNumber, lensValue, type Lens } from './figures.js';
import { answerEnd, blockOf, type Moment } from './fold.js';
import type { Lane } from './lane.js';
import { active, at, indexOf, lens, select, selected } from './state.js';

interface Shown {
  text: string;
  /** Classes of the cell. */
  look: string;
  title: string;
  label: string | undefined;
}

const blank: Shown = { text: '', look: 'gone', title: '', label: undefined };

/** A row of signals: a cell draws itself again when its own changes. */
class Cells {
  readonly count = signal(0);
  readonly tail = signal(0);
  readonly cells: Signal<Shown>[] = [];

  show(lane: Lane, moment: Moment | undefined, seen: Lens): void {
    const list = moment === undefined ? [] : shownOf(lane, moment, seen);
    const end = moment === undefined ? 0 : answerEnd(lane.timeline, moment);
    list.forEach((shown, i) => {
      this.cells[i] ??= signal(blank);
      const now = i < end ? shown : blank;
      const { text, look, title } = this.cells[i].peek();
      if (text !== now.text || look !== now.look || title !== now.title) this.cells[i].value = now;
    });
    this.count.value = list.length;
    this.tail.value = list.length - end;
  }
}

function shownOf(lane: Lane, moment: Moment, seen: Lens): Shown[] {
  const { timeline, pins } = lane;
  const steps = timeline.moments.length - 1;
  const index = timeline.moments.indexOf(moment);
  const proposal = index === lane.last ? lane.proposal.value : undefined;
  const ghosts = new Map(
    [...(proposal?.frame.commits ?? []), ...(proposal?.frame.edits ?? [])].map((entry) => [
      entry[0],
      entry,
    ]),
  );
  const fixed = new Set(timeline.start?.fixed.map(([position]) => position));
  return Array.from(moment.tokens, (token, i) => {
    const known = token !== timeline.mask;
    const value = lensValue(seen, moment, i, known, steps);
    const looks = [known ? 'known' : 'mask'];
    if (value !== undefined) looks.push(`bin${binOf(value)}`);
    const mark = moment.marks.get(i);
    if (mark !== undefined) looks.push(mark);
    if (known && fixed.has(i) && moment.born[i] === 0) looks.push('fixed');
    if (pins.value.has(i)) looks.push('pinned');
    if (i > 0 && blockOf(timeline, i) !== blockOf(timeline, i - 1)) looks.push('edge');
    const ghost = ghosts.get(i);
    if (ghost) looks.push(proposal!.wanted.has(i) ? 'ghost' : 'ghost unwanted');
    const end = known && timeline.start!.ends.includes(token);
    if (end) looks.push('end');
    const number = value === undefined ? '' : `, ${lensNumber(seen, value, moment, i)}`;
    const before = moment.before.get(i);
    const was = before === undefined ? '' : `, was ${timeline.texts.get(before) ?? before}`;
    const text = known ? (end ? '' : (timeline.texts.get(token) ?? '')) : '░';
    const proposed = ghost ? `, proposed: ${ghost[2]}` : '';
    return {
      text,
      look: looks.join(' '),
      title: `${i}${number}${was}${proposed}`,
      label: known ? undefined : ghost ? `masked, proposed ${ghost[2]}` : 'masked',
    };
  });
}

function Cell({ shown, i, id }: { shown: Signal<Shown>; i: number; id: string }) {
  const { text, look, title, label } = shown.value;
  const chosen = selected.value === i;
  return (
    <span
      role="option"
      id={`${id}-${i}`}
      data-at={i}
      class={`cell ${look}${chosen ? ' chosen' : ''}`}
      title={title}
      aria-label={label}
      aria-selected={chosen}
    >
      {text}
    </span>
  );
}

export function CanvasView({ lane }: { lane: Lane }) {
  const cells = useMemo(() => new Cells(), [lane]);
  const box = useRef<HTMLDivElement>(null);
  useEffect(
    () =>
      effect(() => {
        void lane.version.value;
        cells.show(lane, lane.timeline.moments[indexOf(lane)], lens.value);
      }),
    [lane, cells],
  );
  const id = `c${lane.id}`;
  const pick = (event: MouseEvent) => {
    const cell = (event.target as HTMLElement).closest<HTMLElement>('[data-at]');
    if (cell === null) return;
    const position = Number(cell.dataset.at);
    active.value = lane;
    select(position);
    if (lane.proposal.peek() && at.peek() === null) lane.toggle(position);
  };
  const keys = (event: KeyboardEvent) => {
    const moves: Record<string, number> = {
      ArrowLeft: -1,
      ArrowRight: 1,
      ArrowUp: -8,
      ArrowDown: 8,
    };
    const move = moves[event.key];
    if (move === undefined && event.key !== 'Enter') return;
    event.preventDefault();
    event.stopPropagation();
    active.value = lane;
    if (move === undefined) {
      if (selected.value !== undefined) lane.toggle(selected.value);
    } else select((selected.value ?? -Math.sign(move)) + move);
  };
  const chosen = selected.value;
  return (
    <div class="canvas" data-lane={lane.id}>
      <div
        ref={box}
        class="tokens"
        role="listbox"
        tabIndex={0}
        aria-label={`Canvas of ${lane.title.value}: arrow keys move over its tokens`}
        aria-activedescendant={
          chosen !== undefined && chosen < cells.count.value ? `${id}-${chosen}` : undefined
        }
        aria-busy={lane.status.value === 'running'}
        onClick={pick}
        onKeyDown={keys}
      >
        {Array.from({ length: cells.count.value }, (_, i) => (
          <Cell key={i} shown={cells.cells[i]} i={i} id={id} />
        ))}
      </div>
      {cells.tail.value > 0 && <span class="tail">⟨end⟩ × {cells.tail.value}</span>}
    </div>
  );
}
