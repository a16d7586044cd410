import { defineConfig } from 'vitest/config';
import TotalsReporter from './test/reporter.js';
import LongFirst from './test/sequence.js';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    pool: 'forks', // a native crash ends one worker, not the run
    maxWorkers: 2,
    sequence: { sequencer: LongFirst },
    testTimeout: 120_000,
    hookTimeout: 120_000,
    reporters: ['default', new TotalsReporter()],
  },
});
