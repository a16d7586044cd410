/** The handler behind Node's HTTP server, with the limits that only a socket knows. */
import {
  createServer,
  STATUS_CODES,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { createRequestListener } from '@remix-run/node-fetch-server';
import { LacunaError } from '../errors.js';
import { HttpError } from './errors.js';
import type { Handler } from './handler.js';
import type { Limits } from './limits.js';

export interface ListenOptions {
  /** Default `'127.0.0.1'`. */
  host?: string;
  /** 0: any that is free. Default 8642. */
  port?: number;
  /** Seconds between the end of `/readyz` and that of the listener. Default 5. */
  drainDelay?: number;
  /** Seconds that running answers then have. Default 30. */
  drainTimeout?: number;
  limits: Limits;
}

export interface Listening {
  /** `'http://127.0.0.1:8642'` */
  url: string;
  /**
   * Drains: says no to probes at once, serves on for `drainDelay` seconds, closes the listener, lets
   * answers finish for `drainTimeout` seconds, ends the rest with an error.
   * @param now leaves out the waiting
   */
  close(now?: boolean): Promise<void>;
}

/** Rejects with `INVALID_ARGUMENT` if the address cannot be listened on. */
export async function listen(handler: Handler, options: ListenOptions): Promise<Listening> {
  const { host = '127.0.0.1', port = 8642, limits } = options;
  const server = serverOf(handler, limits);
  await start(server, host, port);
  const { port: bound } = server.address() as AddressInfo;
  const name = host.includes(':') ? `[${host}]` : host;
  let hurry = () => {};
  const hurried = new Promise<void>((resolve) => (hurry = resolve));
  let closed: Promise<void> | undefined;
  return {
    url: `http://${name}:${bound}`,
    close: (now = false) => {
      if (now) hurry();
      closed ??= drain(server, handler, options, hurried);
      return closed;
    },
  };
}

function serverOf(handler: Handler, limits: Limits): Server {
  const listener = createRequestListener(handler, {
    onError: () => {
      const { status, body } = new HttpError(400, 'the request has no valid address');
      return Response.json(body, { status });
    },
  });
  const server = createServer(
    {
      maxHeaderSize: limits.headers,
      headersTimeout: limits.headerSeconds * 1000,
      requestTimeout: (limits.headerSeconds + limits.bodySeconds) * 1000,
      connectionsCheckingInterval: 1000,
      keepAliveTimeout: 75_000, // longer than balancers keep theirs, so that they do not meet a closed one
    },
    (request, response) => {
      if (handler.draining) response.setHeader('connection', 'close');
      response.once('finish', () => {
        // What is left of a refused body is read away, in time limits, so that the answer arrives.
        if (!request.complete) request.resume();
        // A connection that was kept for more would hold up the end.
        if (!server.listening) setImmediate(() => server.closeIdleConnections());
      });
      const wrong = refuse(request);
      if (wrong === undefined) void listener(request, response);
      else badRequest(response, wrong);
    },
  );
  server.on('clientError', refuseUnparsed);
  server.maxConnections = limits.connections;
  return server;
}

/** @param hurried leaves out what is still to be waited for */
async function drain(
  server: Server,
  handler: Handler,
  { drainDelay = 5, drainTimeout = 30 }: ListenOptions,
  hurried: Promise<void>,
): Promise<void> {
  const wait = (seconds: number) =>
    Promise.race([
      hurried,
      new Promise<void>((resolve) => setTimeout(resolve, seconds * 1000).unref()),
    ]);
  handler.drain();
  await wait(drainDelay);
  const ended = new Promise<void>((resolve) => server.close(() => resolve()));
  server.closeIdleConnections();
  await Promise.race([ended, wait(drainTimeout)]);
  handler.stop();
  const last = setTimeout(() => server.closeAllConnections(), 1000);
  await ended;
  clearTimeout(last);
}

function start(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) => {
      const why = cause.code === 'EADDRINUSE' ? 'something else listens there' : cause.message;
      const message = `cannot listen on ${host}, port ${port}: ${why}`;
      reject(new LacunaError('INVALID_ARGUMENT', message, { cause }));
    });
    server.listen(port, host, resolve);
  });
}

/** What a parsed request no longer shows, or shows in two ways. */
function refuse({ rawHeaders, url = '' }: IncomingMessage): string | undefined {
  const names = rawHeaders.filter((_, i) => i % 2 === 0).map((name) => name.toLowerCase());
  const hosts = names.filter((name) => name === 'host').length;
  if (hosts !== 1) return `the request has ${hosts} Host headers; it must have one`;
  if (!url.startsWith('/') || url.startsWith('//')) return 'the request line must name a path';
  return undefined;
}

function badRequest(response: ServerResponse, message: string): void {
  response.writeHead(400, { 'content-type': 'application/json', connection: 'close' });
  response.end(JSON.stringify(new HttpError(400, message).body));
}

/** What Node's parser refuses never becomes a request; the socket gets its answer all the same. */
function refuseUnparsed(error: NodeJS.ErrnoException, socket: Duplex): void {
  const [status, message] = unparsed[error.code ?? ''] ?? [400, 'this is not an HTTP request'];
  if (!socket.writable) return void socket.destroy();
  const body = JSON.stringify(new HttpError(status, message).body);
  const lines = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    'content-type: application/json',
    `content-length: ${Buffer.byteLength(body)}`,
    'connection: close',
  ];
  socket.end(`${lines.join('\r\n')}\r\n\r\n${body}`, () => socket.destroy());
}

const unparsed: Partial<Record<string, [number, string]>> = {
  HPE_HEADER_OVERFLOW: [431, 'the headers are too long'],
  HPE_CHUNK_EXTENSIONS_OVERFLOW: [413, 'the chunk extensions are too long'],
  ERR_HTTP_REQUEST_TIMEOUT: [408, 'the request took too long to arrive'],
};
