/** The panel as code: each snippet makes the same run. */
import type { Catalogue } from './client.js';
import type { Policy, RunRequest } from './frames.js';

const json = (value: unknown, indent = 2) => JSON.stringify(value, null, indent);

/** As the body without what only draws pictures. */
function plain({ path, body }: RunRequest): RunRequest {
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
  if (['blocks', 'blocksFromEnd', 'absoluteBlocks'].includes(name))
    return `${name}(${String(values[0])})`;
  return `${name}(${json(options, 0)})`;
};

type Defaults = Catalogue['defaults'];

/** The schema that an answer has to fit, if there is one. */
function schemaOf({ response_format }: RunRequest['body']): unknown {
  const format = response_format as { json_schema?: { schema: unknown } } | undefined;
  return format?.json_schema?.schema;
}

const lines = (fields: object, indent: string) =>
  Object.entries(fields)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => `${indent}${key}: ${json(value, 0)},`);

/** With what the server does unless it is told otherwise. */
export function typescript(request: RunRequest, file: string, defaults: Defaults): string {
  const { body } = plain(request);
  const lacuna = body.lacuna ?? {};
  const usual: Partial<Defaults> = lacuna.preset === undefined ? defaults : {};
  const policies = (['decode', 'blocks', 'cache'] as const).flatMap((role) => {
    const policy = (lacuna[role] ?? usual[role]) as Policy | undefined;
    return policy === undefined ? [] : [[role, policy] as const];
  });
  const template = lacuna.template as (string | object)[] | undefined;
  const schema = schemaOf(body);
  const names = ['loadModel', ...policies.map(([, { name }]) => name)];
  if (template?.some((part) => typeof part === 'object')) names.push('hole');
  const numbers = {
    temperature: body.temperature ?? defaults.temperature,
    topP: body.top_p,
    topK: body.top_k,
    seed: body.seed,
  };
  const options = [
    ...lines(body.messages ? { chat: defaults.chat } : { bos: defaults.bos }, '  '),
    ...(schema ? [] : lines({ preset: lacuna.preset ?? defaults.preset }, '  ')),
    ...(schema || template ? [] : lines({ maxTokens: body.max_tokens }, '  ')),
    ...lines(numbers, '  '),
    ...policies.map(([role, policy]) => `  ${role}: ${call(policy)},`),
  ].join('\n');
  const segments = template
    ?.map((part) => (typeof part === 'string' ? json(part) : `hole(${json(part, 0)})`))
    .join(', ');
  const prompt = segments ? `{ segments: [${segments}] }` : json(body.messages ?? body.prompt);
  const run = schema
    ? `const { text } = await model.object(${json(schema)}, ${prompt}, {\n${options}\n});`
    : `const { text } = await model.generate(${prompt}, {\n${options}\n}).result;`;
  return `import { ${[...new Set(names)].join(', ')} } from 'lacuna';

const model = await loadModel(${json(file)});
${run}
console.log(text);
await model.dispose();
`;
}

export function aiSdk(request: RunRequest, origin: string, model: string, locked = false): string {
  const { body } = plain(request);
  const key = locked ? '\n  apiKey: process.env.LACUNA_API_KEY,' : '';
  const provider = `name: 'lacuna',\n  baseURL: ${json(`${origin}/v1`)},${key}`;
  return body.messages === undefined
    ? aiCompletion(body, provider, model)
    : aiChat(body, provider, model);
}

function aiCompletion(body: object, provider: string, model: string): string {
  return `import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { generateText } from 'ai';

const body = ${json({ model, ...body })};
const lacuna = createOpenAICompatible({
  ${provider}
  // The SDK would make a dialogue of the text: this sends it as it is.
  fetch: (url, init) => fetch(url, { ...init, body: JSON.stringify(body) }),
});
const { text } = await generateText({ model: lacuna.completionModel(body.model), prompt: ' ' });
console.log(text);
`;
}

function aiChat(body: RunRequest['body'], provider: string, model: string): string {
  const schema = schemaOf(body);
  const numbers = {
    maxOutputTokens: body.max_tokens,
    temperature: body.temperature,
    topP: body.top_p,
    seed: body.seed,
  };
  const own = { top_k: body.top_k, lacuna: body.lacuna };
  const options = [
    ...lines(numbers, '  '),
    ...(Object.values(own).some(Boolean) ? lines({ providerOptions: { lacuna: own } }, '  ') : []),
    ...(schema ? [`  output: Output.object({ schema: jsonSchema(${json(schema, 0)}) }),`] : []),
  ].join('\n');
  return `import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { ${schema ? 'generateText, jsonSchema, Output' : 'generateText'} } from 'ai';

const lacuna = createOpenAICompatible({
  ${provider}${schema ? '\n  supportsStructuredOutputs: true,' : ''}
});
const { text } = await generateText({
  model: lacuna.chatModel(${json(model)}),
  messages: ${json(body.messages)},
${options}
});
console.log(text);
`;
}
