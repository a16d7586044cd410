/** The canvas of a run as text: one cell a token, redrawn only where it changed. */
import { effect, signal, useComputed, type Signal } from '@preact/signals';
import { useEffect, useMemo } from 'preact/hooks';
import { binOf, lensNumber, lensValue, type Lens } from './figures.js';
import { answerEnd, blockOf, type Moment, type Timeline } from './fold.js';
import type { Entry } from './frames.js';
import type { Lane } from './lane.js';
import { active, at, indexOf, lens, select, selected } from './state.js';
import { nameOf, wordsOf } from './words.js';

interface Shown {
  text: string;
  /** Classes of the cell. */
  look: string;
  label: string | undefined;
}

const blank: Shown = { text: '', look: 'gone', label: undefined };

/** A row of signals: a cell draws itself again when its own changes. */
class Cells {
  readonly count = signal(0);
  readonly tail = signal(0);
  readonly cells: Signal<Shown>[] = [];

  show(lane: Lane, index: number, seen: Lens): void {
    const moment = lane.timeline.moments.at(index);
    const list = moment === undefined ? [] : shownOf(lane, index, seen);
    const end = moment === undefined ? 0 : answerEnd(lane.timeline, moment);
    list.forEach((shown, i) => {
      this.cells[i] ??= signal(blank);
      const now = i < end ? shown : blank;
      const { text, look, label } = this.cells[i].peek();
      if (text !== now.text || look !== now.look || label !== now.label) this.cells[i].value = now;
    });
    this.count.value = list.length;
    this.tail.value = list.length - end;
  }
}

function shownOf(lane: Lane, index: number, seen: Lens): Shown[] {
  const { timeline, pins } = lane;
  const moment = timeline.moments[index];
  const steps = timeline.moments.length - 1;
  const ghosts = ghostsOf(lane, moment);
  const wanted = lane.proposal.value?.wanted;
  const fixed = new Set(timeline.start?.fixed.map(([position]) => position));
  const words = wordsOf(timeline, moment.tokens);
  let block = blockOf(timeline, 0);
  return Array.from(moment.tokens, (token, i) => {
    const known = token !== timeline.mask;
    const value = lensValue(seen, moment, i, known, steps, index);
    const looks = [known ? 'known' : 'mask'];
    if (value !== undefined) looks.push(`bin${binOf(value)}`);
    const mark = moment.marks.get(i);
    if (mark !== undefined) looks.push(mark);
    if (known && fixed.has(i) && moment.born[i] === 0) looks.push('fixed');
    if (pins.value.has(i)) looks.push('pinned');
    const here = blockOf(timeline, i);
    if (here !== block) looks.push('edge');
    block = here;
    const ghost = ghosts.get(i);
    if (ghost) looks.push(wanted!.has(i) ? 'ghost' : 'ghost unwanted');
    const end = known && timeline.start!.ends.includes(token);
    if (end) looks.push('end');
    const part = known && !end && words[i] === '' ? timeline.parts.get(token) : undefined;
    // A part of a character that others complete, or a control token.
    if (part) looks.push(part.length > 0 ? 'piece' : 'special');
    return {
      text: end ? '' : words[i],
      look: looks.join(' '),
      label: known
        ? labelOf(timeline, token, words[i], end)
        : ghost
          ? `masked, proposed ${nameOf(timeline, ghost[1])}`
          : 'masked',
    };
  });
}

/** What a screen reader says where the text says nothing. */
function labelOf(timeline: Timeline, token: number, word: string, end: boolean) {
  if (end) return 'end of the answer';
  const part = timeline.parts.get(token);
  if (part && word === '')
    return part.length > 0 ? 'part of a character' : timeline.texts.get(token);
  if (word.trim() !== '') return undefined;
  return word.includes('\n') ? 'new line' : 'space';
}

/** What is proposed for the canvas as it stands, by position. */
function ghostsOf(lane: Lane, moment: Moment): Map<number, Entry> {
  const proposal = lane.timeline.last === moment ? lane.proposal.value : undefined;
  const { commits = [], edits = [] } = proposal?.frame ?? {};
  return new Map([...commits, ...edits].map((entry) => [entry[0], entry]));
}

/** What the pointer is told. It changes with every step, so it is made when it is asked for. */
function titleOf(lane: Lane, i: number): string {
  const { timeline } = lane;
  const index = indexOf(lane);
  const moment = timeline.moments[index];
  const known = moment.tokens[i] !== timeline.mask;
  const value = lensValue(lens.value, moment, i, known, lane.last, index);
  const before = moment.before.get(i);
  const ghost = ghostsOf(lane, moment).get(i);
  return [
    String(i),
    ...(value === undefined ? [] : [lensNumber(lens.value, value, moment, i, index)]),
    ...(before === undefined ? [] : [`was ${nameOf(timeline, before)}`]),
    ...(ghost ? [`proposed: ${nameOf(timeline, ghost[1])}`] : []),
  ].join(', ');
}

function Cell({ shown, i, id }: { shown: Signal<Shown>; i: number; id: string }) {
  const { text, look, label } = shown.value;
  const chosen = useComputed(() => selected.value === i).value;
  return (
    <span
      role="option"
      id={`${id}-${i}`}
      data-at={i}
      class={`cell ${look}${chosen ? ' chosen' : ''}`}
      aria-label={label}
      aria-selected={chosen}
    >
      {text}
    </span>
  );
}

/** What pointer and keys do to the tokens of a run. */
function handlersOf(lane: Lane) {
  const cellOf = (event: MouseEvent) =>
    (event.target as HTMLElement).closest<HTMLElement>('[data-at]');
  const tell = (event: MouseEvent) => {
    const cell = cellOf(event);
    if (cell !== null) cell.title = titleOf(lane, Number(cell.dataset.at));
  };
  const pick = (event: MouseEvent) => {
    const cell = cellOf(event);
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
  return { onClick: pick, onMouseOver: tell, onKeyDown: keys };
}

export function CanvasView({ lane }: { lane: Lane }) {
  const cells = useMemo(() => new Cells(), [lane]);
  useEffect(
    () =>
      effect(() => {
        void lane.version.value;
        cells.show(lane, indexOf(lane), lens.value);
      }),
    [lane, cells],
  );
  const id = `c${lane.id}`;
  const chosen = selected.value;
  return (
    <div class="canvas" data-lane={lane.id}>
      <div
        class="tokens"
        role="listbox"
        tabIndex={0}
        aria-label={`Canvas of ${lane.title.value}: arrow keys move over its tokens`}
        aria-activedescendant={
          chosen !== undefined && chosen < cells.count.value ? `${id}-${chosen}` : undefined
        }
        aria-busy={lane.status.value === 'running'}
        {...handlersOf(lane)}
      >
        {Array.from({ length: cells.count.value }, (_, i) => (
          <Cell key={i} shown={cells.cells[i]} i={i} id={id} />
        ))}
      </div>
      {cells.tail.value > 0 && <span class="tail">⟨end⟩ × {cells.tail.value}</span>}
    </div>
  );
}
