import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** Small files of which each takes minutes: whatever starts one of them last, waits for it alone. */
const long = ['decoding/trajectories', 'studio/page', 'ops'].map((name) => `/test/${name}.test.ts`);

/** Vitest's order, by size, but for those. */
export default class LongFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rest = await super.sort(files);
    const isLong = ({ moduleId }: TestSpecification) => long.some((end) => moduleId.endsWith(end));
    return [...rest.filter(isLong), ...rest.filter((file) => !isLong(file))];
  }
}
