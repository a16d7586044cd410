import { defineConfig } from 'vitest/config';
import TotalsReporter from './test/reporter.js';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    pool: 'forks', // a native crash ends one worker, not the run
    maxWorkers: 2,
    testTimeout: 120_000,
    hookTimeout: 120_000,
    reporters: ['default', new TotalsReporter()],
  },
});
