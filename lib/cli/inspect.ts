/** `lacuna inspect`: what is in a file and what it takes to run it. */
import { Command } from 'commander';
import { inspectFile } from '../model.js';
import type { NativeFile, NativeSpec, NativeValue } from '../native.js';
import { bytes, count, fields, oneLine, plural, quoted, table } from './format.js';
import { sanitise } from './glyphs.js';
import { whole } from './options.js';

interface InspectFlags {
  metadata?: boolean;
  tensors?: boolean;
  memory?: boolean;
  canvas?: number;
  json?: boolean;
}

const usualCanvases = [256, 1024, 4096]; // of the memory table
const shownItems = 8; // of a long array
const valueWidth = 100; // cells

export function inspectCommand(): Command {
  return new Command('inspect')
    .description('Shows what is in a GGUF file and what it takes to run it. Nothing is loaded.')
    .summary('show what is in a GGUF file and what it takes to run it')
    .argument('<file>', 'GGUF file; of a split model any part')
    .option('--metadata', 'list all metadata')
    .option('--tensors', 'list all tensors')
    .option('--memory', 'memory for several canvas lengths')
    .option('--canvas <n>', 'memory for this canvas length: prompt + answer, in tokens', whole(1))
    .option('--json', 'everything as JSON')
    .addHelpText(
      'after',
      `
Without options: a summary and the memory.

Examples:
  lacuna inspect llada.gguf
  lacuna inspect llada.gguf --metadata --tensors
  lacuna inspect llada.gguf --memory --canvas 2048`,
    )
    .action(inspect);
}

async function inspect(path: string, flags: InspectFlags): Promise<void> {
  const canvases = flags.canvas === undefined ? usualCanvases : [flags.canvas];
  const file = await inspectFile(path, { lengths: canvases });
  if (flags.json) {
    console.log(JSON.stringify(asJson(file, canvases), null, 2));
    return;
  }
  const memory = flags.memory || flags.canvas !== undefined;
  const all = !flags.metadata && !flags.tensors && !memory;
  const sections: string[] = [];
  if (all) sections.push(summary(file));
  if (all || memory) sections.push(memoryTable(file, canvases));
  if (flags.metadata) sections.push(metadataList(file));
  if (flags.tensors) sections.push(tensorTable(file));
  console.log(sections.join('\n\n'));
}

function summary(file: NativeFile): string {
  const { spec } = file;
  const architecture = file.metadata['general.architecture'];
  const pairs: [string, string][] = [
    ['file', `${sanitise(file.path)} (GGUF version ${file.version}, ${bytes(file.fileBytes)})`],
    ['architecture', typeof architecture === 'string' ? sanitise(architecture) : 'not given'],
  ];
  const name = file.metadata['general.name'];
  if (typeof name === 'string') pairs.push(['name', sanitise(name)]);
  if (spec) pairs.push(...specFields(spec));
  pairs.push(
    ['tensors', `${file.tensors.length}: ${typeMix(file)}`],
    ['metadata', plural(Object.keys(file.metadata).length, 'key')],
    ['chat template', 'tokenizer.chat_template' in file.metadata ? 'yes' : 'no'],
  );
  const refusal = file.specError
    ? `\n\nLacuna cannot run this file: ${oneLine(file.specError.message)} (${file.specError.code})`
    : '';
  return fields(pairs) + refusal;
}

function specFields(spec: NativeSpec): [string, string][] {
  const heads =
    spec.kvHeads === spec.heads
      ? `${spec.heads} heads`
      : `${spec.heads} heads (${spec.kvHeads} K/V)`;
  const width = spec.experts > 0 ? spec.expertFfn : spec.ffn;
  const parts = [
    plural(spec.layers, 'layer'),
    `width ${spec.dim}`,
    `${heads} of ${spec.headDim}`,
    `feed-forward ${width}`,
  ];
  if (spec.experts > 0) parts.push(`${spec.expertsUsed} of ${spec.experts} experts`);
  const tokens = (['mask', 'bos', 'eos', 'eot', 'pad'] as const)
    .filter((kind) => spec[kind] >= 0)
    .map((kind) => `${kind} ${spec[kind]}`);
  return [
    ['parameters', count(spec.parameters)],
    ['shape', parts.join(', ')],
    ['attention', attentionName(spec)],
    ['context', spec.context > 0 ? plural(spec.context, 'token') : 'not given'],
    ['vocabulary', [plural(spec.vocabulary, 'token'), ...tokens].join(', ')],
  ];
}

function attentionName({ attentionBlock, logitShift }: NativeSpec): string {
  const kind =
    attentionBlock === 0
      ? 'full'
      : attentionBlock === 1
        ? 'causal'
        : `block-causal, blocks of ${attentionBlock}`;
  return logitShift === 1 ? `${kind}; row i − 1 predicts token i` : kind;
}

/** `Q8_0 99 %, F32 1 %` by bytes. */
function typeMix({ tensors }: NativeFile): string {
  const byType = new Map<string, number>();
  for (const { type, bytes } of tensors) byType.set(type, (byType.get(type) ?? 0) + bytes);
  const total = tensors.reduce((sum, tensor) => sum + tensor.bytes, 0);
  return [...byType]
    .sort(([, a], [, b]) => b - a)
    .map(([type, size]) => `${type} ${((100 * size) / total).toFixed(1)} %`)
    .join(', ');
}

function memoryTable({ spec, tensors, memory }: NativeFile, canvases: number[]): string {
  const inFile = tensors.reduce((sum, tensor) => sum + tensor.bytes, 0);
  if (!spec || !memory) return fields([['weights in the file', bytes(inFile)]]);
  const { device, weights, caches, activations } = memory;
  const rows = canvases.map((length, i) => {
    const note = spec.context > 0 && length > spec.context ? 'longer than the context' : '';
    const parts = [caches[i], activations[i], weights + caches[i] + activations[i]];
    return [plural(length, 'token'), ...parts.map(bytes), note];
  });
  return [
    fields([
      ['weights in the file', bytes(inFile)],
      ['weights in memory', `${bytes(weights)} (${device})`],
    ]),
    table(['>canvas', '>keys and values', '>activations', '>with the weights', ''], rows),
  ].join('\n\n');
}

function metadataList({ metadata }: NativeFile): string {
  return fields(Object.entries(metadata).map(([key, value]) => [sanitise(key), shownValue(value)]));
}

function shownValue(value: NativeValue): string {
  if (typeof value === 'string') return quoted(value, valueWidth);
  if (typeof value !== 'object') return String(value);
  const list = [...items(value, shownItems)];
  const length = arrayLength(value);
  const shown = list.map((item) => (typeof item === 'string' ? quoted(item, 24) : String(item)));
  const more = length > list.length ? ', …' : '';
  return `[${shown.join(', ')}${more}] (${length})`;
}

type NativeArray = Extract<NativeValue, object>;

function arrayLength(array: NativeArray): number {
  return array instanceof Float64Array ? array.length : array.offsets.length - 1;
}

/** The first `limit` items of a packed array. */
function items(array: NativeArray, limit: number): (string | number)[] {
  if (array instanceof Float64Array) return [...array.subarray(0, limit)];
  const { strings, offsets } = array;
  const decoder = new TextDecoder();
  return Array.from({ length: Math.min(limit, offsets.length - 1) }, (_, i) =>
    decoder.decode(strings.subarray(offsets[i], offsets[i + 1])),
  );
}

function tensorTable({ tensors }: NativeFile): string {
  return table(
    ['tensor', 'type', '>shape', '>bytes'],
    tensors.map(({ name, type, shape, bytes: size }) => [
      sanitise(name),
      type,
      shape.join(' × '),
      bytes(size),
    ]),
  );
}

function asJson(file: NativeFile, canvases: number[]): object {
  const { memory, ...rest } = file;
  const metadata = Object.fromEntries(
    Object.entries(file.metadata).map(([key, value]) => {
      if (typeof value === 'bigint') return [key, value.toString()];
      return [key, typeof value === 'object' ? items(value, Infinity) : value];
    }),
  );
  const sessions = canvases.map((length, i) => ({
    length,
    cache: memory?.caches[i],
    activations: memory?.activations[i],
  }));
  return {
    ...rest,
    metadata,
    memory: memory && { device: memory.device, weights: memory.weights, sessions },
  };
}
