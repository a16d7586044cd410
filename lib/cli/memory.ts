/** What the weights will need, estimated from the file alone. */
import type { NativeSpec, NativeTensor } from '../native.js';

/** Bytes per weight of a matrix on the `cpu` device: int8 panels with f32 scales, or floats. */
const panelBytes: Record<string, number> = {
  F32: 4,
  F16: 2,
  BF16: 2,
  // one scale per 32 weights
  Q8_0: 1 + 4 / 32,
  Q4_0: 1 + 4 / 32,
  Q5_0: 1 + 4 / 32,
  IQ4_NL: 1 + 4 / 32,
  IQ4_XS: 1 + 4 / 32,
  // one scale and one offset per 32 weights
  Q4_1: 1 + 8 / 32,
  Q5_1: 1 + 8 / 32,
  Q4_K: 1 + 8 / 32,
  Q5_K: 1 + 8 / 32,
  // per 16 weights
  Q3_K: 1 + 4 / 16,
  Q6_K: 1 + 4 / 16,
  Q2_K: 1 + 8 / 16,
};

/** Bytes of the weights once loaded on the `cpu` device. */
export function residentBytes(tensors: readonly NativeTensor[], spec: NativeSpec): number {
  return tensors.reduce((sum, { name, type, shape, bytes }) => {
    const elements = shape.reduce((product, size) => product * size, 1);
    const matrix = elements * (panelBytes[type] ?? 4);
    if (shape.length < 2) return sum + elements * 4; // norms and biases are f32
    // The embedding stays as it is in the file; a tied head is made of the same rows once more.
    if (name === 'token_embd.weight') return sum + bytes + (spec.tiedHead ? matrix : 0);
    return sum + matrix;
  }, 0);
}
