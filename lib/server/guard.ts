/** Who may ask: checked before anything of the request is looked at. */
import { createHash, timingSafeEqual } from 'node:crypto';
import { HttpError } from './errors.js';

export interface GuardOptions {
  /**
   * Names under which the server may be reached, without a port; more than those of this machine's
   * loopback. A page on a name that a stranger points here has none of them (DNS rebinding).
   */
  hosts?: readonly string[];
  /** Pages of other origins that may call: `'https://app.example'`, exact. */
  origins?: readonly string[];
  /** Whoever has none of these keys gets 401. Default: nobody needs one. */
  apiKeys?: readonly string[];
}

const loopback = ['localhost', '127.0.0.1', '[::1]'];

/** Paths that probes and browsers ask for without a key; they tell and change nothing. */
const open = (path: string) =>
  /^\/(?:health|healthz|readyz|v2\/health\/(?:live|ready)|favicon\.ico)?$/.test(path) ||
  path.startsWith('/studio/');

/**
 * Makes the check. It throws an `HttpError` or returns the headers that let the page of an allowed
 * origin read the answer.
 *
 * Three headers are needed, as each is blind to something: Host stops rebinding, Origin stops
 * scripts of other pages, and only Sec-Fetch-Site shows the image or the no-cors GET of another page.
 */
export function guard({ hosts = [], origins = [], apiKeys = [] }: GuardOptions) {
  const known = new Set([...loopback, ...hosts.map(asHost)]);
  const keys = apiKeys.map(digest);

  return (request: Request): Record<string, string> => {
    const { pathname } = new URL(request.url);
    const host = request.headers.get('host');
    if (host === null) throw new HttpError(400, 'the request has no Host header');
    if (!known.has(nameOf(host))) {
      throw new HttpError(403, 'this Host is not served here; --allow-host adds a name', {
        code: 'host_not_allowed',
      });
    }
    const cors = checkOrigin(request, host, origins);
    if (request.method === 'OPTIONS') return cors;
    checkType(request);
    if (keys.length > 0 && !open(pathname)) checkKey(request, keys);
    return cors;
  };
}

/** As the header has it: an IPv6 address stands in brackets. */
function asHost(name: string): string {
  const host = name.toLowerCase();
  return host.includes(':') && !host.startsWith('[') ? `[${host}]` : host;
}

/** `'localhost:8080'` → `'localhost'` */
function nameOf(host: string): string {
  return host.toLowerCase().replace(/:\d*$/, '').replace(/\.$/, '');
}

function checkOrigin(
  request: Request,
  host: string,
  origins: readonly string[],
): Record<string, string> {
  const origin = request.headers.get('origin');
  const own = origin === `http://${host}` || origin === `https://${host}`;
  const allowed = origin !== null && origins.includes(origin);
  const site = request.headers.get('sec-fetch-site');
  if ((site === 'cross-site' || site === 'same-site') && !allowed) {
    throw new HttpError(403, 'pages of other sites may not call this server', {
      code: 'origin_not_allowed',
    });
  }
  if (origin !== null && !own && !allowed) {
    throw new HttpError(403, 'this Origin may not call; --allow-origin adds one', {
      code: 'origin_not_allowed',
    });
  }
  if (!allowed) return {};
  return {
    'access-control-allow-origin': origin,
    'access-control-allow-methods': 'GET, POST, OPTIONS',
    'access-control-allow-headers':
      'authorization, content-type, x-api-key, x-lacuna-canvas, x-request-id',
    'access-control-expose-headers': 'x-request-id, x-lacuna-ignored, retry-after',
    'access-control-max-age': '600',
    vary: 'Origin',
  };
}

/** A form or a script without a preflight cannot send JSON. */
function checkType({ method, headers }: Request): void {
  if (method === 'GET' || method === 'HEAD') return;
  if (method !== 'POST') {
    throw new HttpError(405, `${method} is not used here`, { headers: { allow: 'GET, POST' } });
  }
  const type = headers.get('content-type')?.split(';')[0].trim().toLowerCase();
  if (type !== 'application/json') {
    throw new HttpError(415, 'the body must be JSON: content-type: application/json');
  }
  if (headers.has('content-encoding')) {
    throw new HttpError(415, 'compressed bodies are not taken');
  }
}

function checkKey({ headers }: Request, keys: readonly Buffer[]): void {
  const [, bearer] = /^Bearer\s+(\S+)$/i.exec(headers.get('authorization') ?? '') ?? [];
  const given = bearer ?? headers.get('x-api-key');
  // All are compared, and as hashes, so that the time taken tells nothing.
  const found = given !== null && keys.filter((key) => timingSafeEqual(key, digest(given)));
  if (found && found.length > 0) return;
  throw new HttpError(401, 'a key is needed: Authorization: Bearer <key>', {
    code: 'invalid_api_key',
    headers: { 'www-authenticate': 'Bearer' },
  });
}

function digest(key: string): Buffer {
  return createHash('sha256').update(key).digest();
}
