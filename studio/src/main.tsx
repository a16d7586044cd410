/** Starts the page: a recorded run at once, then the served model where it is the one recorded. */
import { render } from 'preact';
import { App, helping } from './app.js';
import { policies, takeToken } from './client.js';
import { catalogue } from './form.js';
import { connected } from './inspector.js';
import { listen } from './keys.js';
import { first } from './recorded.js';
import { canStep, run, step, stop } from './runs.js';
import { lanes, notice, play } from './state.js';
import { still } from './theme.js';
import './style/index.css';

takeToken();
render(<App />, document.getElementById('app')!);
listen({
  run: () => connected.value && void run(),
  Escape: stop,
  s: () => connected.value && canStep() && void step(),
  '?': () => (helping.value = true),
});
void begin();

async function begin(): Promise<void> {
  const example = first().then((trace) => {
    if (!still.matches) play();
    return trace;
  });
  const [recorded, server] = await Promise.allSettled([example, policies()]);
  if (server.status === 'fulfilled') {
    catalogue.value = server.value;
    connected.value = true;
  } else if (server.reason instanceof Error) notice.value = server.reason.message;
  const trace = recorded.status === 'fulfilled' ? recorded.value : undefined;
  const same = trace !== undefined && catalogue.value?.model.id === trace.model;
  // Nobody has touched anything yet: the model that is served shows what it can.
  if (
    same &&
    !still.matches &&
    lanes.value.length === 1 &&
    lanes.value[0].status.value === 'recorded'
  ) {
    await run();
  }
}
