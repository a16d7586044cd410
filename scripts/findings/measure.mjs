// What the claims rest on: accuracy by strategy, blocks and model, the order of commits, votes.
import {
  Batch,
  arness,
  blocks,
  blocksFromEnd,
  commitSteps,
  credit,
  parallelbench,
  modelSubject,
  softMask,
  strategyNames,
  taskInstance,
  taskNames,
  threshold,
  topK,
  voteOverTime,
  wholeAnswer,
  wilson,
} from '../../dist/index.js';

/** Of every strategy and parameter the large sudoku would take half of the time, and the models cannot do it. */
const swept = taskNames.filter((task) => task !== 'sudoku-6');

/** What can be measured alone. */
export const parts = ['curves', 'blocks', 'reverse', 'credit', 'soft', 'votes'];

/**
 * @param models `{ standard, reverse?, soft? }`, loaded
 * @param options `{ samples, seed, tasks, strategies, width, say, only, before }`; all tasks and strategies by
 *   default; `only` names the parts to measure, the others are taken from `before`
 */
export async function measure({ standard, reverse, soft }, options) {
  const { strategies = strategyNames, tasks = swept, only, say, before } = options;
  const results = { ...before };
  const section = async (name, find) => {
    if (only && !only.includes(name)) return;
    say(name);
    results[name] = await find();
  };
  await section('curves', async () => {
    const order = new Orders();
    const note = (run) => order.note(run);
    const curves = await bench(standard, { strategies, tasks, note }, options);
    results.order = order.means();
    return curves;
  });
  await section('blocks', () => blockLengths(standard, options));
  if (reverse) await section('reverse', () => twoModels(standard, reverse, options));
  await section('credit', () => {
    return pair(standard, { decode: credit(threshold({ tau: 0.9 })) }, options);
  });
  if (soft) {
    await section('soft', async () => {
      const both = await pair(soft, { refine: softMask() }, options);
      return { ...both, before: await total(standard, plain, options) };
    });
  }
  await section('votes', () => voted(standard, options));
  return results;
}

function bench(model, { note, ...more }, { samples, seed, tasks = taskNames, width, say }) {
  const onRun = (run, done, of) => {
    note?.(run);
    const tenth = Math.floor((10 * done) / of);
    if (tenth > Math.floor((10 * (done - 1)) / of)) say(`  ${10 * tenth} %`);
  };
  return parallelbench(modelSubject(model, width), { samples, seed, tasks, onRun, ...more });
}

const greedy = { strategies: ['confidence'], temperatures: [0] };

async function blockLengths(model, options) {
  const sizes = { 4: 4, 8: 8, whole: undefined };
  const all = {};
  for (const [name, size] of Object.entries(sizes)) {
    all[name] = await bench(
      model,
      { ...greedy, values: [2], ...(size && { blocks: blocks(size) }) },
      options,
    );
  }
  return all.whole.map(({ task }, i) => ({
    task,
    byLength: { 4: all[4][i], 8: all[8][i], whole: all.whole[i] },
  }));
}

async function twoModels(standard, reverse, options) {
  const more = { ...greedy, values: [1, 2, 4], blocks: blocksFromEnd(4) };
  const a = await bench(standard, more, options);
  const b = await bench(reverse, more, options);
  return a.map((point, i) => ({
    task: point.task,
    k: point.value,
    standard: point,
    reverse: b[i],
  }));
}

const plain = { decode: threshold({ tau: 0.9 }) };

/** threshold 0.9 with and without something more, over all tasks. */
async function pair(model, more, options) {
  return {
    without: await total(model, plain, options),
    with: await total(model, { ...plain, ...more }, options),
  };
}

async function total(model, generation, options) {
  const sum = { samples: 0, right: 0, tokens: 0, forwards: 0 };
  const each = []; // [right, forwards] of every instance
  for await (const { instance, result, text } of runs(model, generation, options)) {
    const isRight = Number(instance.check(text));
    each.push([isRight, result.forwards]);
    sum.samples++;
    sum.right += isRight;
    sum.tokens += result.tokens.length;
    sum.forwards += result.forwards;
  }
  const { right, samples, tokens, forwards } = sum;
  return { ...sum, each, interval: wilson(right, samples), tokensPerForward: tokens / forwards };
}

async function* runs(model, generation, { samples, seed, tasks = taskNames, width }) {
  const subject = modelSubject(model, width);
  const instances = tasks.flatMap((task) =>
    Array.from({ length: samples }, (_, index) => taskInstance(task, { seed, index })),
  );
  for (let i = 0; i < instances.length; i += width) {
    const some = instances.slice(i, i + width);
    const done = await Promise.all(
      some.map((instance) =>
        subject.run(instance, () => ({
          blocks: wholeAnswer(),
          stopAtEos: false,
          seed,
          ...generation,
        })),
      ),
    );
    yield* done.map((run, j) => ({ ...run, instance: some[j] }));
  }
}

/** Two tokens a step, sampled, and the answers of every step. */
async function voted(model, { samples, seed, tasks = taskNames, width }) {
  const batch = new Batch(model);
  const { tokenizer, info } = model;
  const suppress = [info.tokens.eos, info.tokens.eot].filter((token) => token !== undefined);
  const rows = [];
  for (const task of tasks) {
    const right = { last: 0, ever: 0, vote: 0 };
    for (let from = 0; from < samples; from += width) {
      const indices = Array.from({ length: Math.min(width, samples - from) }, (_, i) => from + i);
      await Promise.all(
        indices.map(async (index) => {
          const { prompt, answer, check } = taskInstance(task, { seed, index });
          const known = tokenizer.encode(prompt);
          const maxTokens = tokenizer.encode(`${prompt} ${answer}`).length - known.length;
          const vote = await voteOverTime(batch, known, {
            ...{ maxTokens, suppress, stopAtEos: false, blocks: wholeAnswer(), seed: index },
            ...{ decode: topK({ k: 2 }), temperature: 1, normalise: (text) => text.trim() },
          });
          right.last += Number(check(vote.result.text));
          right.ever += Number(
            [vote.result.text, ...vote.answers].some((text) => check(text ?? '')),
          );
          right.vote += Number(check(vote.answer ?? ''));
        }),
      );
    }
    const score = (n) => ({ right: n, samples, interval: wilson(n, samples) });
    const [last, ever, vote] = [right.last, right.ever, right.vote].map(score);
    rows.push({ task, last, ever, vote });
  }
  return rows;
}

/** Means of global AR-ness@1 of the runs that commit one token a step. */
class Orders {
  #sums = new Map();

  note({ strategy, temperature, value, result }) {
    if (value !== 1 || result.forwards !== result.tokens.length) return;
    const key = JSON.stringify({ strategy, temperature });
    const sum = this.#sums.get(key) ?? { n: 0, total: 0, squares: 0 };
    const share = arness(commitSteps(result), { ks: [1] })[0].global;
    sum.n++;
    sum.total += share;
    sum.squares += share ** 2;
    this.#sums.set(key, sum);
  }

  means() {
    return [...this.#sums].map(([key, { n, total, squares }]) => {
      const mean = total / n;
      const error = Math.sqrt(Math.max(0, squares / n - mean ** 2) / n);
      return { ...JSON.parse(key), n, mean, error };
    });
  }
}
