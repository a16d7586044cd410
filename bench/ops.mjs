// The op table: every kernel against the peak of the same run.
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { outputDir } from '../scripts/native-build.mjs';
import { markdown, ms, percent } from './report.mjs';

export async function run({ threads, op = '' }) {
  const program = join(outputDir(), 'lacuna-ops');
  const args = ['--bench', ...(op === '' ? [] : [op]), `--threads=${threads}`, '--json'];
  const text = execFileSync(program, args, { encoding: 'utf8' });
  if (!text.startsWith('[')) throw new Error(`no op has ${op} in its name`);
  const rows = JSON.parse(text).map(({ op: name, ...row }) => ({ name, ...row }));
  console.log(
    markdown(
      ['op', '>ms', '>Gop/s', '>GB/s', '>of peak'],
      rows.map(({ name, ms: time, ops, bytes, share }) => [
        name,
        ms(time),
        ops > 0 ? ms(ops / 1e9) : '',
        ms(bytes / 1e9),
        ops > 0 ? percent(share) : '',
      ]),
    ),
  );
  return { data: { rows } };
}
