/** The fingerprint of a policy: positions across, steps down, colour by the lens. */
import { useSignal } from '@preact/signals';
import { useEffect, useState } from 'preact/hooks';
import { leastSure, lensNumber, lensValue } from './figures.js';
import { Head } from './head.js';
import type { Lane } from './lane.js';
import { MapView, type Spot } from './map-view.js';
import type { Part } from './picture.js';
import { go, lens, select } from './state.js';
import { nameOf } from './words.js';

/** What is at a point of the map. */
function readOut({ timeline, last }: Lane, { x, step }: Spot): string {
  const moment = timeline.moments[step];
  if (moment === undefined) return '';
  const known = moment.tokens[x] !== timeline.mask;
  const value = lensValue(lens.value, moment, x, known, last, step);
  const number = value === undefined ? '' : ` · ${lensNumber(lens.value, value, moment, x, step)}`;
  const token = known ? nameOf(timeline, moment.tokens[x]) : 'masked';
  return `step ${step} · position ${x} · ${token}${number}`;
}

function LeastSure({ lane }: { lane: Lane }) {
  void lane.version.value;
  const { timeline } = lane;
  return (
    <details>
      <summary>Least sure commits</summary>
      <table>
        <Head names={['Token', 'Position', 'Step', 'Confidence']} />
        <tbody>
          {leastSure(timeline, 10).map((row) => (
            <tr key={`${row.index}-${row.at}`}>
              <td>
                <button
                  type="button"
                  class="plain"
                  onClick={() => {
                    go(row.index);
                    select(row.at);
                  }}
                >
                  {nameOf(timeline, row.token)}
                </button>
              </td>
              <td>{row.at}</td>
              <td>{row.index}</td>
              <td>{row.p.toFixed(3)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </details>
  );
}

export function HeatMap({ lane }: { lane: Lane }) {
  const [told, setTold] = useState('');
  const zoom = useSignal<Part | undefined>(undefined);
  useEffect(() => void (zoom.value = undefined), [lane]);
  const tell = (spot: Spot | undefined) => setTold(spot ? readOut(lane, spot) : '');
  void lane.version.value;
  const part = zoom.value;
  return (
    <figure class="heat">
      <figcaption>
        Positions across, steps down
        {part && (
          <>
            {`: positions ${part.left}–${part.left + part.columns - 1}, steps ${part.top}–${part.top + part.rows - 1} `}
            <button type="button" class="plain" onClick={() => (zoom.value = undefined)}>
              Show all
            </button>
          </>
        )}
        <span class="told">{told}</span>
      </figcaption>
      <MapView lane={lane} zoom={zoom} tell={tell} />
      <LeastSure lane={lane} />
    </figure>
  );
}
