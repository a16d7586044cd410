import { ByteWriter, writeValue, type MetadataValue } from '../../lib/gguf/metadata.js';

/** One entry of the tensor list, nothing checked. */
export interface RawTensor {
  name: string | Uint8Array;
  dimensions?: (number | bigint)[];
  dimensionCount?: number;
  type?: number;
  offset?: number | bigint;
}

/** A GGUF file with anything wrong in it that one likes. Defaults make a sound one. */
export interface RawFile {
  magic?: string;
  version?: number;
  tensorCount?: number | bigint;
  keyCount?: number | bigint;
  /** Pairs, so that a key can come twice; a function writes type and value itself. */
  keys?: [string | Uint8Array, MetadataValue | ((out: ByteWriter) => void)][];
  tensors?: RawTensor[];
  /** Bytes of tensor data after the padding. */
  data?: number;
  alignment?: number;
}

function name(out: ByteWriter, text: string | Uint8Array): void {
  if (typeof text === 'string') return out.string(text);
  out.scalar('u64', text.length);
  out.raw(text);
}

export function raw(file: RawFile): Uint8Array {
  const { keys = [], tensors = [], alignment = 32, data = 0 } = file;
  const out = new ByteWriter();
  out.raw(new TextEncoder().encode(file.magic ?? 'GGUF'));
  out.scalar('u32', file.version ?? 3);
  out.scalar('u64', file.tensorCount ?? tensors.length);
  out.scalar('u64', file.keyCount ?? keys.length);
  for (const [key, value] of keys) {
    name(out, key);
    if (typeof value === 'function') value(out);
    else writeValue(out, 'key', value);
  }
  for (const tensor of tensors) {
    const dimensions = tensor.dimensions ?? [8];
    name(out, tensor.name);
    out.scalar('u32', tensor.dimensionCount ?? dimensions.length);
    for (const n of dimensions) out.scalar('u64', n);
    out.scalar('u32', tensor.type ?? 0);
    out.scalar('u64', tensor.offset ?? 0);
  }
  const header = out.bytes().length;
  out.raw(new Uint8Array(data > 0 ? Math.ceil(header / alignment) * alignment - header + data : 0));
  return out.bytes();
}
