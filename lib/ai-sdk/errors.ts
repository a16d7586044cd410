/** Errors as the AI SDK wants them: it tries again where that may help, and nowhere else. */
import { LacunaError } from '../errors.js';
import { isAborted } from '../server/context.js';
import { HttpError } from '../server/errors.js';

/**
 * What the AI SDK takes for its own `APICallError`, known to it by registered symbols, so that nothing
 * of it is needed at run time.
 */
class RetryableError extends Error {
  readonly isRetryable = true;
  readonly url = 'lacuna:';
  readonly requestBodyValues = {};
  readonly statusCode: number;
  readonly responseHeaders: Record<string, string>;

  constructor({ message, status, headers }: HttpError) {
    super(message);
    this.statusCode = status;
    this.responseHeaders = headers;
    const marks = ['vercel.ai.error', 'vercel.ai.error.AI_APICallError'];
    for (const mark of marks) Object.defineProperty(this, Symbol.for(mark), { value: true });
    Object.defineProperty(this, 'name', { value: 'AI_APICallError' });
  }
}

/** As `doGenerate` and `doStream` throw it. After an abort: the signal's reason, as `fetch` does. */
export function explained(error: unknown, signal: AbortSignal | undefined): unknown {
  if (signal?.aborted && isAborted(error)) return signal.reason;
  if (!(error instanceof HttpError)) return error;
  if (error.status === 429) return new RetryableError(error);
  return new LacunaError('INVALID_ARGUMENT', error.message, { cause: error });
}
