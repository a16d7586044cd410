// Runs the checks of a suite with the clients it is told, on whatever Node runs this file:
//   node run.mjs SUITE '{"url": "http://127.0.0.1:1234", …}'
// Prints a line of JSON for each: its name, and what went wrong.
import { Console } from 'node:console';

const [suite, config] = process.argv.slice(2);
const lines = process.stdout;
globalThis.console = new Console(process.stderr, process.stderr); // what clients print is no result
const { open, checks } = await import(new URL(suite, import.meta.url));
const opened = await open(JSON.parse(config));
for (const [name, check] of Object.entries(checks)) {
  let error;
  try {
    await check(opened);
  } catch (caught) {
    error = String(caught?.stack ?? caught);
  }
  lines.write(`${JSON.stringify({ name, error })}\n`);
}
await opened.close?.();
