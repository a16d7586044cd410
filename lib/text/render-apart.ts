/** Templates that came with a file are code of strangers: they run in a thread that can be ended. */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { LacunaError } from '../errors.js';

export interface RenderLimits {
  /** Milliseconds that a template may take. */
  ms: number;
  /** Characters that it may write. */
  length: number;
}

interface Job {
  source: string;
  values: Record<string, unknown>;
}

/** Megabytes; a thread that wants more ends without harm to the process. */
const heap = 256;

let thread: Promise<Worker> | undefined;
let last: Promise<unknown> = Promise.resolve();

/**
 * Renders in a thread of its own, one template after the other; the event loop goes on meanwhile.
 * Rejects with `BAD_TEMPLATE` for a template that fails or exceeds the limits, `INVALID_ARGUMENT` for
 * values that are not plain data. Nothing that it wrote is kept: what a template makes of messages
 * (it may trim them, or count them) depends on all of their text.
 */
export function renderApart(job: Job, limits: RenderLimits): Promise<string> {
  const text = last.then(() => renderNext(job, limits));
  last = text.catch(() => {});
  return text;
}

async function renderNext(job: Job, limits: RenderLimits): Promise<string> {
  thread ??= startThread();
  const worker = await thread;
  worker.ref();
  try {
    return await answer(worker, job, limits);
  } catch (error) {
    thread = undefined;
    await worker.terminate();
    throw error;
  } finally {
    worker.unref();
  }
}

/** Resolves when it can work: what starting takes is not the template's fault. */
async function startThread(): Promise<Worker> {
  const worker = new Worker(new URL('./render-worker.mjs', import.meta.url), {
    ...{ env: {}, execArgv: [], name: 'chat template' },
    resourceLimits: { maxOldGenerationSizeMb: heap, maxYoungGenerationSizeMb: 32 },
  });
  try {
    await once(worker, 'message');
    return worker;
  } catch (cause) {
    thread = undefined;
    throw new LacunaError('BAD_TEMPLATE', 'no thread could be started for the chat template', {
      cause,
    });
  }
}

function answer(worker: Worker, job: Job, { ms, length }: RenderLimits): Promise<string> {
  return new Promise((resolve, reject) => {
    const fail = (problem: string, cause?: unknown) =>
      settle(() =>
        reject(new LacunaError('BAD_TEMPLATE', `the chat template ${problem}`, { cause })),
      );
    const message = (reply: { text: string } | { problem: string }) =>
      'text' in reply ? settle(() => resolve(reply.text)) : fail(reply.problem);
    const error = (cause: NodeJS.ErrnoException) =>
      fail(cause.code === 'ERR_WORKER_OUT_OF_MEMORY' ? `needs over ${heap} MB` : 'failed', cause);
    // An answer that has come while this thread was busy is in time: it is read before `late` runs.
    const late = () => setImmediate(() => fail(`took more than ${ms} ms`));
    const timer = setTimeout(late, ms);
    const settle = (act: () => void) => {
      clearTimeout(timer);
      worker.off('message', message).off('error', error);
      act();
    };
    worker.on('message', message).on('error', error);
    try {
      worker.postMessage({ ...job, length });
    } catch (cause) {
      const message = 'extra must be plain data; the values for a chat template are not';
      settle(() => reject(new LacunaError('INVALID_ARGUMENT', message, { cause })));
    }
  });
}
