/** The server as a function from `Request` to `Response`. */
import { createHash, randomUUID } from 'node:crypto';
import { createRequire } from 'node:module';
import type { Model } from '../model.js';
import type { GenerateOptions } from '../plan.js';
import { invalid } from '../validate.js';
import { readJson } from './body.js';
import { completions } from './completions.js';
import { Context } from './context.js';
import { dialectGets, dialectPosts, errorBodyOf } from './dialects/index.js';
import type { Endpoint } from './dialects/through.js';
import { Engine } from './engine.js';
import { errorResponse, HttpError, httpError } from './errors.js';
import { guard, type GuardOptions } from './guard.js';
import { limitsOf, type Limits } from './limits.js';
import { Metrics } from './metrics.js';
import { policiesOf } from './policies.js';
import { studioFiles, type Files } from './studio.js';

export interface HandlerOptions extends GuardOptions {
  model: Model;
  /** What clients call the model. Default: the name of its file, without `.gguf`. */
  id?: string;
  /** Of every request that does not say otherwise. Default: `{ preset: 'fast' }`. */
  defaults?: GenerateOptions;
  limits?: Partial<Limits>;
  /** Serve the studio at `/`. Default true. */
  studio?: boolean;
  /** Called for errors that clients are told nothing of. */
  onError?: (error: unknown) => void;
}

/** Answers requests; several endpoints, one model. */
export interface Handler {
  (request: Request): Promise<Response>;
  /** From now on `/readyz` says no; requests are served as before. */
  drain(): void;
  /** Ends what still runs: streams end with the error `server_shutdown`. */
  stop(): void;
  readonly draining: boolean;
  /** Requests whose answers are not complete. */
  readonly active: number;
  readonly engine: Engine;
}

const posts: Record<string, Endpoint> = {
  '/v1/completions': completions,
  ...dialectPosts,
};

const idPattern = /^[A-Za-z0-9._-]+$/;
const { version } = createRequire(import.meta.url)('../../package.json') as { version: string };

/**
 * Makes a handler for any server that speaks `Request` and `Response`. Host, Origin and
 * Sec-Fetch-Site of each request are checked, so it needs to be told the names that it is reached by.
 * Throws `INVALID_ARGUMENT` for bad options.
 */
export function createHandler(options: HandlerOptions): Handler {
  const { onError = () => {} } = options;
  const parts = partsOf(options);
  const { engine, metrics, active } = parts;
  const check = guard(options);
  const routes: Routes = {
    gets: getsOf(parts),
    files: options.studio === false ? undefined : studioFiles(),
  };

  const handle = async (request: Request): Promise<Response> => {
    const headers: Record<string, string> = {
      'x-request-id': requestId(request),
      'x-content-type-options': 'nosniff',
    };
    const { pathname } = new URL(request.url);
    let response: Response;
    try {
      Object.assign(headers, check(request));
      response = await route(parts, routes, request, headers);
    } catch (error) {
      const known = httpError(error);
      if (known.status === 500) onError(error);
      response = errorResponse(known, errorBodyOf(pathname, known.body));
    }
    for (const [name, value] of Object.entries(headers)) response.headers.set(name, value);
    const path = pathname in posts || pathname in routes.gets ? pathname : 'other';
    metrics.requests.inc({ route: path, status: String(response.status) });
    return response;
  };

  return Object.defineProperties(
    Object.assign(handle, {
      engine,
      drain: () => void (parts.draining = true),
      stop: () => {
        for (const context of active) context.leave('shutdown');
      },
    }),
    { active: { get: () => active.size }, draining: { get: () => parts.draining } },
  ) as Handler;
}

/** What requests share. */
interface Parts {
  engine: Engine;
  limits: Limits;
  metrics: Metrics;
  fingerprint: string;
  /** Requests whose answers are not complete. */
  active: Set<Context>;
  draining: boolean;
}

function partsOf({ model, defaults = { preset: 'fast' }, ...options }: HandlerOptions): Parts {
  const id = options.id ?? idOf(model.info.file.path);
  if (!idPattern.test(id)) invalid('id', id, 'letters, digits, dots, dashes and underscores');
  const limits = limitsOf(options.limits);
  const engine: Engine = new Engine({
    ...{ model, id, defaults, limits },
    onForward: ({ rows, milliseconds }) => {
      metrics.forwards.inc();
      metrics.slots.inc(rows);
      metrics.forwardSeconds.observe(milliseconds / 1000);
    },
    onSlot: (waited) => metrics.queueSeconds.observe(waited / 1000),
  });
  const metrics: Metrics = new Metrics(engine);
  const fingerprint = fingerprintOf(model);
  return { engine, limits, metrics, fingerprint, active: new Set(), draining: false };
}

type Get = (request: Request) => Response | Promise<Response>;

interface Routes {
  gets: Record<string, Get>;
  /** The studio. */
  files: Files | undefined;
}

function getsOf(parts: Parts): Routes['gets'] {
  const { engine, metrics } = parts;
  return {
    '/v1/models': () => Response.json({ object: 'list', data: [modelCard(engine)] }),
    [`/v1/models/${engine.id}`]: () => Response.json(modelCard(engine)),
    '/lacuna/v1/policies': () => Response.json(policiesOf(engine)),
    '/healthz': () => Response.json({ status: 'ok' }),
    '/readyz': () => ready(parts),
    '/v2/health/live': () => Response.json({ live: true }),
    '/v2/health/ready': () => ready(parts),
    '/health': () => health(parts),
    '/metrics': async () =>
      new Response(await metrics.registry.metrics(), {
        headers: { 'content-type': metrics.registry.contentType },
      }),
    ...Object.fromEntries(
      Object.entries(dialectGets).map(([path, get]) => [path, () => Response.json(get(engine))]),
    ),
  };
}

async function route(
  parts: Parts,
  { gets, files }: Routes,
  request: Request,
  headers: Record<string, string>,
): Promise<Response> {
  const { pathname } = new URL(request.url);
  if (request.method === 'OPTIONS') return new Response(null, { status: 204, headers });
  const get = lookUp(gets, pathname) ?? files?.get(pathname);
  const endpoint = lookUp(posts, pathname);
  if (request.method === 'POST') {
    if (endpoint !== undefined) return post(parts, request, endpoint, headers);
    if (get !== undefined) throw new HttpError(405, `${pathname} is for GET`);
  } else {
    if (get !== undefined) return get(request);
    if (endpoint !== undefined) throw new HttpError(405, `${pathname} is for POST`);
  }
  throw new HttpError(404, 'there is nothing at this path', { code: 'unknown_path' });
}

async function post(
  { engine, limits, metrics, fingerprint, active }: Parts,
  request: Request,
  endpoint: Endpoint,
  headers: Record<string, string>,
): Promise<Response> {
  const body = await readJson(request, limits);
  checkModel(body.model, engine);
  const fixed = { headers, fingerprint, all: active };
  const over = () => active.delete(context);
  const context: Context = new Context(request, engine, limits, metrics, fixed, over);
  active.add(context);
  try {
    return await endpoint(body, context);
  } catch (error) {
    context.leave('failed');
    context.failed(error);
    throw context.explain(error);
  }
}

function lookUp<T>(table: Record<string, T>, path: string): T | undefined {
  return Object.hasOwn(table, path) ? table[path] : undefined;
}

/** @internal The file's name, as far as it may be part of an address. */
export function idOf(path: string): string {
  const name = path
    .split(/[\\/]/)
    .at(-1)!
    .replace(/\.gguf$/i, '');
  return name.replace(/[^A-Za-z0-9._-]+/g, '-') || 'model';
}

function fingerprintOf({ info }: Model): string {
  const facts = [version, info.architecture, info.name, info.parameters, info.file.bytes];
  return `lacuna-${createHash('sha256').update(facts.join('|')).digest('hex').slice(0, 12)}`;
}

function requestId({ headers }: Request): string {
  const given = headers.get('x-request-id');
  return given !== null && /^[\w.-]{1,128}$/.test(given) ? given : randomUUID();
}

/** Clients that must send a name often have one of their own; an empty one means ours. */
function checkModel(given: unknown, { id }: Engine): void {
  if (given === undefined || given === null || given === '' || given === id) return;
  if (given === `${id}:latest`) return; // as Ollama's clients say it
  throw new HttpError(404, `there is no model of that name; there is ${id}`, {
    code: 'model_not_found',
    param: 'model',
  });
}

function modelCard({ id, created, model }: Engine): object {
  const { architecture, context, parameters, backend } = model.info;
  const meta = { architecture, context, parameters, backend };
  return { id, object: 'model', created, owned_by: 'lacuna', meta };
}

function ready({ engine, limits: { queue }, draining }: Parts): Response {
  const reasons = [
    ...(draining ? ['draining'] : []),
    ...(engine.model.disposed ? ['no model'] : []),
    ...(engine.waiting >= queue ? ['queue full'] : []),
  ];
  const status = reasons.length === 0 ? 200 : 503;
  return Response.json({ ready: status === 200, reasons }, { status });
}

/** As llama-server answers. */
function health({ engine, draining }: Parts): Response {
  if (!engine.model.disposed && !draining) return Response.json({ status: 'ok' });
  const error = { code: 503, message: 'Loading model', type: 'unavailable_error' };
  return Response.json({ error }, { status: 503 });
}
