/** What a client is told went wrong, in OpenAI's shape. */
import { LacunaError, type LacunaErrorCode } from '../errors.js';

export interface ErrorBody {
  error: { message: string; type: string; param: string | null; code: string | null };
}

/** An answer other than 2xx. Its message goes to the client. */
export class HttpError extends Error {
  readonly status: number;
  readonly type: string;
  readonly code: string | null;
  readonly param: string | null;
  readonly headers: Record<string, string>;

  constructor(
    status: number,
    message: string,
    details: {
      type?: string;
      code?: string;
      param?: string;
      headers?: Record<string, string>;
    } = {},
  ) {
    super(message);
    this.status = status;
    this.type = details.type ?? typeOf(status);
    this.code = details.code ?? null;
    this.param = details.param ?? null;
    this.headers = details.headers ?? {};
  }

  get body(): ErrorBody {
    const { message, type, param, code } = this;
    return { error: { message, type, param, code } };
  }
}

function typeOf(status: number): string {
  if (status === 401) return 'authentication_error';
  if (status === 403) return 'permission_error';
  if (status === 404) return 'not_found_error';
  if (status === 429) return 'rate_limit_error';
  return status >= 500 ? 'server_error' : 'invalid_request_error';
}

// What the caller can mend is 400; clients try 408, 409, 429 and 5xx again by themselves.
const statuses: Partial<Record<LacunaErrorCode, number>> = {
  INVALID_ARGUMENT: 400,
  BAD_TEMPLATE: 400,
  UNSUPPORTED_TOKENIZER: 400,
  OUT_OF_MEMORY: 503,
  DISPOSED: 503,
};

/** Any error as an answer. What is not meant for clients, paths among it, stays here. */
export function httpError(error: unknown): HttpError {
  if (error instanceof HttpError) return error;
  if (LacunaError.isInstance(error)) {
    const status = statuses[error.code];
    if (status !== undefined) {
      const code = error.code.toLowerCase();
      const param = /^([a-z_]\w*(?:[.[]\w+\]?)*)[: ]/.exec(error.message)?.[1];
      return new HttpError(status, error.message, {
        code,
        ...(status === 400 && param !== undefined && { param }),
        ...(status === 503 && { headers: { 'retry-after': '2' } }),
      });
    }
  }
  return new HttpError(500, 'internal error', { code: 'internal_error' });
}

/** @param body where it is not OpenAI's shape that the client knows */
export function errorResponse(error: HttpError, body: object = error.body): Response {
  return Response.json(body, { status: error.status, headers: error.headers });
}
