// End to end: 128 new tokens after a prompt of 64, blocks of 32, 4 tokens a step, dual cache; and
// where every millisecond of it went.
import { median } from '../dist/cli/format.js';
import { measureGeneration, verbs } from '../dist/cli/speed.js';
import { quietest } from './machine.mjs';
import { openModel } from './models.mjs';
import { markdown, ms, percent } from './report.mjs';

const shape = { prompt: 64, tokens: 128, perStep: 4 };
/** What must hold: the verbs of every step add up to its time, and little happens outside steps. */
const bounds = { verbs: 0.97, outside: 0.005 };

export async function run({ types = ['Q8_0'], runs = 5, threads }) {
  const rows = [];
  const failures = [];
  for (const type of types) {
    const model = await openModel(type, { threads });
    try {
      await measureGeneration(model, { ...shape, tokens: 32 }); // memory is touched
      const { results, others } = await quietest(runs, () => measureGeneration(model, shape));
      const row = { name: type, runs, others, ...middle(results) };
      rows.push(row);
      print(row);
      failures.push(...check(row));
    } finally {
      await model.dispose();
    }
  }
  return { data: { shape, rows }, failures };
}

/** The run in the middle, as one run adds up and medians of its parts do not. */
function middle(results) {
  const time = median(results.map(({ milliseconds }) => milliseconds));
  const distance = ({ milliseconds }) => Math.abs(milliseconds - time);
  const all = results.map(({ milliseconds }) => milliseconds).sort((a, b) => a - b);
  return { ...results.toSorted((a, b) => distance(a) - distance(b))[0], all };
}

function print({ name, prompt, tokens, forwards, milliseconds, tokensPerSecond, ...rest }) {
  const { steps, accounting, all, others } = rest;
  console.log(
    `${name}: ${tokens} tokens after a prompt of ${prompt} in ${ms(milliseconds)} ms, ${forwards} ` +
      `forwards, **${ms(tokensPerSecond)} tokens/s** (middle of ${all.length} runs, ${ms(all[0])} to ` +
      `${ms(all.at(-1))} ms; other programs took at most ${percent(others)})\n`,
  );
  const used = verbs.filter((verb) => steps.some(({ timing }) => timing[verb] > 0));
  console.log(
    markdown(
      ['step of', '>count', '>ms', ...used.map((verb) => `>${verb}`), '>rest'],
      steps.map(({ rows, count, milliseconds: time, timing }) => [
        `${rows} rows`,
        String(count),
        ms(time),
        ...used.map((verb) => ms(timing[verb])),
        ms(timing.rest),
      ]),
    ),
  );
  console.log(
    `\nverbs add up to ${(100 * accounting.verbs).toFixed(2)} % of the native steps (of the step ` +
      `with most unaccounted: ${(100 * accounting.leastOfAStep).toFixed(2)} %; at least ` +
      `${100 * bounds.verbs} %); JavaScript and the boundary took ` +
      `${(100 * accounting.outside).toFixed(3)} % of the whole (at most ${100 * bounds.outside} %)\n`,
  );
}

function check({ name, accounting: { leastOfAStep, outside } }) {
  const failures = [];
  if (!(leastOfAStep >= bounds.verbs)) {
    failures.push(`${name}: a step's verbs add up to ${percent(leastOfAStep)} of its time only`);
  }
  if (!(outside <= bounds.outside)) {
    failures.push(`${name}: JavaScript and the boundary take ${(100 * outside).toFixed(2)} %`);
  }
  return failures;
}
