/** The JSON of a request, within the limits. */
import { HttpError } from './errors.js';
import type { Limits } from './limits.js';

/** Rejects with 400, 408 or 413. */
export async function readJson(request: Request, limits: Limits): Promise<Record<string, unknown>> {
  const text = new TextDecoder('utf-8', { fatal: true });
  let json: string;
  try {
    json = text.decode(await readBytes(request, limits));
  } catch (error) {
    if (error instanceof HttpError) throw error;
    throw new HttpError(400, 'the body is not UTF-8');
  }
  checkDepth(json, limits.depth);
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch (error) {
    throw new HttpError(400, `the body is not JSON: ${(error as Error).message}`);
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    return value as Record<string, unknown>;
  }
  throw new HttpError(400, 'the body must be a JSON object');
}

async function readBytes(request: Request, { body, bodySeconds }: Limits): Promise<Uint8Array> {
  const tooLarge = () =>
    new HttpError(413, `the body has more than ${body} bytes`, { code: 'body_too_large' });
  if (Number(request.headers.get('content-length') ?? 0) > body) throw tooLarge();
  if (request.body === null) return new Uint8Array();
  const reader = request.body.getReader() as ReadableStreamDefaultReader<Uint8Array>;
  const late = setTimeout(() => void reader.cancel('late'), bodySeconds * 1000);
  const start = Date.now();
  // Grows by doubling: a list of chunks of a byte each would take a hundred times their length.
  let bytes = Buffer.alloc(Math.min(body, 1 << 16));
  let length = 0;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      const end = length + value.length;
      if (end > body) {
        void reader.cancel();
        throw tooLarge();
      }
      if (end > bytes.length) {
        const larger = Buffer.alloc(Math.min(body, 2 * end));
        bytes.copy(larger, 0, 0, length);
        bytes = larger;
      }
      bytes.set(value, length);
      length = end;
    }
  } finally {
    clearTimeout(late);
  }
  if (Date.now() - start >= bodySeconds * 1000) {
    throw new HttpError(408, `the body took more than ${bodySeconds} s`, {
      headers: { connection: 'close' },
    });
  }
  return bytes.subarray(0, length);
}

/** Before it is parsed: deep nesting costs the parser's stack, and that of whoever walks it. */
function checkDepth(json: string, most: number): void {
  let depth = 0;
  let quoted = false;
  for (let i = 0; i < json.length; i++) {
    const char = json[i];
    if (quoted) {
      if (char === '\\') i++;
      else if (char === '"') quoted = false;
    } else if (char === '"') quoted = true;
    else if (char === '{' || char === '[') {
      if (++depth > most) {
        throw new HttpError(400, `the body's JSON is nested more than ${most} deep`);
      }
    } else if (char === '}' || char === ']') depth--;
  }
}
