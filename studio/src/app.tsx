/** The page: a bar, what to run, what runs, what of it is looked at. */
import { signal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import { locked } from './client.js';
import { aiSdk, curl, typescript } from './copy.js';
import { open, saveHtml, saveTrace } from './files.js';
import { catalogue, chosen, preset, request, take } from './form.js';
import { connected, Inspector, StatsCard } from './inspector.js';
import { help } from './keys.js';
import { RecordedMenu } from './recorded.js';
import { RunPanel } from './run-panel.js';
import { active, lanes, notice } from './state.js';
import { choice, nextTheme } from './theme.js';
import { Viewer } from './viewer.js';

const panes = ['run', 'view', 'inspect'] as const;
const paneNames = { run: 'Run', view: 'Canvas', inspect: 'Inspect' };
export const pane = signal<(typeof panes)[number]>('view');
export const helping = signal(false);

function CopyMenu() {
  const menu = useRef<HTMLDetailsElement>(null);
  const { origin } = location;
  const id = catalogue.value?.model.id ?? 'model';
  const kinds: Record<string, () => string> = {
    curl: () => curl(request.value, origin, locked()),
    TypeScript: () =>
      typescript(
        request.value,
        `${id}.gguf`,
        catalogue.value?.defaults ?? { temperature: 0, seed: 0 },
      ),
    'AI SDK': () => aiSdk(request.value, origin, id, locked()),
    'Policy JSON': () =>
      JSON.stringify({ preset: preset.value || undefined, ...chosen.value }, null, 2),
  };
  const copy = async (kind: string) => {
    menu.current!.open = false;
    try {
      await navigator.clipboard.writeText(kinds[kind]());
      notice.value = `Copied as ${kind}.`;
    } catch {
      notice.value = 'The browser did not let the page copy.';
    }
  };
  return (
    <details ref={menu} class="menu">
      <summary>Copy as</summary>
      <div>
        {Object.keys(kinds).map((kind) => (
          <button key={kind} type="button" onClick={() => void copy(kind)}>
            {kind}
          </button>
        ))}
      </div>
    </details>
  );
}

function Files() {
  const input = useRef<HTMLInputElement>(null);
  const read = async () => {
    const file = input.current!.files?.[0];
    if (file === undefined) return;
    const lane = open(await file.text());
    if (lane) take(lane.request);
    input.current!.value = '';
  };
  const lane = active.value;
  const some = lane !== undefined && (lane.version.value > 0 || lane.last >= 0);
  return (
    <>
      <button type="button" onClick={() => input.current!.click()}>
        Open
      </button>
      <input
        ref={input}
        type="file"
        accept=".json,application/json"
        class="sr"
        tabIndex={-1}
        aria-label="Open a saved run"
        onChange={() => void read()}
      />
      <button type="button" disabled={!some} onClick={() => saveTrace(lane!)}>
        Save
      </button>
      <button type="button" disabled={!some} onClick={() => void saveHtml()}>
        Save as HTML
      </button>
    </>
  );
}

function TopBar() {
  const facts = catalogue.value?.model;
  const size = facts && `${(facts.parameters / 1e6).toPrecision(3)} M`;
  const busy = lanes.value.filter((lane) => lane.status.value === 'running').length;
  return (
    <header class="bar">
      <h1>
        <img src="/studio/icon.svg" alt="" width="18" height="18" /> Lacuna
      </h1>
      <span class="model">
        {facts ? (
          <>
            <b>{facts.id}</b> {facts.architecture} · {size} · {facts.backend}
          </>
        ) : (
          'no model: recorded runs only'
        )}
      </span>
      <span class={`dot ${facts ? (busy ? 'busy' : 'ready') : ''}`}>
        {facts ? (busy ? 'busy' : 'ready') : 'offline'}
      </span>
      <nav class="buttons" aria-label="Runs and settings">
        <RecordedMenu />
        <CopyMenu />
        <Files />
        <button type="button" onClick={nextTheme} title="Colours">
          {{ auto: 'Auto', light: 'Light', dark: 'Dark' }[choice.value]}
        </button>
        <button type="button" aria-label="Keys" onClick={() => (helping.value = true)}>
          ?
        </button>
      </nav>
    </header>
  );
}

function Help() {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    if (helping.value) dialog.current!.showModal();
    else dialog.current!.close();
  }, [helping.value]);
  return (
    <dialog ref={dialog} aria-label="Keys" onClose={() => (helping.value = false)}>
      <h2>Keys</h2>
      <dl class="keys">
        {help.map(([keys, what]) => (
          <div key={keys}>
            <dt>{keys}</dt>
            <dd>{what}</dd>
          </div>
        ))}
      </dl>
      <form method="dialog">
        <button>Close</button>
      </form>
    </dialog>
  );
}

function Notice() {
  useEffect(() => {
    if (notice.value === '') return;
    const clear = setTimeout(() => (notice.value = ''), 6000);
    return () => clearTimeout(clear);
  }, [notice.value]);
  return (
    <p class={`notice${notice.value ? ' shown' : ''}`} role="status">
      {notice.value}
    </p>
  );
}

export function App() {
  const drop = (event: DragEvent) => {
    const file = event.dataTransfer?.files[0];
    if (file === undefined) return;
    event.preventDefault();
    void file.text().then((json) => {
      const lane = open(json);
      if (lane) take(lane.request);
    });
  };
  const lane = active.value;
  return (
    <div class="page" data-pane={pane.value} onDragOver={(e) => e.preventDefault()} onDrop={drop}>
      <TopBar />
      <nav class="panes" aria-label="Panes">
        {panes.map((name) => (
          <button
            key={name}
            type="button"
            aria-pressed={pane.value === name}
            onClick={() => (pane.value = name)}
          >
            {paneNames[name]}
          </button>
        ))}
      </nav>
      <aside class="run" aria-label="Run">
        {connected.value ? (
          <RunPanel />
        ) : (
          <p class="hint">
            No server answers. Open a saved run, or start <code>lacuna serve</code>.
          </p>
        )}
      </aside>
      <Viewer />
      <aside class="inspect" aria-label="Inspector">
        <h2>Token</h2>
        <Inspector lane={lane} />
        <h2>Run</h2>
        {lane ? <StatsCard lane={lane} /> : <p class="hint">Nothing has run yet.</p>}
      </aside>
      <Help />
      <Notice />
    </div>
  );
}
