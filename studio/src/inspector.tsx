/** One position: its token, what else the model thought of, how that went, and what to do with it. */
import { signal } from '@preact/signals';
import { blockOf, type Moment, type Timeline } from './fold.js';
import { branch } from './branch.js';
import { cardOf } from './figures.js';
import type { Lane } from './lane.js';
import { go, index, selected } from './state.js';
import { nameOf } from './words.js';

const typed = signal('');

/** Whether runs can be started here; a saved page has no server. */
export const connected = signal(false);

export function Inspector({ lane }: { lane: Lane | undefined }) {
  void lane?.version.value;
  const at = selected.value;
  const moment = lane?.timeline.moments[index.value];
  if (
    lane === undefined ||
    moment === undefined ||
    at === undefined ||
    at >= moment.tokens.length
  ) {
    return <p class="hint">Choose a token in the canvas, or a point of the heat map.</p>;
  }
  const { timeline } = lane;
  const token = moment.tokens[at];
  const known = token !== timeline.mask;
  const facts: [string, string][] = [
    ['Position', `${at} · block ${blockOf(timeline, at) + 1}`],
    ...(known
      ? ([
          ['Token id', String(token)],
          ['Committed', moment.born[at] > 0 ? `step ${moment.born[at]}` : 'known at first'],
          ['Confidence then', moment.born[at] > 0 ? moment.sure[at].toFixed(3) : '–'],
        ] as [string, string][])
      : moment.blind
        ? []
        : ([['Confidence', (moment.confidence[at] / 255).toFixed(2)]] as [string, string][])),
    ...(moment.entropy ? ([['Entropy', share(moment.entropy[at])]] as [string, string][]) : []),
    ...(moment.margin ? ([['Margin', share(moment.margin[at])]] as [string, string][]) : []),
    ...(moment.flips[at] > 0
      ? ([['Changed its mind', `${moment.flips[at]}×`]] as [string, string][])
      : []),
  ];
  return (
    <div class="inspector">
      <p class="token-name">{known ? nameOf(timeline, token) : <em>masked</em>}</p>
      <dl>
        {facts.map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
      <History timeline={timeline} at={at} />
      <Choices lane={lane} moment={moment} at={at} />
      {connected.value && <Actions lane={lane} at={at} known={known} />}
    </div>
  );
}

const share = (byte: number) => `${Math.round((100 * byte) / 255)} %`;

/** Confidence of the position over the steps. */
function History({ timeline, at }: { timeline: Timeline; at: number }) {
  const values = timeline.moments.slice(1).map(({ confidence }) => (confidence[at] ?? 0) / 255);
  if (values.length < 2 || timeline.start?.blind) return null;
  const points = values
    .map((y, x) => `${(x / (values.length - 1)) * 240},${38 - 36 * y}`)
    .join(' ');
  const x = (Math.max(0, index.value - 1) / (values.length - 1)) * 240;
  return (
    <svg class="history" viewBox="0 0 240 40" role="img" aria-label="Confidence over the steps">
      <line x1={x} x2={x} y1="0" y2="40" />
      <polyline points={points} />
    </svg>
  );
}

/** The last moment up to this one that lists what the position could be. */
function listed(timeline: Timeline, from: number, at: number) {
  for (let i = from; i > 0; i--) {
    const found = timeline.moments[i].candidates.get(at);
    if (found) return { step: i, found };
  }
  return undefined;
}

function Choices({ lane, at }: { lane: Lane; moment: Moment; at: number }) {
  const list = listed(lane.timeline, index.value, at);
  if (list === undefined) return null;
  return (
    <div class="choices">
      <h3>
        Candidates at step{' '}
        <button type="button" class="plain" onClick={() => go(list.step)}>
          {list.step}
        </button>
      </h3>
      <ol>
        {list.found.map(([token, , p]) => (
          <li key={token}>
            <button
              type="button"
              disabled={!connected.value}
              title={connected.value ? 'Put it here and go on from this step' : undefined}
              onClick={() => branch(lane, index.value, { at, token })}
            >
              <code>{nameOf(lane.timeline, token)}</code>
            </button>
            <meter
              min={0}
              max={1}
              value={p}
              aria-label={`probability of ${nameOf(lane.timeline, token)}`}
            />
            <span>{p.toFixed(2)}</span>
          </li>
        ))}
      </ol>
    </div>
  );
}

function Actions({ lane, at, known }: { lane: Lane; at: number; known: boolean }) {
  const pinned = lane.pins.value.has(at);
  const step = index.value;
  return (
    <div class="actions">
      <h3>From step {step} on</h3>
      <div class="buttons">
        <button
          type="button"
          disabled={!known}
          onClick={() => branch(lane, step, { at, pin: true })}
        >
          {pinned ? 'Pinned: run again' : 'Pin'}
        </button>
        <button
          type="button"
          disabled={!known}
          onClick={() => branch(lane, step, { at, remask: true })}
        >
          Re-mask
        </button>
      </div>
      <form
        class="row"
        onSubmit={(event) => {
          event.preventDefault();
          if (typed.value !== '') void branch(lane, step, { at, words: typed.value });
        }}
      >
        <input
          aria-label="Text to put here"
          placeholder="text to put here"
          value={typed.value}
          onInput={(event) => (typed.value = event.currentTarget.value)}
        />
        <button>Replace</button>
      </form>
    </div>
  );
}

const definitions = {
  'Useful tokens': 'tokens of the answer, without what comes after its end',
  'Tokens per second': 'useful tokens by the time from the request to the end',
  'Tokens per forward': 'useful tokens by forward passes of the model',
  Forwards: 'passes of the model over the canvas, one after the other',
  'ms per forward': 'median, and the slowest of twenty',
  'First text': 'milliseconds until text could be read that nothing changes any more',
  'Slots used': 'useful tokens of the positions computed for the answer',
  'Re-masks, edits': 'tokens taken back, and replaced',
  'Idle steps': 'steps that changed nothing',
  'Commit confidence': 'mean and least of the tokens when they were committed',
};

export function StatsCard({ lane }: { lane: Lane }) {
  void lane.version.value;
  const card = cardOf(lane.timeline, lane.wall);
  const values: Record<keyof typeof definitions, string> = {
    'Useful tokens': String(card.tokens),
    'Tokens per second': card.perSecond.toFixed(1),
    'Tokens per forward': card.perForward.toFixed(2),
    Forwards: String(card.forwards),
    'ms per forward': `${card.msMedian.toFixed(1)}, ${card.msTail.toFixed(1)}`,
    'First text': card.firstText === undefined ? '–' : `${Math.round(card.firstText)} ms`,
    'Slots used': `${card.tokens} of ${card.slots}`,
    'Re-masks, edits': `${card.remasks}, ${card.edits}`,
    'Idle steps': String(card.idle),
    'Commit confidence': `${card.meanSure.toFixed(2)}, ${card.leastSure.toFixed(2)}`,
  };
  return (
    <dl class="stats">
      {Object.entries(values).map(([name, value]) => (
        <div key={name} title={definitions[name as keyof typeof definitions]}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}
