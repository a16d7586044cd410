/** What `lacuna bench cache` measures: how far answers with a cache are from those without, and their speed. */
import type { CachePlan, PolicyFacts } from '../decoding/index.js';
import type { GenerationResult } from '../generation.js';
import { leftToRight } from '../measure/left-to-right.js';
import type { Model } from '../model.js';
import { checkOptions, planOf, type GenerateOptions } from '../plan.js';
import { median } from './format.js';

export interface CacheMeasurement {
  /** How it is written: `dualCache({ refresh: 4 })`. */
  cache: string;
  /** Why `auto` picked it. */
  reason?: string;
  forwards: number;
  rows: number;
  /** Of all prompts together, each the median of its runs. */
  milliseconds: number;
  /** Of all threads together, medians too: with one thread, what other programs disturb least. */
  processorMilliseconds: number;
  millisecondsPerForward: number;
  tokensPerSecond: number;
  quality?: CacheQuality;
}

export interface CacheQuality {
  /**
   * Share of proposals equal to those of no cache on the same canvas: both follow the run without a
   * cache step by step, so that one difference does not bring about the next.
   */
  agreement: number;
  /** Share of the answers' tokens equal to those of no cache, each run left to itself. */
  equal: number;
  /** Left-to-right log-probability of the answers per token, nats. */
  logProbability: number;
}

export interface CacheBenchOptions {
  prompts: readonly Int32Array[];
  /** All but the cache; greedy. */
  generate: GenerateOptions & { maxTokens: number };
  /** Timed generations of each prompt with each cache. */
  runs: number;
  /** Without it only time is measured, which is the smaller part of the work. */
  quality: boolean;
  signal: AbortSignal;
  /** What goes on. */
  onProgress: (text: string) => void;
}

/** One prompt with one cache: the result, which every run repeats, and milliseconds of each run. */
interface Answer {
  prompt: Int32Array;
  result: GenerationResult;
  times: number[];
  processor: number[];
}

/** Answers with each of the caches. The first must be no cache: the others are compared to it. */
export async function measureCaches(
  model: Model,
  plans: readonly (CachePlan | 'auto')[],
  options: CacheBenchOptions,
): Promise<CacheMeasurement[]> {
  const answers = await timed(model, plans, options);
  const measurements: CacheMeasurement[] = [];
  const scores = new Map<string, number>(); // of canvases, as several caches may give the same
  for (const [i, plan] of plans.entries()) {
    const measured = speed(answers[i], options);
    options.onProgress(`quality of ${measured.cache} …`);
    const others = { exact: answers[0], scores };
    if (options.quality) measured.quality = await quality(model, plan, answers[i], others, options);
    measurements.push(measured);
  }
  return measurements;
}

/** (plans × prompts) Caches take turns, so that a slow moment of the machine meets all of them. */
async function timed(
  model: Model,
  plans: readonly (CachePlan | 'auto')[],
  { prompts, generate, runs, signal, onProgress }: CacheBenchOptions,
): Promise<Answer[][]> {
  const answers: Answer[][] = plans.map(() => []);
  for (let run = 0; run < runs; run++) {
    for (const [k, prompt] of prompts.entries()) {
      onProgress(`run ${run + 1} of ${runs}, prompt ${k + 1} of ${prompts.length} …`);
      for (const [i, cache] of plans.entries()) {
        const before = process.cpuUsage();
        const result = await model.generate(prompt, { ...generate, cache, signal }).result;
        const { user, system } = process.cpuUsage(before);
        answers[i][k] ??= { prompt, result, times: [], processor: [] };
        answers[i][k].times.push(result.timing.total);
        answers[i][k].processor.push((user + system) / 1000);
      }
    }
  }
  return answers;
}

function speed(answers: Answer[], { generate }: CacheBenchOptions): CacheMeasurement {
  const { reason, ...facts } = answers[0].result.policies.cache;
  const total = (value: (answer: Answer) => number): number =>
    answers.reduce((sum, answer) => sum + value(answer), 0);
  const forwards = total(({ result }) => result.forwards);
  const milliseconds = total(({ times }) => median(times));
  return {
    cache: called(facts),
    ...(reason !== undefined && { reason }),
    forwards,
    rows: total(({ result }) => result.trace.reduce((rows, step) => rows + step.rows, 0)),
    milliseconds,
    processorMilliseconds: total(({ processor }) => median(processor)),
    millisecondsPerForward: milliseconds / forwards,
    tokensPerSecond: (1000 * answers.length * generate.maxTokens) / milliseconds,
  };
}

async function quality(
  model: Model,
  cache: CachePlan | 'auto',
  answers: Answer[],
  { exact, scores }: { exact: Answer[]; scores: Map<string, number> },
  options: CacheBenchOptions,
): Promise<CacheQuality> {
  const { generate, signal } = options;
  const tokens = answers.length * generate.maxTokens;
  let [proposals, agreed, equal, nats] = [0, 0, 0, 0];
  for (const [k, { prompt, result }] of answers.entries()) {
    const answer = { start: prompt.length, end: prompt.length + generate.maxTokens };
    for (let i = answer.start; i < answer.end; i++) {
      if (result.canvas[i] === exact[k].result.canvas[i]) equal++;
    }
    const text = result.canvas.join();
    if (!scores.has(text)) {
      const each = await leftToRight(model, result.canvas, answer, signal);
      scores.set(
        text,
        each.reduce((sum, score) => sum + score, 0),
      );
    }
    nats += scores.get(text)!;
    const followed = await follow(model, cache, exact[k], options);
    proposals += followed.proposals;
    agreed += followed.agreed;
  }
  return { agreement: agreed / proposals, equal: equal / tokens, logProbability: nats / tokens };
}

/** Takes the steps of a run without a cache, with and without one, and compares what they propose. */
async function follow(
  model: Model,
  cache: CachePlan | 'auto',
  { prompt, result }: Answer,
  { generate, signal }: CacheBenchOptions,
): Promise<{ proposals: number; agreed: number }> {
  const plan = planOf(model, prompt, checkOptions(model, { ...generate, cache }));
  const { run } = plan;
  using exact = model.createSession({ length: run.length });
  using cached = model.createSession({ length: run.length });
  for (const session of [exact, cached]) session.set(0, prompt);
  const counts = { proposals: 0, agreed: 0 };
  const suppress = Int32Array.from(generate.suppress ?? []);
  const forwards = result.trace.filter(({ rows }) => rows > 0);
  let changed = new Int32Array();
  for (const [i, { block, committed, step }] of forwards.entries()) {
    const range = run.blocks[block];
    const query = exact.masked.filter((p) => p >= range.start && p < range.end);
    const earlier = result.trace.slice(0, step).filter((other) => other.block === block);
    const chosen = plan.cache({
      step,
      block,
      blockStep: earlier.length,
      forwards: i,
      blockForwards: earlier.filter(({ rows }) => rows > 0).length,
      range,
      masked: query,
      blockMasks: query.length + earlier.reduce((sum, s) => sum + s.committed.length, 0),
      canvas: exact.tokens,
      changed,
      stale: changed.at(0) ?? 0,
    });
    const request = { query, suppress };
    const items = [
      { session: exact, ...request },
      { session: cached, ...request, ...chosen },
    ];
    const [{ token }, other] = await model.step(items, { signal });
    counts.proposals += token.length;
    counts.agreed += token.filter((proposal, k) => proposal === other.token[k]).length;
    const commits = committed.map(([position, token]) => ({ position, token }));
    for (const session of [exact, cached]) session.commit(commits);
    changed = Int32Array.from(commits, ({ position }) => position);
  }
  return counts;
}

/** `dpad({ cache: dualCache() })` */
function called({ name, options }: PolicyFacts): string {
  const given = Object.entries(options as Record<string, number | PolicyFacts>);
  const text = given.map(
    ([key, value]) => `${key}: ${typeof value === 'object' ? called(value) : value}`,
  );
  return `${name}(${text.length > 0 ? `{ ${text.join(', ')} }` : ''})`;
}
