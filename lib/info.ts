/** What a loaded model is, and the tokenizer its file describes. */
import type { SoftMaskParameters } from './decoding/soft-masking.js';
import { LacunaError } from './errors.js';
import type { NativeFile, NativeModel, NativeSpec, NativeValue } from './native.js';
import { createTokenizer, type Tokenizer } from './text/tokenizer.js';

/** Which keys a row may see; `blockCausal`: those up to the end of its own block of n positions. */
export type Attention = 'full' | 'causal' | { readonly blockCausal: number };

/** Facts of a loaded model. */
export interface ModelInfo {
  /** `general.architecture`: `'llada'`. */
  readonly architecture: string;
  /** `general.name`, or `''`. */
  readonly name: string;
  /** Elements of all tensors. */
  readonly parameters: number;
  readonly layers: number;
  readonly dim: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  /** Width of the feed-forward layer; 0 in a mixture of experts. */
  readonly ffn: number;
  /** Number of token ids. */
  readonly vocabulary: number;
  /** Trained length in tokens; 0: unknown. */
  readonly context: number;
  /** 0: dense. */
  readonly experts: number;
  readonly expertsUsed: number;
  readonly expertFfn: number;
  readonly attention: Attention;
  /** 1: row i − 1 predicts token i. */
  readonly logitShift: 0 | 1;
  /** What the file says of soft masks (`diffusion.soft_mask.*`); absent: not trained with them. */
  readonly softMask?: Readonly<SoftMaskParameters>;
  /** Ids of special tokens; those the file does not name are absent. */
  readonly tokens: {
    readonly mask?: number;
    readonly bos?: number;
    readonly eos?: number;
    readonly eot?: number;
    readonly pad?: number;
  };
  /** What computes. */
  readonly device: 'cpu' | 'cuda' | 'ref';
  /** The same in words: `'cpu (AVX2, 2 threads)'`. */
  readonly backend: string;
  /** Bytes of the weights in memory. Models that a process loads from the same file share them. */
  readonly weightBytes: number;
  /** `bytes`: of all parts of a split file. */
  readonly file: { readonly path: string; readonly bytes: number };
}

/** @internal */
export function modelInfo(native: NativeModel, path: string): ModelInfo {
  const { spec, backend } = native;
  const { attentionBlock, mask, bos, eos, eot, pad, tiedHead: _, ...facts } = spec;
  const named = Object.entries({ mask, bos, eos, eot, pad }).filter(([, id]) => id >= 0);
  return Object.freeze({
    ...facts,
    ...(spec.softMask && { softMask: Object.freeze(spec.softMask) }),
    attention: attentionOf(attentionBlock),
    logitShift: spec.logitShift === 1 ? 1 : 0,
    tokens: Object.freeze(Object.fromEntries(named)),
    device: backend.split(' ')[0] as ModelInfo['device'],
    backend,
    weightBytes: native.weightBytes,
    file: Object.freeze({ path, bytes: native.fileBytes }),
  });
}

function attentionOf(block: number): Attention {
  if (block === 0) return 'full';
  return block === 1 ? 'causal' : Object.freeze({ blockCausal: block });
}

/**
 * The tokenizer that a file describes.
 * @internal
 * @param options `pre`, `chatTemplate`: instead of what the file says
 */
export function fileTokenizer(
  { path, metadata }: NativeFile,
  spec: NativeSpec,
  options: { pre?: string; chatTemplate?: string },
): Tokenizer {
  const get = (key: string) => metadata[`tokenizer.ggml.${key}`];
  const text = (value: NativeValue | undefined) => (typeof value === 'string' ? value : undefined);
  const id = (value: number) => (value < 0 ? undefined : value);
  const model = text(get('model'));
  if (model === undefined) {
    throw new LacunaError(
      'UNSUPPORTED_TOKENIZER',
      `${path}: the file has no tokenizer (no tokenizer.ggml.model); use token ids instead of text`,
    );
  }
  const types = get('token_type');
  const addBos = get('add_bos_token');
  return createTokenizer({
    model,
    pre: options.pre ?? text(get('pre')) ?? '',
    tokens: strings(path, 'tokens', get('tokens')),
    tokenTypes: types instanceof Float64Array ? types : undefined,
    merges: strings(path, 'merges', get('merges')),
    bos: id(spec.bos),
    eos: id(spec.eos),
    eot: id(spec.eot),
    mask: id(spec.mask),
    pad: id(spec.pad),
    addBos: typeof addBos === 'boolean' ? addBos : undefined,
    chatTemplate: options.chatTemplate ?? text(metadata['tokenizer.chat_template']),
    file: path,
  });
}

function strings(path: string, key: string, value: NativeValue | undefined): string[] {
  if (typeof value !== 'object' || value instanceof Float64Array) {
    throw new LacunaError('BAD_GGUF', `${path}: tokenizer.ggml.${key} must be an array of strings`);
  }
  return unpacked(value.strings, value.offsets);
}

/** Strings that lie one after another as UTF-8; `offsets` (n + 1) are their bounds. */
function unpacked(bytes: Uint8Array, offsets: Uint32Array): string[] {
  const n = offsets.length - 1;
  const all = wholeText(bytes);
  const continues = (at: number) => (bytes[at] & 0xc0) === 0x80;
  const damaged = all === undefined || offsets.subarray(0, n).some(continues);
  if (damaged) {
    // One by one, so that a string with damaged bytes leaves the others as they are.
    const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
    return Array.from({ length: n }, (_, i) =>
      decoder.decode(bytes.subarray(offsets[i], offsets[i + 1])),
    );
  }
  // A decoder call for each of 126,464 tokens would cost more than all the rest.
  let from = 0;
  return Array.from({ length: n }, (_, i) => {
    let to = from;
    for (let at = offsets[i]; at < offsets[i + 1]; at++) {
      if (!continues(at)) to += bytes[at] >= 0xf0 ? 2 : 1; // UTF-16 units
    }
    const text = all.slice(from, to);
    from = to;
    return text;
  });
}

/** `undefined` if the bytes are no valid UTF-8. */
function wholeText(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return undefined;
  }
}
