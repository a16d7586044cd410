/**
 * Results of the tasks, in order; while the caller is busy with one, the next task runs. Who stops
 * reading still waits for the one that runs.
 */
export async function* oneAhead<T>(
  tasks: Iterable<() => Promise<T>>,
): AsyncGenerator<T, void, undefined> {
  const iterator = tasks[Symbol.iterator]();
  const start = (): Promise<T> | undefined => {
    const step = iterator.next();
    if (step.done) return undefined;
    const running = step.value();
    // It may fail before anybody awaits it, which Node would take for an error that nobody handles.
    running.catch(() => {});
    return running;
  };
  let next = start();
  try {
    while (next) {
      const result = await next;
      next = start();
      yield result;
    }
  } finally {
    await next?.catch(() => {});
  }
}
