// What papers claim about parallel decoding, and the rule by which our numbers decide. Nothing here
// computes anything but verdicts: the measurements are those of measure.mjs.
import { fastest, overTasks, shareDifference, wilson } from '../../dist/index.js';

/**
 * A verdict and what it rests on: `rows` is a table, its first row the header.
 * @typedef {{ verdict: 'reproduced' | 'not reproduced' | 'not testable', why: string,
 *   rows: string[][] }} Finding
 */

const percent = (share) => `${(100 * share).toFixed(1)} %`;
const points = ({ difference, interval }) =>
  `${(100 * difference).toFixed(1)} (${interval.map((p) => (100 * p).toFixed(1)).join(' … ')})`;
const counted = ({ right, samples, interval }) =>
  `${percent(right / samples)} (${interval.map((p) => (100 * p).toFixed(1)).join(' … ')})`;
const at = (all, wanted) =>
  all.find((p) => Object.entries(wanted).every(([key, value]) => p[key] === value));
const notTestable = (why) => ({ verdict: 'not testable', why, rows: [] });
const decided = (holds, why, rows) => ({
  ...{ verdict: holds ? 'reproduced' : 'not reproduced', why, rows },
});

const able = 0.5; // below this one by one, a task says nothing about parallelism
const unharmed = ['copy', 'replace-index'];
const adaptive = ['threshold', 'factor', 'entropy-bound', 'klass', 'wino'];
const fixed = ['confidence', 'margin', 'entropy', 'random', 'left-to-right'];

/** What the charts show; the numbers of the other strategies are in results.json. */
export const charted = [...adaptive, 'adablock', ...fixed, 'dilated'];

/** Four tokens at once against one, for each task that the model can do at all. */
function parallelismHurts({ curves }) {
  const tasks = [...new Set(curves.map(({ task }) => task))];
  const pairs = tasks.map((task) => {
    const of = (value) => at(curves, { task, strategy: 'confidence', value, temperature: 0 });
    return { task, one: of(1), four: of(4) };
  });
  const testable = pairs.filter(({ one, four }) => four && one.accuracy >= able);
  if (!testable.some(({ task }) => unharmed.includes(task))) {
    return notTestable('the model does neither copy nor replace index one token at a time');
  }
  const rows = testable.map(({ task, one, four }) => {
    const change = shareDifference(four, one);
    return { task, one, four, change, hurt: change.interval[1] < 0 };
  });
  const exceptions = rows.filter(({ task, hurt }) => hurt === unharmed.includes(task));
  const why =
    exceptions.length === 0
      ? 'every other task loses significantly with four tokens a step, these two do not'
      : `it is otherwise with ${exceptions.map(({ task }) => task).join(', ')}`;
  const table = rows.map(({ task, one, four, change }) => [
    ...[task, counted(one), counted(four), points(change)],
  ]);
  return decided(exceptions.length === 0, why, [['task', 'k = 1', 'k = 4', 'points'], ...table]);
}

/** At its fastest point of 80 %, is an adaptive rule better than every fixed one as fast? */
function adaptiveBeatsFixed({ curves }) {
  const curve = overTasks(curves).filter(({ temperature }) => temperature === 0);
  const found = fastest(curve).filter(
    ({ strategy, point }) => adaptive.includes(strategy) && point,
  );
  if (found.length === 0) return notTestable('no adaptive rule gets 80 % of one-by-one accuracy');
  const rows = found.map(({ strategy, point }) => {
    const rivals = fixed
      .flatMap((name) => curve.filter((p) => p.strategy === name))
      .filter((p) => p.tokensPerForward >= point.tokensPerForward)
      .sort((a, b) => b.accuracy - a.accuracy);
    const change = rivals.length > 0 ? shareDifference(point, rivals[0]) : undefined;
    return { strategy, point, rival: rivals[0], change, wins: !change || change.interval[0] > 0 };
  });
  const losers = rows.filter(({ wins }) => !wins).map(({ strategy }) => strategy);
  const why =
    losers.length === 0
      ? 'each is significantly more accurate than any fixed count that is at least as fast'
      : `not significantly better than a fixed count as fast: ${losers.join(', ')}`;
  const table = rows.map(({ strategy, point, rival, change }) => [
    ...[strategy, point.tokensPerForward.toFixed(2), counted(point)],
    ...(rival
      ? [`${rival.strategy} ${rival.value}`, counted(rival), points(change)]
      : ['–', '–', '–']),
  ]);
  const header = [
    'rule',
    'tokens per forward',
    'right',
    'best fixed count as fast',
    'right',
    'points',
  ];
  return decided(losers.length === 0, why, [header, ...table]);
}

/** Blocks of 4 and 8 against the whole answer, two tokens a step. */
function smallBlocks({ blocks }) {
  const rows = blocks.map(({ task, byLength }) => {
    const whole = byLength.whole;
    return { task, byLength, change: shareDifference(byLength[4], whole) };
  });
  const total = sumOf(rows.map(({ byLength }) => byLength[4]));
  const whole = sumOf(rows.map(({ byLength }) => byLength.whole));
  if (whole.right === 0 && total.right === 0) return notTestable('the model gets nothing right');
  const change = shareDifference(total, whole);
  const table = rows.map(({ task, byLength, change }) => [
    ...[task, counted(byLength[4]), counted(byLength[8]), counted(byLength.whole), points(change)],
  ]);
  const why = `blocks of 4 minus the whole answer, over all tasks: ${points(change)} points`;
  const header = ['task', 'blocks of 4', 'blocks of 8', 'whole answer', 'points, 4 − whole'];
  return decided(change.interval[0] > 0, why, [header, ...table]);
}

/** Two models, the same blocks of 4. */
function reverseTraining({ reverse }) {
  if (reverse === undefined) return notTestable('no model trained blockwise in reverse was given');
  const totals = [sumOf(reverse.map((r) => r.reverse)), sumOf(reverse.map((r) => r.standard))];
  if (totals.every(({ right }) => right === 0)) return notTestable('neither gets anything right');
  const change = shareDifference(...totals);
  const table = reverse.map(({ task, k, reverse, standard }) => [
    ...[task, String(k), counted(reverse), counted(standard)],
    points(shareDifference(reverse, standard)),
  ]);
  const why = `reverse minus standard over all tasks and counts: ${points(change)} points`;
  const header = ['task', 'k', 'trained in reverse', 'standard', 'points'];
  return decided(change.interval[0] > 0, why, [header, ...table]);
}

/** Sampling frees the order: DiffuCoder. */
function orderByTemperature({ order }) {
  const of = (temperature) =>
    order.find((o) => o.strategy === 'confidence' && o.temperature === temperature);
  const [cold, warm] = [of(0), of(1)];
  if (Math.min(cold.n, warm.n) < 20) return notTestable('fewer than 20 runs at each temperature');
  const low = cold.mean - 1.96 * cold.error - (warm.mean + 1.96 * warm.error);
  const unforced = order.filter(({ strategy }) => !adaptive.includes(strategy)); // theirs are the slow runs
  const table = unforced.map(({ strategy, temperature, mean, error }) => [
    ...[strategy, String(temperature), mean.toFixed(3), (1.96 * error).toFixed(3)],
  ]);
  const why = `confidence: ${cold.mean.toFixed(3)} at temperature 0, ${warm.mean.toFixed(3)} at 1`;
  return decided(low > 0, why, [['strategy', 'T', 'global AR-ness@1', '±'], ...table]);
}

/**
 * The same threshold with and without: fewer forwards, and no less right. Both do the same instances, so
 * what counts is how each instance changes.
 */
function savesForwards(pair, missing) {
  if (pair === undefined) return notTestable(missing);
  const { without, with: other, before } = pair;
  if (without.right === 0) return notTestable('the model gets nothing right without it either');
  const gained = meanDifference(other.each, without.each, ([right]) => right);
  const saved = meanDifference(without.each, other.each, ([, forwards]) => forwards);
  const each = without.forwards / without.samples;
  const share = {
    difference: saved.difference / each,
    interval: saved.interval.map((n) => n / each),
  };
  const row = (name, { forwards, tokensPerForward, ...score }) => [
    ...[name, counted(score), String(forwards), tokensPerForward.toFixed(2)],
  ];
  const rows = [
    ['', 'right', 'forwards', 'tokens per forward'],
    ...(before ? [row('the model before that training', before)] : []),
    row('without', without),
    row('with', other),
  ];
  const why = `${points(share)} % of the forwards saved; accuracy changes by ${points(gained)} points`;
  return decided(share.interval[0] > 0 && gained.interval[1] >= 0, why, rows);
}

/** How fast credits are, by interpolation over their thresholds, where they are as often right as without. */
function asAccurate(curves, tau) {
  const of = (name) =>
    overTasks(curves ?? []).filter((p) => p.strategy === name && p.temperature === 0);
  const plain = of('threshold').find(({ value }) => value === tau);
  const points = of('credit').sort((a, b) => a.accuracy - b.accuracy);
  const above = points.findIndex(({ accuracy }) => accuracy >= plain?.accuracy);
  if (above < 1) return undefined;
  const [low, high] = [points[above - 1], points[above]];
  const part = (plain.accuracy - low.accuracy) / (high.accuracy - low.accuracy);
  const speed = low.tokensPerForward + part * (high.tokensPerForward - low.tokensPerForward);
  return (
    `Over all thresholds: as often right as threshold ${tau} (${percent(plain.accuracy)}, the large sudoku left out, ` +
    `${plain.tokensPerForward.toFixed(2)} tokens per forward), credits commit ${speed.toFixed(2)} tokens per forward.`
  );
}

/** Mean of a − b over pairs, with its 95 % interval (normal: there are a thousand of them). */
function meanDifference(a, b, of) {
  const differences = a.map((x, i) => of(x) - of(b[i]));
  const n = differences.length;
  const difference = differences.reduce((sum, x) => sum + x, 0) / n;
  const variance = differences.reduce((sum, x) => sum + (x - difference) ** 2, 0) / (n - 1);
  const width = 1.96 * Math.sqrt(variance / n);
  return { difference, interval: [difference - width, difference + width] };
}

/** Right on the way, wrong at the end. */
function oscillation({ votes }) {
  const total = sumOf(votes.map(({ last }) => last));
  const ever = sumOf(votes.map(({ ever }) => ever));
  if (ever.right === 0) return notTestable('no answer was right at any step');
  const change = shareDifference(ever, total);
  const table = votes.map(({ task, last, ever, vote }) => [task, last, ever, vote].map(cell));
  const why = `right at some step minus right at the end: ${points(change)} points`;
  return decided(change.interval[0] > 0, why, [
    ['task', 'right at the end', 'right at some step', 'right by vote'],
    ...table,
  ]);
}

function voting({ votes }) {
  const total = sumOf(votes.map(({ last }) => last));
  const vote = sumOf(votes.map(({ vote }) => vote));
  if (total.right === 0 && vote.right === 0) return notTestable('the model gets nothing right');
  const change = shareDifference(vote, total);
  const why = `vote minus last answer: ${points(change)} points`;
  return decided(change.interval[0] > 0, why, [
    ['', 'right'],
    ['last answer', counted(total)],
    ['vote over time', counted(vote)],
  ]);
}

function cell(value) {
  return typeof value === 'string' ? value : counted(value);
}

function sumOf(list) {
  const [right, samples] = ['right', 'samples'].map((key) => list.reduce((n, s) => n + s[key], 0));
  return { right, samples, interval: wilson(right, samples) };
}

/** In the order of the page. `rule` says in words when a claim counts as reproduced. */
export const claims = [
  {
    title: 'Parallel decoding hurts everywhere but in copy and replace index',
    source: 'ParallelBench, arXiv 2510.04767',
    rule:
      'greedy, the k most probable tokens a step: from k = 1 to k = 4 every task that is at least ' +
      '50 % right one by one loses (95 % interval of the difference below 0), but copy and replace ' +
      'index do not',
    find: parallelismHurts,
  },
  {
    title: 'Adaptive rules beat fixed counts',
    source: 'ParallelBench, arXiv 2510.04767; Fast-dLLM, arXiv 2505.22618',
    rule:
      'threshold, factor, entropy bound, KLASS and WINO, each at its fastest point with 80 % of ' +
      'one-by-one accuracy, are more accurate than every fixed count that is at least as fast (95 %)',
    find: adaptiveBeatsFixed,
  },
  {
    title: 'Small blocks are better than large ones',
    source: 'Why mask diffusion does not work, arXiv 2510.03289',
    rule: 'two tokens a step by confidence: blocks of 4 beat the whole answer over all tasks (95 %)',
    find: smallBlocks,
  },
  {
    title:
      'Blockwise reverse-order training beats standard training under semi-autoregressive decoding',
    source: 'Why mask diffusion does not work, arXiv 2510.03289, section 3.4.2',
    rule:
      'same data and compute, blocks of 4 counted from the end as it was trained, k = 1, 2, 4: more right ' +
      'over all tasks (95 %)',
    note:
      'An example teaches the model that is trained in reverse one block of at most 4 tokens, and the other all ' +
      'tokens that are masked in it: at the same compute it learns from a fraction of the predictions.',
    find: reverseTraining,
  },
  {
    title: 'Sampling makes the order less autoregressive',
    source: 'DiffuCoder, arXiv 2506.20639',
    rule: 'global AR-ness@1 of confidence order is higher at temperature 0 than at 1, intervals apart, over 20 runs or more',
    find: orderByTemperature,
  },
  {
    title: 'Credits save forwards at equal accuracy',
    source: 'CreditDecoding, arXiv 2510.06133',
    rule: 'threshold 0.9 with credits: significantly fewer forwards, accuracy not significantly lower (95 %, instance by instance)',
    find: ({ credit, curves }) => ({ ...savesForwards(credit), note: asAccurate(curves, 0.9) }),
  },
  {
    title: 'Soft masks save forwards at equal accuracy',
    source: 'Soft-Masked Diffusion Language Models, arXiv 2510.17206',
    rule: 'the model trained with them, threshold 0.9, with soft masks and without: the same',
    find: ({ soft }) => savesForwards(soft, 'no model trained with soft masks was given'),
  },
  {
    title: 'Answers oscillate: some are right on the way and wrong at the end',
    source: 'Time Is a Feature, arXiv 2508.09138',
    rule: 'right at some step is more frequent than right at the end (95 %)',
    find: oscillation,
  },
  {
    title: 'A vote over time is better than the last answer',
    source: 'Time Is a Feature, arXiv 2508.09138',
    rule: 'exponentially weighted vote over the steps against the last answer (95 %)',
    find: voting,
  },
];
