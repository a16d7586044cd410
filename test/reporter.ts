import type { Reporter, TestModule } from 'vitest/node';

/**
 * Prints `N passed, N failed[, N skipped]` as the very last line of a run. A file that does not
 * load, a suite whose hook fails and an error outside of any test each count as one failure.
 */
export default class TotalsReporter implements Reporter {
  private readonly counts = { passed: 0, failed: 0, skipped: 0 };

  onInit(): void {
    process.once('exit', () => {
      const { passed, failed, skipped } = this.counts;
      const tail = skipped > 0 ? `, ${skipped} skipped` : '';
      process.stdout.write(`${passed} passed, ${failed} failed${tail}\n`);
    });
  }

  onTestRunEnd(modules: readonly TestModule[], unhandledErrors: readonly unknown[]): void {
    const counts = { passed: 0, failed: unhandledErrors.length, skipped: 0, pending: 0 };
    for (const module of modules) {
      if (module.errors().length > 0) counts.failed++;
      for (const suite of module.children.allSuites()) {
        if (suite.errors().length > 0) counts.failed++;
      }
      for (const test of module.children.allTests()) counts[test.result().state]++;
    }
    // A test is left pending when its worker dies.
    Object.assign(this.counts, { ...counts, failed: counts.failed + counts.pending });
  }
}
