/** A text with holes: their lengths, and what to do with what came into them. */
import { useEffect, useRef } from 'preact/hooks';
import { gapsOf, numbers, texts, withGap, type Gap } from './form.js';
import type { Lane } from './lane.js';
import { run } from './runs.js';
import { active, remove } from './state.js';

export function Text({
  name,
  label,
  rows,
}: {
  name: keyof typeof texts.value;
  label: string;
  rows: number;
}) {
  return (
    <label class="field">
      <span>{label}</span>
      <textarea
        name={name}
        rows={rows}
        spellcheck={false}
        value={texts.value[name]}
        onInput={(event) => (texts.value = { ...texts.value, [name]: event.currentTarget.value })}
      />
    </label>
  );
}

type Length = Extract<Gap, { min: number }>;

function Lengths({ gap, i, set }: { gap: Length; i: number; set(gap: Gap): void }) {
  return (['min', 'max'] as const).map((end) => (
    <input
      key={end}
      type="number"
      aria-label={`${end === 'min' ? 'Fewest' : 'Most'} tokens of hole ${i + 1}`}
      min={1}
      max={8192}
      value={gap[end]}
      onChange={({ currentTarget: { value } }) => {
        const to = Math.max(1, Math.floor(Number(value)) || 1);
        const [min, max] =
          end === 'min' ? [to, Math.max(to, gap.max)] : [Math.min(to, gap.min), to];
        set({ min, max });
      }}
    />
  ));
}

function Holes() {
  const { fill } = texts.value;
  return (
    <ul class="holes" aria-label="Holes">
      {gapsOf(fill).map((gap, i) => {
        const set = (next: Gap) => (texts.value = { ...texts.value, fill: withGap(fill, i, next) });
        if (!('choices' in gap))
          return (
            <li key={i}>
              <Lengths gap={gap} i={i} set={set} />
            </li>
          );
        return (
          <li key={i} class="choosing">
            <input
              aria-label={`Choices of hole ${i + 1}`}
              value={gap.choices.join('|')}
              onChange={({ currentTarget: { value } }) => set({ choices: value.split('|') })}
            />
          </li>
        );
      })}
    </ul>
  );
}

/** Keys mean something here only while this has the focus: Tab goes on its way elsewhere. */
function Review({ lane, write }: { lane: Lane; write: () => void }) {
  const box = useRef<HTMLDivElement>(null);
  const accept = () => {
    texts.value = { ...texts.value, fill: lane.text.value };
    write();
  };
  const reject = () => {
    remove(lane);
    write();
  };
  const again = () => {
    numbers.value = { ...numbers.value, seed: numbers.value.seed + 1 };
    void run();
  };
  useEffect(() => {
    const { activeElement } = document;
    if (activeElement === document.body || activeElement?.closest('.run')) box.current!.focus();
  }, [lane]);
  const keys = (event: KeyboardEvent) => {
    const { key, shiftKey, target } = event;
    if (event.ctrlKey || event.metaKey || shiftKey || target !== box.current) return;
    const act = { Tab: accept, Backspace: reject, r: again }[key];
    if (act === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    act();
  };
  return (
    <div
      ref={box}
      class="buttons review"
      role="group"
      tabIndex={-1}
      aria-label="The fill: Tab accepts it, Backspace rejects it, R fills again"
      onKeyDown={keys}
    >
      <button type="button" onClick={accept}>
        Accept the fill <kbd>Tab</kbd>
      </button>
      <button type="button" onClick={reject}>
        Reject <kbd>⌫</kbd>
      </button>
      <button type="button" onClick={again}>
        Again <kbd>R</kbd>
      </button>
    </div>
  );
}

export function FillText() {
  const box = useRef<HTMLDivElement>(null);
  const area = () => box.current!.querySelector('textarea')!;
  const hole = () => {
    const { selectionStart, selectionEnd, value } = area();
    const words = value.slice(selectionStart, selectionEnd);
    // A token of English is some four characters.
    const size = words === '' ? '' : String(Math.max(1, Math.round(words.length / 4)));
    const fill = `${value.slice(0, selectionStart)}⟦${size}⟧${value.slice(selectionEnd)}`;
    texts.value = { ...texts.value, fill };
  };
  const keys = (event: KeyboardEvent) => {
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === 'e') {
      event.preventDefault();
      hole();
    }
  };
  const lane = active.value;
  const filled = lane?.status.value === 'done' && lane.request.body.lacuna?.template !== undefined;
  return (
    <div ref={box} class="fill" onKeyDown={keys}>
      <Text name="fill" label="Text with holes" rows={8} />
      <Holes />
      <div class="buttons">
        <button type="button" onClick={hole} title="Ctrl+E: the selection becomes a hole">
          Hole ⟦ ⟧
        </button>
      </div>
      {filled && <Review key={lane.id} lane={lane} write={() => area().focus()} />}
      <p class="hint">
        ⟦8⟧ has 8 tokens, ⟦2-8⟧ from 2 to 8, ⟦⟧ up to 16; ⟦ red| green⟧ becomes one of these. All
        else stays as it is.
      </p>
    </div>
  );
}
