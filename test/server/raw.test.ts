/** Requests that no client sends, byte for byte over sockets. */
import { beforeAll, describe, expect, test } from 'vitest';
import type { Model } from '../../lib/index.js';
import { raw, serve, statusOf, tinyModel, type Machine } from './machine.js';

let model: Model;
beforeAll(async () => {
  model = await tinyModel();
});
const machine = (): Promise<Machine> => serve({ model });

const head = (...lines: string[]) => `${lines.join('\r\n')}\r\n\r\n`;
const close = 'Connection: close';
const body = '{"prompt":"a","max_tokens":1}';

describe('what a request must look like', () => {
  test.each<[string, string, number]>([
    ['an ordinary one', head('GET /healthz HTTP/1.1', 'Host: localhost:9', close), 200],
    ['no Host', head('GET /healthz HTTP/1.1', close), 400],
    ['an empty Host', head('GET /healthz HTTP/1.1', 'Host:', close), 403],
    ['two Hosts', head('GET /healthz HTTP/1.1', 'Host: localhost', 'Host: evil', close), 400],
    ['the same twice', head('GET / HTTP/1.1', 'Host: localhost', 'hOST: localhost', close), 400],
    ['another name', head('GET /healthz HTTP/1.1', 'Host: evil.example', close), 403],
    ['a name in front', head('GET /healthz HTTP/1.1', 'Host: localhost@evil', close), 400],
    ['a path in it', head('GET /healthz HTTP/1.1', 'Host: evil/localhost', close), 403],
    ['two ports', head('GET /healthz HTTP/1.1', 'Host: localhost:1:2', close), 400],
    ['IPv6', head('GET /healthz HTTP/1.1', 'Host: [::1]:8642', close), 200],
    ['HTTP/1.0', head('GET /healthz HTTP/1.0', 'Host: localhost'), 200],
    ['HTTP/1.0 without Host', head('GET /healthz HTTP/1.0'), 400],
    ['HTTP/0.9', 'GET /healthz\r\n\r\n', 400],
    ['absolute form', head('GET http://localhost/healthz HTTP/1.1', 'Host: localhost', close), 400],
    ['another host', head('GET http://evil/healthz HTTP/1.1', 'Host: localhost', close), 400],
    ['authority form', head('CONNECT evil:80 HTTP/1.1', 'Host: localhost', close), 0],
    ['asterisk form', head('OPTIONS * HTTP/1.1', 'Host: localhost', close), 400],
    ['two slashes', head('GET //evil/healthz HTTP/1.1', 'Host: localhost', close), 400],
    ['dots', head('GET /studio/../../package.json HTTP/1.1', 'Host: localhost', close), 404],
    ['TRACE', head('TRACE / HTTP/1.1', 'Host: localhost', close), 400],
    ['DELETE', head('DELETE /v1/models HTTP/1.1', 'Host: localhost', close), 405],
    ['an unknown method', head('EVIL / HTTP/1.1', 'Host: localhost', close), 400],
    ['a bare line feed', 'GET /healthz HTTP/1.1\nHost: localhost\nConnection: close\n\n', 400],
    ['a folded header', head('GET /healthz HTTP/1.1', 'Host: localhost', ' evil', close), 400],
    ['no HTTP', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03', 400],
    ['long headers', head('GET / HTTP/1.1', 'Host: localhost', `X: ${'x'.repeat(20_000)}`), 431],
    ['a long address', head(`GET /${'x'.repeat(20_000)} HTTP/1.1`, 'Host: localhost'), 431],
  ])('%s', async (_, request, status) => {
    const { port } = await machine();
    const reply = await raw(port, Buffer.from(request, 'latin1'));
    expect([statusOf(reply), reply.slice(0, 400)]).toEqual([status, expect.any(String)]);
  });
});

describe('where a body ends', () => {
  const post = (...lines: string[]) =>
    head(
      'POST /v1/completions HTTP/1.1',
      'Host: localhost',
      'Content-Type: application/json',
      ...lines,
    );
  const chunk = (text: string) => `${text.length.toString(16)}\r\n${text}\r\n`;
  const hidden = head('GET /healthz HTTP/1.1', 'Host: localhost', close);

  test.each<[string, string, number]>([
    ['as it should', post(`Content-Length: ${body.length}`, close) + body, 200],
    ['in chunks', `${post('Transfer-Encoding: chunked', close)}${chunk(body)}0\r\n\r\n`, 200],
    ['negative', post('Content-Length: -1', close) + body, 400],
    ['no number', post('Content-Length: 0x10', close) + body, 400],
    ['two lengths', post('Content-Length: 3', 'Content-Length: 29', close) + body, 400],
    ['a list of lengths', post('Content-Length: 29, 29', close) + body, 400],
    ['beyond all numbers', post(`Content-Length: ${'9'.repeat(30)}`, close) + body, 400],
    ['too large', post('Content-Length: 99999999', close) + body, 413],
    ['CL.TE', post('Content-Length: 4', 'Transfer-Encoding: chunked') + `0\r\n\r\n${hidden}`, 400],
    ['TE.CL', post('Transfer-Encoding: chunked', 'Content-Length: 4') + `0\r\n\r\n${hidden}`, 400],
    ['TE twice', post('Transfer-Encoding: chunked, chunked') + `0\r\n\r\n${hidden}`, 400],
    ['TE unknown', post('Transfer-Encoding: xchunked') + `0\r\n\r\n${hidden}`, 400],
    [
      'TE last is not chunked',
      post('Transfer-Encoding: chunked, gzip') + `0\r\n\r\n${hidden}`,
      400,
    ],
    ['TE with a tab', post('Transfer-Encoding:\tchunked ', 'Content-Length: 4') + hidden, 400],
    ['space before the colon', post('Content-Length : 29', close) + body, 400],
    ['chunk length', `${post('Transfer-Encoding: chunked')}FFFFFFFFFFFFFFFFF\r\n${body}`, 400],
    ['chunk length, negative', `${post('Transfer-Encoding: chunked')}-5\r\n${body}`, 400],
    ['chunk too short', `${post('Transfer-Encoding: chunked')}2\r\n${body}\r\n0\r\n\r\n`, 400],
    [
      'chunk extension',
      `${post('Transfer-Encoding: chunked')}1;${'x'.repeat(40_000)}\r\na\r\n0\r\n\r\n`,
      413,
    ],
    ['zipped', post(`Content-Length: ${body.length}`, 'Content-Encoding: gzip', close) + body, 415],
  ])('%s', async (_, request, status) => {
    const { port, handler } = await machine();
    const reply = await raw(port, request);
    const answers = reply.match(/HTTP\/1\.1 \d+/g) ?? [];
    // Never a second answer: what lies behind the body is not a request of its own.
    expect(answers).toEqual([`HTTP/1.1 ${status}`]);
    if (status >= 400) {
      const { error } = JSON.parse(reply.slice(reply.indexOf('{'), reply.lastIndexOf('}') + 1)) as {
        error: { type: string; message: string };
      };
      expect(error.type).toBe('invalid_request_error');
    }
    expect(handler.active).toBe(0);
  });

  test('a body in chunks of a byte each', async () => {
    const { port } = await machine();
    const chunks = Array.from(body, chunk).join('');
    const reply = await raw(port, `${post('Transfer-Encoding: chunked', close)}${chunks}0\r\n\r\n`);
    expect(statusOf(reply)).toBe(200);
  });

  test('the answer to a body that is too large arrives', async () => {
    const { port, handler } = await machine();
    const reply = await fetch(`http://127.0.0.1:${port}/v1/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ prompt: 'x'.repeat(5 << 20) }),
    });
    expect(reply.status).toBe(413);
    expect(await reply.json()).toMatchObject({ error: { code: 'body_too_large' } });
    expect(handler.active).toBe(0);
  });
});

describe('pages in a browser', () => {
  const evil = 'Origin: http://evil.example';
  const own = (port: number) => `Origin: http://127.0.0.1:${port}`;
  const site = (value: string) => `Sec-Fetch-Site: ${value}`;
  type Row = [what: string, path: string, (port: number) => string[], status: number];
  const get = '/v1/models';
  const send = '/v1/completions';

  test.each<Row>([
    ['CORS GET', get, () => [evil, site('cross-site')], 403],
    ['JSON POST', send, () => [evil, site('cross-site')], 403],
    ['no-cors GET, image', get, () => [site('cross-site')], 403],
    ['image of a sibling', get, () => [site('same-site')], 403],
    ['another port of this machine', send, () => ['Origin: http://127.0.0.1:1'], 403],
    ['sandboxed frame', get, () => ['Origin: null'], 403],
    ['rebound name', get, (port) => [`Host: evil.example:${port}`], 403],
    ['rebound name, POST', send, (port) => [`Host: evil.example:${port}`, evil], 403],
    ['own page, GET', get, () => [site('same-origin')], 200],
    ['own page, POST', send, (port) => [own(port), site('same-origin')], 200],
    ['address bar', get, () => [site('none')], 200],
  ])('%s', async (_, path, lines, status) => {
    const { port } = await machine();
    const more = lines(port);
    const host = more.some((line) => line.startsWith('Host')) ? [] : [`Host: 127.0.0.1:${port}`];
    const json = ['Content-Type: application/json', `Content-Length: ${body.length}`];
    const request =
      path === get
        ? head(`GET ${path} HTTP/1.1`, ...host, ...more, close)
        : head(`POST ${path} HTTP/1.1`, ...host, ...more, ...json, close) + body;
    const reply = await raw(port, request);
    expect(statusOf(reply)).toBe(status);
    expect(reply).not.toMatch(/access-control-allow/i);
  });

  test('the preflight of a stranger, and of one who may', async () => {
    const { port } = await serve({ model, origins: ['https://app.example'] });
    const ask = (origin: string) =>
      raw(
        port,
        head(
          ...['OPTIONS /v1/completions HTTP/1.1', `Host: 127.0.0.1:${port}`, `Origin: ${origin}`],
          ...['Access-Control-Request-Method: POST', site('cross-site'), close],
        ),
      );
    expect(statusOf(await ask('https://evil.example'))).toBe(403);
    expect(statusOf(await ask('http://app.example'))).toBe(403);
    expect(statusOf(await ask('https://app.example.evil.example'))).toBe(403);
    const reply = await ask('https://app.example');
    expect(reply).toMatch(/access-control-allow-origin: https:\/\/app\.example\r\n/);
    expect(reply).toMatch(/vary: Origin\r\n/);
    expect(reply).not.toMatch(/credentials/i);
  });

  test('without a preflight: text, forms', async () => {
    const { port } = await machine();
    for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data']) {
      const request = head(
        ...['POST /v1/completions HTTP/1.1', 'Host: localhost', `Content-Type: ${type}`],
        ...[`Content-Length: ${body.length}`, close],
      );
      expect(statusOf(await raw(port, request + body))).toBe(415);
    }
  });
});
