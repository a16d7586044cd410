/** `lacuna quantize`: a GGUF file with its matrices in other types. */
import { rmSync } from 'node:fs';
import { Argument, Command } from 'commander';
import { mixNames, type Mix } from '../gguf/mixes.js';
import { quantiseFile, type QuantisedFile, type QuantisedTensor } from '../gguf/quantise-file.js';
import { partOf } from '../gguf/writer.js';
import { bytes, digits3, duration, fields, table } from './format.js';
import { sanitise } from './glyphs.js';
import { interruptible } from './interrupt.js';
import { defined, whole } from './options.js';
import { note } from './progress.js';

interface QuantiseFlags {
  threads?: number;
  json?: boolean;
}

export function quantiseCommand(): Command {
  return new Command('quantize')
    .description('Writes a GGUF file with its matrices in other types, and says what each loses.')
    .summary('write a GGUF file with its matrices in other types')
    .argument('<input>', 'GGUF file, best F32, F16 or BF16; of a split model any part')
    .argument('<output>', 'file to write; one that is there is replaced')
    .addArgument(new Argument('<type>', 'what the file is to be').choices(mixNames))
    .option('--threads <n>', 'CPU threads (default: as many as cores)', whole(1, 1024))
    .option('--json', 'the result as JSON')
    .addHelpText(
      'after',
      `
The names mean what they mean in other GGUF tools: Q4_K_M is mostly Q4_K, with Q6_K for the tensors
that suffer most. Norms, biases and routers stay as they are.

Examples:
  lacuna quantize llada.F16.gguf llada.Q4_K_M.gguf Q4_K_M
  lacuna quantize llada.F16.gguf llada.Q8_0.gguf Q8_0 --json > errors.json`,
    )
    .action(quantise);
}

async function quantise(
  input: string,
  output: string,
  type: Mix,
  flags: QuantiseFlags,
): Promise<void> {
  const start = performance.now();
  const { stderr } = process;
  const onProgress = ({ written, total }: { written: number; total: number }): void => {
    const percent = Math.floor((100 * written) / total);
    note(stderr, `quantising to ${type}: ${percent} % of ${bytes(total)}`);
  };
  const restore = (): void => {
    note(stderr, '');
    rmSync(partOf(output), { force: true }); // there only when the process is being ended
  };
  const result = await interruptible(restore, (signal) =>
    quantiseFile(input, output, defined({ type, threads: flags.threads, signal, onProgress })),
  );
  if (flags.json) console.log(JSON.stringify(result, null, 2));
  else console.log(`${tensorTable(result)}\n\n${summary(result, performance.now() - start)}`);
}

/** Matrices alone: what stays as it is loses nothing. */
function tensorTable({ tensors }: QuantisedFile): string {
  return table(
    ['tensor', '>shape', 'from', 'to', '>bytes', '>RMS error', '>relative', ''],
    tensors
      .filter(({ from, to }) => from !== to)
      .map((tensor) => [
        sanitise(tensor.name),
        tensor.shape.join(' × '),
        tensor.from,
        tensor.to,
        bytes(tensor.bytes),
        small(tensor.rms),
        percent(tensor.relative),
        remark(tensor),
      ]),
  );
}

function remark({ wanted, shape }: QuantisedTensor): string {
  return wanted ? `rows of ${shape[0]} do not fit ${wanted}` : '';
}

function summary(result: QuantisedFile, milliseconds: number): string {
  const { path, type, tensors, rms, relative } = result;
  const kept = tensors.filter(({ from, to }) => from === to).length;
  return fields([
    ['file', `${sanitise(path)} (${type}, ${bytes(result.bytes)})`],
    ['made from', bytes(result.sourceBytes)],
    ['kept as they are', `${kept} of ${tensors.length} tensors`],
    ['RMS error of the matrices', `${small(rms)}, ${percent(relative)} of their RMS`],
    ['time', duration(milliseconds)],
  ]);
}

const percent = (share: number): string => `${digits3(100 * share)} %`;

/** Weights are around 0.01 and their errors smaller. */
const small = (value: number): string => (value === 0 ? '0' : value.toExponential(2));
