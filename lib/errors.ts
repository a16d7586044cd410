/**
 * What went wrong, as a stable string that programs may compare with.
 *
 * - `BAD_GGUF`: the file is damaged, truncated, or lacks a key or tensor that it must have.
 * - `BAD_CHECKPOINT`: a Hugging Face folder is damaged, contradicts itself, or lacks a file, key or
 *   tensor that it must have.
 * - `FILE_ERROR`: a file cannot be opened, read, mapped or written.
 * - `UNSUPPORTED_ARCHITECTURE`: a valid file of an architecture, or with a part, that Lacuna cannot run.
 * - `UNSUPPORTED_TYPE`: a tensor type that Lacuna cannot decode or write.
 * - `UNSUPPORTED_TOKENIZER`: a tokenizer model, pre-tokenizer or vocabulary that Lacuna cannot use.
 * - `BAD_TEMPLATE`: a chat template is missing, does not parse, or refuses the messages.
 * - `OUT_OF_MEMORY`: memory of the device or of the host is used up.
 * - `INVALID_ARGUMENT`: an option or argument of the caller is missing, misspelt or out of range.
 * - `BUSY`: the object is already doing something that excludes the call.
 * - `DISPOSED`: the object was disposed of before or during the call.
 * - `ABORTED`: the caller's `AbortSignal` fired.
 * - `NO_CUDA`: the CUDA device was asked for and this build or machine has none.
 * - `MISSING_PACKAGE`: an optional package that the call needs is not installed.
 * - `NO_BINARY`: there is no native binary for this platform, or it does not load.
 * - `INTERNAL`: a defect in Lacuna; please report it.
 */
export type LacunaErrorCode =
  | 'BAD_GGUF'
  | 'BAD_CHECKPOINT'
  | 'FILE_ERROR'
  | 'UNSUPPORTED_ARCHITECTURE'
  | 'UNSUPPORTED_TYPE'
  | 'UNSUPPORTED_TOKENIZER'
  | 'BAD_TEMPLATE'
  | 'OUT_OF_MEMORY'
  | 'INVALID_ARGUMENT'
  | 'BUSY'
  | 'DISPOSED'
  | 'ABORTED'
  | 'NO_CUDA'
  | 'MISSING_PACKAGE'
  | 'NO_BINARY'
  | 'INTERNAL';

// A registered symbol is the same in every copy of the package in a process; a class is not.
const brand = Symbol.for('lacuna.error');

/**
 * Every error that Lacuna throws or rejects with. The message names the file, key, tensor or
 * option, and says what would be right.
 */
export class LacunaError extends Error {
  readonly code: LacunaErrorCode;

  /**
   * @param code what went wrong
   * @param message what it concerns, and what would be right
   * @param options `cause`: the error underneath, if there is one
   */
  constructor(code: LacunaErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
    Object.defineProperty(this, 'name', { value: 'LacunaError', configurable: true });
    Object.defineProperty(this, brand, { value: true });
  }

  /** Like `instanceof`, but also true of errors made by another copy of this package. */
  static isInstance(error: unknown): error is LacunaError {
    return typeof error === 'object' && error !== null && brand in error;
  }
}
