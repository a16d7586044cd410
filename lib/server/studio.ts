/** The studio's files: read once, served as they are. */
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { extname, join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Nothing from elsewhere, nothing inline, no frame around it. */
const policy = [
  ...["default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'"],
  ...["img-src 'self' data:", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'"],
].join('; ');

const types: Record<string, string> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.json': 'application/json',
};

/** Where the build puts it, seen from `dist/server/` and from `lib/server/`. */
const places = ['../studio/', '../../dist/studio/'];

export type Files = ReadonlyMap<string, (request: Request) => Response>;

/**
 * By path: `/` and `/studio/…`. Empty where the studio was not built.
 * @param folder default: that of the package
 */
export function studioFiles(folder?: string): Files {
  const found = places
    .map((place) => fileURLToPath(new URL(place, import.meta.url)))
    .find((place) => existsSync(join(place, 'index.html')));
  const root = folder ?? found;
  if (root === undefined) return new Map();
  const paths = readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
  const files = paths.map((path): [string, (request: Request) => Response] => {
    const name = relative(root, path).split(sep).join('/');
    return [name === 'index.html' ? '/' : `/studio/${name}`, file(path)];
  });
  return new Map(files);
}

function file(path: string): (request: Request) => Response {
  const bytes = readFileSync(path);
  const etag = `"${createHash('sha256').update(bytes).digest('base64url').slice(0, 22)}"`;
  const headers = {
    'content-type': types[extname(path)] ?? 'application/octet-stream',
    'cache-control': 'no-cache', // asked for anew each time, answered by 304
    'content-security-policy': policy,
    'cross-origin-opener-policy': 'same-origin',
    'cross-origin-resource-policy': 'same-origin',
    'referrer-policy': 'no-referrer',
    'x-content-type-options': 'nosniff',
    etag,
  };
  return ({ headers: asked, method }) => {
    if (asked.get('if-none-match') === etag) return new Response(null, { status: 304, headers });
    return new Response(method === 'HEAD' ? null : bytes, { headers });
  };
}
