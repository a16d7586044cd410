/** `/metrics` as Prometheus reads it: every line by its grammar. */
import { beforeAll, expect, test } from 'vitest';
import type { Model } from '../../lib/index.js';
import { createHandler } from '../../lib/server/index.js';
import { serve, tinyModel } from './machine.js';

let model: Model;
beforeAll(async () => {
  model = await tinyModel();
});

interface Family {
  kind: string;
  samples: { name: string; labels: Map<string, string>; value: number }[];
}

const label = /([a-zA-Z_]\w*)="((?:[^"\\\n]|\\[\\"n])*)"/;
const sample = new RegExp(
  `^([a-zA-Z_:][\\w:]*)(?:\\{(${label.source}(?:,${label.source})*)\\})? (\\S+)$`,
);

/** Throws on what is not the text format 0.0.4. */
function familiesOf(text: string): Map<string, Family> {
  expect(text.endsWith('\n')).toBe(true);
  const families = new Map<string, Family>();
  const helped = new Set<string>();
  for (const line of text.slice(0, -1).split('\n').filter(Boolean)) {
    const help = /^# HELP ([a-zA-Z_:][\w:]*) \S/.exec(line);
    const type = /^# TYPE ([a-zA-Z_:][\w:]*) (counter|gauge|histogram|summary|untyped)$/.exec(line);
    if (help) {
      expect(helped).not.toContain(help[1]);
      helped.add(help[1]);
    } else if (type) {
      expect(families.has(type[1])).toBe(false);
      families.set(type[1], { kind: type[2], samples: [] });
    } else {
      const match = sample.exec(line);
      if (match === null) throw new Error(`not a line of metrics: ${line}`);
      const [, name, labels = ''] = match;
      const family = families.get(name) ?? families.get(name.replace(/_(bucket|sum|count)$/, ''));
      if (family === undefined) throw new Error(`a sample without a type: ${line}`);
      const pairs = [...labels.matchAll(new RegExp(label, 'g'))].map(([, k, v]) => [k, v] as const);
      const value = Number(match.at(-1)!.replace(/^\+?Inf$/, 'Infinity'));
      expect(value).not.toBeNaN();
      family.samples.push({ name, labels: new Map(pairs), value });
    }
  }
  expect([...families.keys()].sort()).toEqual([...helped].sort());
  return families;
}

test('the grammar, the names, and histograms that add up', async () => {
  const handler = createHandler({ model });
  const request = (path: string, init: RequestInit = {}) =>
    handler(
      new Request(`http://localhost${path}`, {
        ...init,
        headers: { host: 'localhost', 'content-type': 'application/json' },
      }),
    );
  const body = JSON.stringify({ prompt: 'a', max_tokens: 6, stream: true });
  await (await request('/v1/completions', { method: 'POST', body })).text();
  await request('/no"thing\\');
  const response = await request('/metrics');
  expect(response.headers.get('content-type')).toMatch(/^text\/plain; version=0\.0\.4/);
  const families = familiesOf(await response.text());
  const named = (kind: string) =>
    [...families].filter(([, family]) => family.kind === kind).map(([name]) => name);
  for (const name of families.keys()) expect(name).toMatch(/^lacuna_/);
  for (const name of named('counter')) expect(name).toMatch(/_total$/);
  expect(named('gauge')).toEqual(
    expect.arrayContaining(['lacuna_requests_running', 'lacuna_requests_waiting']),
  );
  for (const name of named('histogram')) {
    const { samples } = families.get(name)!;
    const buckets = samples.filter((one) => one.name === `${name}_bucket`);
    const counts = buckets.map(({ value }) => value);
    expect(counts).toEqual([...counts].sort((a, b) => a - b));
    expect(buckets.at(-1)!.labels.get('le')).toBe('+Inf');
    expect(counts.at(-1)).toBe(samples.find((one) => one.name === `${name}_count`)!.value);
  }
  const routes = families
    .get('lacuna_requests_total')!
    .samples.map(({ labels }) => labels.get('route'));
  expect(routes).toEqual(['/v1/completions', 'other']);
});

test('closing does not wait for connections that are kept', async () => {
  const { server, handler } = await serve({ model }, { drainTimeout: 100_000 });
  const stream = await fetch(`${server.url}/v1/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ prompt: 'a', max_tokens: 100, stream: true, lacuna: { steps: 100 } }),
  });
  expect(stream.headers.get('connection')).toBe('keep-alive');
  const closed = server.close();
  expect(await stream.text()).toMatch(/data: \[DONE\]\n\n$/);
  await closed;
  expect(handler.active).toBe(0);
});
