/** From numbers to the tensor types of GGUF files: native code, on threads of its own. */
import { LacunaError } from '../errors.js';
import { finish, native, type NativeEncoded } from '../native.js';
import { tensorTypes, type TensorType } from './types.js';

export { mixNames, planTypes, type Mix, type PlannedType, type PlanTensor } from './mixes.js';

export interface EncodeOptions {
  /** Default: as many as cores. Results do not depend on it. */
  threads?: number;
  /** Ends the work with `ABORTED`. */
  signal?: AbortSignal;
  /** What messages call the numbers; default `'values'`. */
  name?: string;
  /** Number of the first element within what `name` names, for messages; default 0. */
  first?: number;
}

const invalid = (message: string): LacunaError => new LacunaError('INVALID_ARGUMENT', message);

/** Elements that are encoded at a time: enough for many threads, copied within milliseconds. */
export const pieceElements = 1 << 22;

/**
 * Encodes numbers as tensor data. Scales of quantised types are searched for the least square error.
 *
 * @param values (rows × columns), finite; at most 65504 in magnitude, except for F32 and BF16
 * @param columns elements of a row, a multiple of the type's block size
 * @throws LacunaError `INVALID_ARGUMENT`, which names the first element that is not, `ABORTED`
 */
export async function quantise(
  type: TensorType,
  values: Float32Array,
  columns: number,
  options: EncodeOptions = {},
): Promise<Uint8Array> {
  const { name = 'values', first = 0 } = options;
  if (!Object.hasOwn(tensorTypes, type))
    throw invalid(`type is ${type}, must be one of ${Object.keys(tensorTypes).join(', ')}`);
  const { blockSize, blockBytes } = tensorTypes[type];
  if (!Number.isInteger(columns) || columns < 1 || columns % blockSize !== 0)
    throw invalid(`columns is ${columns}, must be a multiple of ${blockSize} for ${type}`);
  if (values.length % columns !== 0)
    throw invalid(`${name} has ${values.length} elements, must be whole rows of ${columns}`);
  const out = new Uint8Array((values.length / blockSize) * blockBytes);
  const step = Math.max(1, Math.floor(pieceElements / columns)) * columns;
  for (let at = 0; at < values.length; at += step) {
    const piece = values.subarray(at, at + step);
    const data = new Uint8Array(piece.buffer, piece.byteOffset, piece.byteLength);
    const encoded = await encode('F32', type, columns, data, { ...options, first: first + at });
    out.set(encoded.data, (at / blockSize) * blockBytes);
  }
  return out;
}

/**
 * Encodes tensor data of one type as another; the same type is copied.
 *
 * @param data whole rows
 * @returns the data, and the sums of squares of the values (`power`) and of what they lost (`error`)
 * @throws as {@link quantise}
 */
export async function encode(
  from: TensorType,
  to: TensorType,
  columns: number,
  data: Uint8Array,
  { threads = 0, signal, name = 'values', first = 0 }: EncodeOptions = {},
): Promise<NativeEncoded> {
  const encoded = await finish(() => native().encode(from, to, columns, data, threads), signal);
  if (encoded.bad < 0) return encoded;
  throw invalid(
    `${name}: element ${first + encoded.bad} is not a finite number, or too large for ${to} ` +
      `(at most 65504 in magnitude, except for F32 and BF16)`,
  );
}
