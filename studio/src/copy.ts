/** The panel as code: each snippet makes the same run. */
import type { Catalogue } from './client.js';
import type { Policy, RunRequest } from './frames.js';

const json = (value: unknown, indent = 2) => JSON.stringify(value, null, indent);

/** As the body without what only draws pictures. */
function plain({ path, body }: RunRequest): { path: string; body: Record<string, unknown> } {
  const { canvas: _1, measures: _2, ahead: _3, candidates: _4, ...lacuna } = body.lacuna ?? {};
  const { lacuna: _, ...others } = body;
  return { path, body: { ...others, ...(Object.keys(lacuna).length > 0 && { lacuna }) } };
}

/** @param locked whether the server wants a key */
export function curl(request: RunRequest, origin: string, locked = false): string {
  const { path, body } = plain(request);
  const data = json(body).replaceAll("'", "'\\''");
  const key = locked ? ` -H "authorization: Bearer $LACUNA_API_KEY"` : '';
  return `curl ${origin}${path}${key} -H 'content-type: application/json' -d '${data}'\n`;
}

const call = ({ name, options = {} }: { name: string; options?: unknown }) => {
  const values = Object.values(options as object) as unknown[];
  if (values.length === 0) return `${name}()`;
  if (name === 'blocks' || name === 'absoluteBlocks') return `${name}(${String(values[0])})`;
  return `${name}(${json(options, 0)})`;
};

type Defaults = Catalogue['defaults'];

/** With what the server does unless it is told otherwise. */
export function typescript(request: RunRequest, file: string, defaults: Defaults): string {
  const { body } = plain(request);
  const lacuna = (body.lacuna ?? {}) as Record<string, unknown>;
  const usual: Partial<Defaults> = lacuna.preset === undefined ? defaults : {};
  const policies = (['decode', 'blocks', 'cache'] as const).flatMap((role) => {
    const policy = (lacuna[role] ?? usual[role]) as Policy | undefined;
    return policy === undefined ? [] : [[role, policy] as const];
  });
  const template = lacuna.template as (string | object)[] | undefined;
  const names = ['loadModel', ...policies.map(([, { name }]) => name)];
  if (template?.some((part) => typeof part === 'object')) names.push('hole');
  const plainOptions = {
    preset: lacuna.preset ?? defaults.preset,
    bos: defaults.bos,
    maxTokens: template ? undefined : body.max_tokens,
    temperature: body.temperature ?? defaults.temperature,
    topP: body.top_p,
    topK: body.top_k,
    seed: body.seed,
  };
  const options = [
    ...Object.entries(plainOptions)
      .filter(([, value]) => value !== undefined)
      .map(([key, value]) => `  ${key}: ${json(value)},`),
    ...policies.map(([role, policy]) => `  ${role}: ${call(policy)},`),
  ].join('\n');
  const segments = template
    ?.map((part) => (typeof part === 'string' ? json(part) : `hole(${json(part, 0)})`))
    .join(', ');
  const prompt = segments ? `{ segments: [${segments}] }` : json(body.messages ?? body.prompt);
  return `import { ${[...new Set(names)].join(', ')} } from 'lacuna';

const model = await loadModel(${json(file)});
const run = model.generate(${prompt}, {
${options}
});
console.log((await run.result).text);
await model.dispose();
`;
}

export function aiSdk(request: RunRequest, origin: string, model: string, locked = false): string {
  const { body } = plain(request);
  const prompt =
    body.messages === undefined
      ? `prompt: ${json(body.prompt)}`
      : `messages: ${json(body.messages)}`;
  const lacuna =
    body.lacuna === undefined
      ? ''
      : `\n  providerOptions: { lacuna: ${json({ lacuna: body.lacuna }, 0)} },`;
  const kind = body.messages === undefined ? 'completionModel' : 'chatModel';
  const numbers = {
    temperature: body.temperature,
    topP: body.top_p,
    topK: body.top_k,
    seed: body.seed,
  };
  const options = Object.entries(numbers)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => `\n  ${key}: ${json(value)},`)
    .join('');
  return `import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { generateText } from 'ai';

const lacuna = createOpenAICompatible({ name: 'lacuna', baseURL: ${json(`${origin}/v1`)}${locked ? ', apiKey: process.env.LACUNA_API_KEY' : ''} });
const { text } = await generateText({
  model: lacuna.${kind}(${json(model)}),
  ${prompt},
  maxOutputTokens: ${json(body.max_tokens ?? 128)},${options}${lacuna}
});
console.log(text);
`;
}
