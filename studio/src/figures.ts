/** Numbers that charts, lenses and cards show, from the moments of a run. Pure. */
import { blockOf, type Moment, type Timeline } from './fold.js';

export const lenses = [
  { key: 'confidence', label: 'Confidence', about: 'of the token, or of the best proposal' },
  { key: 'commit', label: 'At commit', about: 'confidence of the token when it was committed' },
  { key: 'entropy', label: 'Entropy', about: 'of the distribution, as a share of knowing nothing' },
  { key: 'margin', label: 'Margin', about: 'lead of the best proposal over the second' },
  { key: 'order', label: 'Order', about: 'step in which the token came, early to late' },
  { key: 'flips', label: 'Flips', about: 'how often the token was taken back or replaced' },
  { key: 'age', label: 'Age', about: 'steps since the token came, fresh to old' },
  { key: 'none', label: 'Plain', about: 'no colour' },
] as const;
export type Lens = (typeof lenses)[number]['key'];

/**
 * What the lens shows at a position, 0 … 1, 1 being calm; undefined: nothing.
 * @param steps of the run
 * @param index of the moment in it
 */
export function lensValue(
  lens: Lens,
  moment: Moment,
  at: number,
  known: boolean,
  steps: number,
  index: number,
): number | undefined {
  switch (lens) {
    case 'confidence':
      return (moment.step < 0 || moment.blind) && !known ? undefined : moment.confidence[at] / 255;
    case 'commit':
      return known ? moment.sure[at] : undefined;
    case 'entropy':
      return moment.entropy && 1 - moment.entropy[at] / 255;
    case 'margin':
      return moment.margin && moment.margin[at] / 255;
    case 'order':
      return known ? 1 - moment.born[at] / Math.max(1, steps) : undefined;
    case 'age':
      return known ? (index - moment.born[at]) / Math.max(1, steps) : undefined;
    case 'flips':
      return moment.flips[at] > 0 ? 1 - Math.min(moment.flips[at], 5) / 5 : undefined;
    default:
      return undefined;
  }
}

export const bins = 6;

/** 0 … 5 */
export function binOf(value: number): number {
  return Math.min(bins - 1, Math.max(0, Math.floor(value * bins)));
}

/** The number that goes with the colour, as the lens counts it. */
export function lensNumber(
  lens: Lens,
  value: number,
  moment: Moment,
  at: number,
  index: number,
): string {
  if (lens === 'age') return `${index - moment.born[at]} steps`;
  if (lens === 'order') return `step ${moment.born[at]}`;
  if (lens === 'flips') return `${moment.flips[at]}×`;
  return (lens === 'entropy' ? 1 - value : value).toFixed(2);
}

export interface Series {
  step: number[];
  committed: number[];
  remaining: number[];
  mean: (number | null)[];
  gate: (number | null)[];
  ms: number[];
  /** Milliseconds of the steps that computed a cache anew, where others did not. */
  refreshed: (number | null)[];
  /** Confidence of each position that the step could have committed. */
  open: Float32Array[];
}

const known = new WeakMap<Timeline, Series>();

/** One entry per step. Confidence is that of the positions that the step could have committed. */
export function seriesOf(timeline: Timeline): Series {
  const series = known.get(timeline) ?? {
    ...{ step: [], committed: [], remaining: [], mean: [], gate: [] },
    ...{ ms: [], refreshed: [], open: [] },
  };
  known.set(timeline, series);
  // Steps that are over stay as they are: only new ones are counted.
  for (let i = series.step.length + 1; i < timeline.moments.length; i++) {
    const moment = timeline.moments[i];
    const open = Float32Array.from(openAt(timeline, i), (at) => proposal(moment, at));
    series.step.push(i);
    series.committed.push([...moment.marks.values()].filter((mark) => mark === 'commit').length);
    series.remaining.push(moment.remaining);
    series.mean.push(open.length === 0 ? null : open.reduce((a, b) => a + b) / open.length);
    series.gate.push(open.length === 0 ? null : Math.min(...open));
    series.ms.push(moment.ms);
    series.refreshed.push(moment.refresh ? moment.ms : null);
    series.open.push(open);
  }
  return series;
}

/** Positions of the step's block that were masked when it began, as far as their confidence is known. */
function openAt(timeline: Timeline, index: number): number[] {
  const [previous, moment] = [timeline.moments[index - 1], timeline.moments[index]];
  const { block } = moment;
  if (moment.blind) {
    return [...moment.marks].flatMap(([at, mark]) => (mark === 'commit' ? [at] : []));
  }
  const open: number[] = [];
  previous.tokens.forEach((token, at) => {
    if (token === timeline.mask && blockOf(timeline, at) === block) open.push(at);
  });
  return open;
}

function proposal(moment: Moment, at: number): number {
  return moment.marks.get(at) === 'commit' ? moment.sure[at] : moment.confidence[at] / 255;
}

/** How many tokens each step would have committed if all of at least `tau` were: first order only. */
export function whatIf(timeline: Timeline, tau: number): number[] {
  return seriesOf(timeline).open.map((open) => {
    const sure = open.reduce((count, p) => count + Number(p >= tau), 0);
    return open.length === 0 ? 0 : Math.max(1, sure);
  });
}

export interface Card {
  tokens: number;
  wall: number;
  perSecond: number;
  perForward: number;
  forwards: number;
  msMedian: number;
  msTail: number;
  firstText: number | undefined;
  slots: number;
  wasted: number;
  remasks: number;
  edits: number;
  idle: number;
  meanSure: number;
  leastSure: number;
}

/** @param wall milliseconds so far, where the server has not said yet */
export function cardOf(timeline: Timeline, wall: number): Card {
  const moments = timeline.moments.slice(1);
  const marks = moments.flatMap((moment) => [...moment.marks.values()]);
  const count = (kind: string) => marks.filter((mark) => mark === kind).length;
  const ms = moments.map((moment) => moment.ms).filter((x) => x > 0);
  const sorted = ms.toSorted((a, b) => a - b);
  const at = (share: number) => sorted[Math.floor(share * (sorted.length - 1))] ?? 0;
  const sure = moments.flatMap(({ commits }) => commits.flatMap(([, , , p]) => p ?? []));
  const stats = timeline.end?.stats;
  const last = timeline.last;
  const tokens = stats?.tokens ?? (last ? last.tokens.length - last.remaining : 0);
  const forwards = stats?.forwards ?? moments.length;
  const wallMs = stats?.wallMs ?? wall;
  const slots = stats?.slots ?? timeline.start?.length ?? 0;
  return {
    tokens,
    wall: wallMs,
    perSecond: wallMs > 0 ? (1000 * tokens) / wallMs : 0,
    perForward: forwards > 0 ? tokens / forwards : 0,
    forwards,
    msMedian: at(0.5),
    msTail: at(0.95),
    firstText: stats?.firstTextMs,
    slots,
    wasted: slots - tokens,
    remasks: count('remask'),
    edits: count('edit'),
    idle: moments.filter((moment) => moment.marks.size === 0).length,
    meanSure: sure.length === 0 ? 0 : sure.reduce((a, b) => a + b) / sure.length,
    leastSure: sure.length === 0 ? 0 : Math.min(...sure),
  };
}

/** The commits that the model was least sure of. */
export function leastSure(timeline: Timeline, count: number) {
  return timeline.moments
    .flatMap((moment, index) =>
      moment.commits.map(([at, token, , p]) => ({ index, at, token, p: p ?? 0 })),
    )
    .sort((a, b) => a.p - b.p)
    .slice(0, count);
}
