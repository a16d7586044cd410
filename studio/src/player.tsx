/** A saved page: the runs that lie in it, without a server. */
import { render } from 'preact';
import { unpacked } from './files.js';
import { Inspector, StatsCard } from './inspector.js';
import { listen } from './keys.js';
import { Lane } from './lane.js';
import { active, play, show } from './state.js';
import { still } from './theme.js';
import { Viewer } from './viewer.js';
import './style/index.css';

function Player() {
  const lane = active.value;
  return (
    <div class="page player" data-pane="view">
      <header class="bar">
        <h1>Lacuna</h1>
        <span class="model">a recorded run{lane && ` of ${lane.model}`}</span>
      </header>
      <main class="body">
        <Viewer />
        <section class="inspect" aria-label="Inspector">
          <h2>Token</h2>
          <Inspector lane={lane} />
          <h2>Run</h2>
          {lane && <StatsCard lane={lane} />}
        </section>
      </main>
    </div>
  );
}

void unpacked(document.getElementById('runs')!.textContent).then((traces) => {
  show(traces.map((trace) => Lane.of(trace)));
  render(<Player />, document.getElementById('app')!);
  listen({});
  if (!still.matches) play();
});
