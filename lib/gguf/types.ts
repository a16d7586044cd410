/** Tensor types that Lacuna reads, by their GGUF names: number in the file, elements and bytes of a block. */
export const tensorTypes = {
  F32: { id: 0, blockSize: 1, blockBytes: 4 },
  F16: { id: 1, blockSize: 1, blockBytes: 2 },
  BF16: { id: 30, blockSize: 1, blockBytes: 2 },
  Q8_0: { id: 8, blockSize: 32, blockBytes: 34 },
  Q4_0: { id: 2, blockSize: 32, blockBytes: 18 },
  Q4_1: { id: 3, blockSize: 32, blockBytes: 20 },
  Q5_0: { id: 6, blockSize: 32, blockBytes: 22 },
  Q5_1: { id: 7, blockSize: 32, blockBytes: 24 },
  Q2_K: { id: 10, blockSize: 256, blockBytes: 84 },
  Q3_K: { id: 11, blockSize: 256, blockBytes: 110 },
  Q4_K: { id: 12, blockSize: 256, blockBytes: 144 },
  Q5_K: { id: 13, blockSize: 256, blockBytes: 176 },
  Q6_K: { id: 14, blockSize: 256, blockBytes: 210 },
  IQ4_NL: { id: 20, blockSize: 32, blockBytes: 18 },
  IQ4_XS: { id: 23, blockSize: 256, blockBytes: 136 },
} as const;

export type TensorType = keyof typeof tensorTypes;

/** What a file of one kind is called: by the type of its matrices, or by a mix of types. */
export type FileType = TensorType | 'Q4_K_M';

export const fileTypes = [...Object.keys(tensorTypes), 'Q4_K_M'] as FileType[];

/** Metadata value types of fixed size: number in the file and bytes. */
export const scalarTypes = {
  u8: { id: 0, bytes: 1 },
  i8: { id: 1, bytes: 1 },
  u16: { id: 2, bytes: 2 },
  i16: { id: 3, bytes: 2 },
  u32: { id: 4, bytes: 4 },
  i32: { id: 5, bytes: 4 },
  f32: { id: 6, bytes: 4 },
  bool: { id: 7, bytes: 1 },
  u64: { id: 10, bytes: 8 },
  i64: { id: 11, bytes: 8 },
  f64: { id: 12, bytes: 8 },
} as const;

export type ScalarType = keyof typeof scalarTypes;

/** Numbers of the two value types without a fixed size. */
export const stringTypeId = 8;
export const arrayTypeId = 9;

/** Bytes of a tensor; `shape` has the fastest dimension first, a multiple of the block size. */
export function tensorBytes(type: TensorType, shape: readonly number[]): number {
  const { blockSize, blockBytes } = tensorTypes[type];
  return (shape.reduce((a, b) => a * b, 1) / blockSize) * blockBytes;
}
