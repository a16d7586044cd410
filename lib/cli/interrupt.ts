/** Ctrl-C: the first ends the work cleanly, the second ends the process. */

/** Exit codes of a shell for processes ended by a signal: 128 + its number. */
export const interrupted = 130;
const terminated = { SIGTERM: 143, SIGHUP: 129 };

/**
 * Runs `work` with a signal that Ctrl-C fires.
 * @param restore puts things in order again, the terminal or temporary files; called once or more in
 *   every way that the work or the process can end but a crash
 */
export async function interruptible<T>(
  restore: () => void,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const controller = new AbortController();
  const interrupt = (): void => {
    if (controller.signal.aborted) process.exit(interrupted);
    controller.abort();
  };
  const terminate = (signal: keyof typeof terminated): void => process.exit(terminated[signal]);
  process.on('SIGINT', interrupt);
  process.on('SIGTERM', terminate);
  process.on('SIGHUP', terminate); // the terminal was closed
  process.on('exit', restore);
  try {
    return await work(controller.signal);
  } finally {
    restore();
    process.off('SIGINT', interrupt);
    process.off('SIGTERM', terminate);
    process.off('SIGHUP', terminate);
    process.off('exit', restore);
  }
}
