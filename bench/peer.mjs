// Against node-llama-cpp: the same files and canvas, the two engines' runs in turn.
import { median } from '../dist/cli/format.js';
import { operations } from '../dist/cli/speed.js';
import { atPeak, quietest, withPeak } from './machine.mjs';
import { modelFile, openModel } from './models.mjs';
import { Peer, installPeer } from './peer/peer.mjs';
import { markdown, ms, percent, times } from './report.mjs';

const length = 256;
const prompt = 64;
const block = { start: 128, end: 160 };
/** How many times faster than the peer's step we want to be: a full step, and one of a block. */
const targets = { full: { F16: 2.5, other: 4 }, block: 30 };
const fewestAgreed = 0.9;

export async function run({ types = ['F16', 'Q8_0', 'Q4_0', 'Q4_K_M'], runs = 5, threads }) {
  installPeer();
  const rows = [];
  const failures = [];
  for (const type of types) {
    const row = { name: type, ...(await compare(type, { runs, threads })) };
    rows.push(row);
    print(row);
    if (row.agreed < fewestAgreed * length) {
      failures.push(
        `${type}: the engines choose the same token at ${row.agreed} of ${length} only`,
      );
    }
  }
  summary(rows);
  return { data: { rows }, failures };
}

async function compare(type, { runs, threads }) {
  const model = await openModel(type, { threads });
  const peer = await Peer.start(await modelFile(type), length, threads);
  const session = model.createSession({ length });
  try {
    const known = Int32Array.from({ length: prompt }, (_, i) => 1 + ((i * 7919) % 100_000));
    session.set(0, known);
    const tokens = Array.from(session.tokens);
    const query = Int32Array.from(tokens.keys());
    // The first run of each is not counted: it touches memory.
    const { chosen } = await peer.ask({ tokens, choose: true });
    const { token } = await session.step({ query, allowMask: true });
    const agreed = token.filter((id, i) => id === chosen[i]).length;
    const timed = async (request) => {
      const start = performance.now();
      await session.step(request);
      return performance.now() - start;
    };
    const { peak, result } = await withPeak({ threads }, () =>
      quietest(runs, async () => {
        const full = await timed({ query });
        const blockStep = await timed({ rows: block });
        const { milliseconds, cpu } = await peer.ask({ tokens });
        return { full, block: blockStep, peer: milliseconds, foreignCpu: cpu };
      }),
    );
    const middle = (key) => median(result.results.map((round) => round[key]));
    const work = operations(model.info, length, length, length);
    return {
      ...{ runs, agreed, others: result.others, peer: middle('peer') },
      ...{ full: middle('full'), block: middle('block') },
      ...{ operations: work, atPeak: atPeak(work, type, peak), peak, engine: peer.info },
    };
  } finally {
    session.dispose();
    peer.stop();
    await model.dispose();
  }
}

function print({ name, runs, agreed, others, peak, engine, operations: work, ...row }) {
  console.log(
    `${name}: llama.cpp ${engine.release} (${engine.features.replaceAll(' = 1', '')}) takes ` +
      `${ms(row.peer)} ms for ${length} rows with logits, Lacuna ${ms(row.full)} ms with statistics ` +
      `(${times(row.peer / row.full)} faster) and ${ms(row.block)} ms for a block of 32 ` +
      `(${times(row.peer / row.block)}). Medians of ${runs} rounds, other programs took at most ` +
      `${percent(others)}; greedy tokens agree at ${agreed} of ${length} positions. Arithmetic: ` +
      `${ms(work.matrix / 1e9)} G in products, ${ms(work.attention / 1e9)} G in attention, at the ` +
      `peak (${ms(peak.int8)} GOP/s int8, ${ms(peak.f32)} GFLOP/s f32) ${ms(row.atPeak)} ms.\n`,
  );
}

function summary(rows) {
  const header = ['file', '>peer ms', '>of peak', '>ours ms', '>of peak', '>faster', '>wanted'];
  header.push('>at most', '>block ms', '>faster', '>wanted');
  const table = rows.map(({ name, peer, full, block: blockStep, atPeak: least }) => [
    name,
    ms(peer),
    percent(least / peer),
    ms(full),
    percent(least / full),
    times(peer / full),
    times(targets.full[name] ?? targets.full.other),
    times(peer / least),
    ms(blockStep),
    times(peer / blockStep),
    times(targets.block),
  ]);
  console.log(markdown(header, table));
  console.log('\n“at most”: what a full step at 100 % of the peak would give on this machine.');
}
