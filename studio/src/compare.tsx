/** Runs side by side, in numbers and in words. */
import { Choice } from './choice.js';
import { cardOf } from './figures.js';
import { Head } from './head.js';
import type { Lane } from './lane.js';
import { lanes, together, togethers, type Together } from './state.js';
import { save } from './files.js';
import { textOf } from './words.js';

const columns = [
  ['tok/s', (lane: Lane) => card(lane).perSecond.toFixed(1)],
  ['tok/forward', (lane: Lane) => card(lane).perForward.toFixed(2)],
  ['forwards', (lane: Lane) => String(card(lane).forwards)],
  ['first text ms', (lane: Lane) => String(Math.round(card(lane).firstText ?? 0))],
  ['mean conf.', (lane: Lane) => card(lane).meanSure.toFixed(3)],
  ['least conf.', (lane: Lane) => card(lane).leastSure.toFixed(3)],
  ['flips', (lane: Lane) => String(card(lane).remasks + card(lane).edits)],
  ['wasted', (lane: Lane) => String(card(lane).wasted)],
] as const;

const card = (lane: Lane) => cardOf(lane.timeline, lane.wall);

function table(): string[][] {
  const head = ['run', ...columns.map(([name]) => name)];
  const rows = lanes.value.map((lane) => [
    lane.title.value,
    ...columns.map(([, value]) => value(lane)),
  ]);
  return [head, ...rows];
}

const exports: Record<string, () => string> = {
  csv: () =>
    table()
      .map((row) => row.map((cell) => JSON.stringify(cell)).join(','))
      .join('\n'),
  json: () => {
    const [head, ...rows] = table();
    const objects = rows.map((row) => Object.fromEntries(row.map((cell, i) => [head[i], cell])));
    return JSON.stringify(objects, null, 2);
  },
  md: () => {
    const [head, ...rows] = table();
    return [head, head.map(() => '---'), ...rows].map((row) => `| ${row.join(' | ')} |`).join('\n');
  },
};

/** Words that the first run's answer does not have at about the same place are marked. */
function Words({ lane }: { lane: Lane }) {
  const words = (one: Lane) => {
    const { last } = one.timeline;
    return last === undefined ? [] : textOf(one.timeline, last).split(/(?<=\s)/);
  };
  const [first] = lanes.value;
  void [first.version.value, lane.version.value];
  const common = lane === first ? undefined : sequence(words(first), words(lane));
  return (
    <p class="words">
      {words(lane).map((word, i) =>
        common === undefined || common.has(i) ? word : <mark key={i}>{word}</mark>,
      )}
    </p>
  );
}

/** Indices of `b` that are in a longest common subsequence with `a`. */
function sequence(a: string[], b: string[]): Set<number> {
  const lengths = Array.from({ length: a.length + 1 }, () => new Uint16Array(b.length + 1));
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      lengths[i][j] =
        a[i] === b[j] ? lengths[i + 1][j + 1] + 1 : Math.max(lengths[i + 1][j], lengths[i][j + 1]);
    }
  }
  const kept = new Set<number>();
  for (let i = 0, j = 0; i < a.length && j < b.length;) {
    if (a[i] === b[j]) {
      kept.add(j);
      [i, j] = [i + 1, j + 1];
    } else if (lengths[i + 1][j] >= lengths[i][j + 1]) i++;
    else j++;
  }
  return kept;
}

function Table() {
  for (const lane of lanes.value) void lane.version.value;
  const [head, ...rows] = table();
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label="Numbers of each run">
      <table>
        <Head names={head} />
        <tbody>
          {rows.map((row, i) => (
            <tr key={lanes.value[i].id}>
              <th scope="row">{row[0]}</th>
              {row.slice(1).map((cell, j) => (
                <td key={j}>{cell}</td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

export function Comparison() {
  if (lanes.value.length < 2) return null;
  return (
    <section class="comparison" aria-label="Comparison">
      <div class="row">
        <h2>Comparison</h2>
        <Choice
          label="keep together by"
          value={together.value}
          options={Object.entries(togethers)}
          choose={(key) => (together.value = key as Together)}
        />
        <span class="buttons">
          {Object.entries(exports).map(([kind, make]) => (
            <button
              key={kind}
              type="button"
              onClick={() => save(`comparison.${kind}`, make(), 'text/plain')}
            >
              {kind.toUpperCase()}
            </button>
          ))}
        </span>
      </div>
      <Table />
      <div class="answers">
        {lanes.value.map((lane) => (
          <div key={lane.id}>
            <h3>{lane.title.value}</h3>
            <Words lane={lane} />
          </div>
        ))}
      </div>
    </section>
  );
}
