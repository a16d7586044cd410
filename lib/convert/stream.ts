/** Tensor data from a checkpoint to a GGUF file, a piece at a time. */
import { encode, pieceElements } from '../gguf/quantise.js';
import type { TensorType } from '../gguf/types.js';
import type { Planned } from './tensors.js';
import { readBytes } from './safetensors.js';

/**
 * The data of a tensor in `type`, whose blocks must fit a row. In memory are some 4 M elements, or a
 * row or head if that is more.
 */
export async function* tensorData(
  tensor: Planned,
  type: TensorType,
  signal?: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  for (const source of tensor.sources) {
    const rows = source.shape[0];
    const columns = source.shape.length === 2 ? source.shape[1] : 1;
    const rowBytes = columns * source.size;
    const group = Math.max(1, tensor.headRows);
    const step = group * Math.max(1, Math.floor(pieceElements / (group * columns)));
    const name = `${source.path}: tensor ${source.name}`;
    for (let row = 0; row < rows; row += step) {
      const n = Math.min(step, rows - row);
      let bytes = await readBytes(source, source.offset + row * rowBytes, n * rowBytes);
      if (tensor.headRows > 0) bytes = interleaveHeads(bytes, tensor.headRows, rowBytes);
      const first = row * columns;
      if (source.type === type) yield bytes;
      else yield (await encode(source.type, type, columns, bytes, { signal, name, first })).data;
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
