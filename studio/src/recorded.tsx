/** The runs that come with the page. */
import { signal } from '@preact/signals';
import { useRef } from 'preact/hooks';
import { take } from './form.js';
import type { Trace } from './frames.js';
import { Lane } from './lane.js';
import { notice, show } from './state.js';

const list = signal<{ name: string; title: string }[]>([]);

async function json<T>(name: string): Promise<T> {
  const response = await fetch(`/studio/traces/${name}.json`);
  if (!response.ok) throw new Error(`there is no recorded run ${name}`);
  return (await response.json()) as T;
}

/** Shows a recorded run and fills the panel with it. */
export async function recorded(name: string): Promise<Trace> {
  const trace = await json<Trace>(name);
  take(trace.request);
  show([Lane.of(trace)]);
  return trace;
}

/** Shows the first of them. */
export async function first(): Promise<Trace> {
  list.value = await json('index');
  return recorded(list.value[0].name);
}

export function RecordedMenu() {
  const menu = useRef<HTMLDetailsElement>(null);
  if (list.value.length === 0) return null;
  const choose = (name: string) => {
    menu.current!.open = false;
    recorded(name).catch((error: Error) => (notice.value = error.message));
  };
  return (
    <details ref={menu} class="menu">
      <summary>Recorded</summary>
      <div>
        {list.value.map(({ name, title }) => (
          <button key={name} type="button" onClick={() => choose(name)}>
            {title}
          </button>
        ))}
      </div>
    </details>
  );
}
