/** Tensor data from a checkpoint to a GGUF file, a piece at a time. */
import { LacunaError } from '../errors.js';
import { halfToFloat, isEncodable, roundTo } from '../gguf/rounding.js';
import type { TensorType } from '../gguf/types.js';
import type { Planned } from './tensors.js';
import { readBytes, type SourceTensor, type SourceType } from './safetensors.js';

/** Bytes of a source that are in memory at a time; a row or a head may be more. */
const pieceBytes = 1 << 22;

/** The data of a tensor in `type`, whose blocks must fit a row. */
export async function* tensorData(
  tensor: Planned,
  type: TensorType,
): AsyncGenerator<Uint8Array, void, undefined> {
  for (const source of tensor.sources) {
    const rows = source.shape[0];
    const columns = source.shape.length === 2 ? source.shape[1] : 1;
    const rowBytes = columns * source.size;
    const group = Math.max(1, tensor.headRows);
    const step = group * Math.max(1, Math.floor(pieceBytes / (group * rowBytes)));
    for (let row = 0; row < rows; row += step) {
      const n = Math.min(step, rows - row);
      let bytes = await readBytes(source, source.offset + row * rowBytes, n * rowBytes);
      if (tensor.headRows > 0) bytes = interleaveHeads(bytes, tensor.headRows, rowBytes);
      yield source.type === type ? bytes : encode(source, type, bytes, row * columns);
    }
  }
}

/**
 * Rope turns the numbers of a head in pairs: i and i + headRows / 2 in the checkpoint, 2i and 2i + 1 in
 * the GGUF architectures that llama.cpp calls NORM. Attention is the same, for q and k both change.
 */
function interleaveHeads(bytes: Uint8Array, headRows: number, rowBytes: number): Uint8Array {
  const out = new Uint8Array(bytes.length);
  const half = headRows / 2;
  for (let head = 0; head < bytes.length; head += headRows * rowBytes)
    for (let row = 0; row < headRows; row++) {
      const from = head + row * rowBytes;
      const to = row < half ? 2 * row : 2 * (row - half) + 1;
      out.set(bytes.subarray(from, from + rowBytes), head + to * rowBytes);
    }
  return out;
}

/** @param first index in the tensor of the first number, for messages */
function encode(
  { name, path, type: from }: SourceTensor,
  type: TensorType,
  bytes: Uint8Array,
  first: number,
): Uint8Array {
  if (!isEncodable(type))
    throw new LacunaError('UNSUPPORTED_TYPE', `tensors cannot be written as ${type}`);
  const values = decode[from](bytes);
  const limit = type === 'F16' ? 65_504 : Number.MAX_VALUE;
  const wrong = values.findIndex((value) => !(Math.abs(value) <= limit));
  if (wrong >= 0)
    throw new LacunaError(
      'BAD_CHECKPOINT',
      `${path}: tensor ${name}: number ${first + wrong} is ${values[wrong]}, ` +
        (Number.isFinite(values[wrong]) ? 'too large for F16; use BF16 or F32' : 'must be finite'),
    );
  return roundTo(type, values);
}

const decode: Record<SourceType, (bytes: Uint8Array) => Float32Array> = {
  F32: (bytes) => new Float32Array(bytes.buffer, 0, bytes.length / 4),
  F16: (bytes) => Float32Array.from(words(bytes), halfToFloat),
  BF16: (bytes) => {
    const source = words(bytes);
    const bits = new Uint32Array(source.length);
    for (let i = 0; i < bits.length; i++) bits[i] = source[i] << 16;
    return new Float32Array(bits.buffer);
  },
};

const words = (bytes: Uint8Array): Uint16Array =>
  new Uint16Array(bytes.buffer, 0, bytes.length / 2);
