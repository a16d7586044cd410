/** A Hugging Face folder to a GGUF file. */
import { basename, join, resolve } from 'node:path';
import { mixes } from '../gguf/mixes.js';
import { mixNames, planTypes, type Mix } from '../gguf/quantise.js';
import type { TensorType } from '../gguf/types.js';
import { writeGguf, type GgufTensor } from '../gguf/writer.js';
import { attentionBlock, type LoadOptions } from '../model.js';
import { abortSignal, integer, invalid, knownKeys, oneOf, string } from '../validate.js';
import { bad, Config, readObject } from './folder.js';
import { Checkpoint } from './safetensors.js';
import { checkAssumed, familyOf, frequencyFactors, modelKeys, readShape } from './shape.js';
import { tensorData } from './stream.js';
import { planTensors, type Planned } from './tensors.js';
import { tokenizerKeys } from './tokenizer.js';

export interface ConvertOptions {
  /**
   * `'Q8_0'`, `'Q4_K_M'` …, the types of the matrices, as `quantize` has them; default: that of the
   * checkpoint. Vectors and routers are F32.
   */
  type?: Mix;
  /** `general.name`; default: the name of the folder. */
  name?: string;
  /** Which keys a row sees, instead of what the architecture says; as the load option. */
  attention?: LoadOptions['attention'];
  /** 1: row i − 1 predicts token i; instead of what the architecture says. */
  shift?: 0 | 1;
  /** Token id of MASK, instead of what the folder says. */
  maskToken?: number;
  /** Name of the pre-tokenizer (`tokenizer.ggml.pre`), for a folder whose own is not known. */
  pre?: string;
  /** Ends the conversion with `ABORTED`; nothing is left of the file. */
  signal?: AbortSignal;
  /**
   * Bytes of the file that are written, and all of them: rises, and ends with `written === total`. An
   * error thrown here ends the conversion.
   */
  onProgress?: (progress: { written: number; total: number }) => void;
}

const optionNames = [
  'type',
  'name',
  'attention',
  'shift',
  'maskToken',
  'pre',
  'signal',
  'onProgress',
];

/** What {@link convert} wrote. */
export interface Converted {
  path: string;
  bytes: number;
  /** `general.architecture`: `'llada'`. */
  architecture: string;
  type: Mix;
  tensors: number;
  parameters: number;
  /** Tensors whose rows are no multiple of the block that the type asks for. */
  substituted: { name: string; type: TensorType; wanted: TensorType }[];
}

/**
 * Converts a Hugging Face folder (config.json, safetensors, tokenizer) to a GGUF file: LLaDA, Dream,
 * LLaDA-MoE, RND1, SDAR, Fast-dLLM v2, Llama, Qwen2, Qwen3, Qwen3-MoE, and what is saved in their
 * classes. The file loads here without options and follows the conventions of llama.cpp, so that
 * other GGUF tools read it.
 *
 * Weights are streamed: some tens of MB are in memory at a time. The file grows under another name and
 * appears at `path` when it is whole; one that is there is replaced.
 *
 * Rejects with `BAD_CHECKPOINT` (a file, key or tensor is missing or wrong), `UNSUPPORTED_ARCHITECTURE`
 * (a class, an option of it or a tensor that has no place), `UNSUPPORTED_TYPE`, `UNSUPPORTED_TOKENIZER`,
 * `FILE_ERROR`, `ABORTED`, and `INVALID_ARGUMENT` for options and for weights that are not finite or do
 * not fit the type.
 */
export async function convert(
  folder: string,
  path: string,
  options: ConvertOptions = {},
): Promise<Converted> {
  string('folder', folder);
  string('path', path);
  const { signal, onProgress, ...given } = checked(options);
  const values = await readObject(folder, 'config.json');
  if (!values) throw bad(folder, 'has no config.json');
  const config = new Config(join(folder, 'config.json'), values);
  const family = familyOf(config);
  checkAssumed(config, family);
  const shape = readShape(config, family);
  const metadata = {
    'general.architecture': family.architecture,
    'general.type': 'model',
    'general.name': given.name ?? basename(resolve(folder)),
    ...modelKeys(config, family, shape, given),
    ...(await tokenizerKeys(folder, config, family, shape.vocabulary, given)),
    'general.quantization_version': 2,
  };
  await using checkpoint = await Checkpoint.open(folder);
  checkpoint.refuseOutput(path);
  const planned = planTensors(checkpoint, config.path, family, shape);
  const type = given.type ?? planned[0].sources[0].type;
  const { tensors, substituted } = ggufTensors(planned, type, signal);
  const factors = frequencyFactors(config, family, shape);
  if (factors) tensors.push(vectorTensor('rope_freqs.weight', factors));
  const contents = { metadata: { ...metadata, 'general.file_type': mixes[type].id }, tensors };
  const bytes = await writeGguf(path, contents, { signal, onProgress });
  const parameters = tensors.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b), 0);
  const { architecture } = family;
  return { path, bytes, architecture, type, tensors: tensors.length, parameters, substituted };
}

function checked(options: ConvertOptions) {
  knownKeys('convert options', options, optionNames);
  const { type, name, attention, shift, maskToken, pre, onProgress } = options;
  if (onProgress !== undefined && typeof onProgress !== 'function')
    invalid('onProgress', onProgress, 'a function');
  return {
    type: type === undefined ? undefined : oneOf('type', type, mixNames),
    name: name === undefined ? undefined : string('name', name),
    attentionBlock: attention === undefined ? undefined : attentionBlock(attention),
    shift: shift === undefined ? undefined : oneOf('shift', shift, [0, 1]) === 1,
    maskToken: maskToken === undefined ? undefined : integer('maskToken', maskToken, { min: 0 }),
    pre: pre === undefined ? undefined : string('pre', pre),
    signal: abortSignal('signal', options.signal),
    onProgress,
  };
}

/** With the types of the mix; vectors and routers are F32. */
function ggufTensors(planned: readonly Planned[], mix: Mix, signal?: AbortSignal) {
  const types = planTypes(mix, planned);
  const tensors = planned.map((tensor, i): GgufTensor => {
    const { type = 'F32' } = types[i];
    const { name, shape } = tensor;
    return { name, type, shape, data: () => tensorData(tensor, type, signal) };
  });
  const substituted = tensors.flatMap(({ name, type }, i) => {
    const { wanted } = types[i];
    return wanted === undefined ? [] : [{ name, type, wanted }];
  });
  return { tensors, substituted };
}

function vectorTensor(name: string, values: Float32Array): GgufTensor {
  return { name, type: 'F32', shape: [values.length], data: new Uint8Array(values.buffer) };
}
