/** What may be asked of an answer while it is written. */
import { integer, invalid, oneOf, string } from '../../validate.js';
import type { Context } from '../context.js';
import { HttpError } from '../errors.js';
import type { Body } from '../request.js';
import { reply } from './through.js';

const actions = ['commit_now', 'pin', 'extend'] as const;

/**
 * `{ id, action }`: the id of the answer, as its chunks tell it, or the `x-request-id` of its request.
 * `commit_now` completes the answer with the next forward; `pin` puts `token`, or the one that `text`
 * is, at a `position` of it; `extend` lets it have so many `tokens` more.
 */
export function control(body: Body, context: Context): Promise<Response> {
  const id = string('id', body.id);
  if (id === '') invalid('id', id, 'the id of an answer');
  const action = oneOf('action', body.action, actions);
  const running = [...context.all].find((other) => other !== context && isCalled(other, id));
  if (running === undefined) {
    throw new HttpError(404, 'no answer with this id is being written', {
      code: 'answer_not_found',
      param: 'id',
    });
  }
  const more = acts[action](running, body);
  return Promise.resolve(
    reply(context, { object: 'control', id, action, accepted: true, ...more }),
  );
}

const acts: Record<(typeof actions)[number], (running: Context, body: Body) => object | void> = {
  commit_now: (running) => running.commitNow(),
  pin,
  extend,
};

function pin({ pins, engine, limits }: Context, body: Body): void {
  const position = integer('position', body.position, { min: 0, max: limits.canvas - 1 });
  const token = tokenOf(body, engine.model);
  if (pins?.put(position, token)) return;
  throw new HttpError(
    409,
    'only text whose canvas is streamed (lacuna.canvas: delta or full) can be pinned, without a suffix',
    { type: 'invalid_request_error', code: 'not_pinnable', param: 'id' },
  );
}

/** All answers of the request that are being written, or none. */
function extend({ runs, engine }: Context, { tokens }: Body): object {
  const growing = [...runs].filter((run) => run.room > 0);
  const rooms = growing.map(({ room, prompt, maxTokens }) =>
    Math.min(room, engine.most - prompt.length - maxTokens),
  );
  const room = Math.min(...rooms);
  if (growing.length === 0 || room <= 0) {
    throw new HttpError(
      409,
      'only text that is being written can become longer, without a suffix, a template or steps, ' +
        'as far as the context has room',
      { type: 'invalid_request_error', code: 'not_extendable', param: 'id' },
    );
  }
  const more = integer('tokens', tokens, { min: 1, max: room });
  return { max_tokens: Math.max(...growing.map((run) => run.extend(more))) };
}

function tokenOf({ token, text }: Body, { tokenizer, info }: Context['engine']['model']): number {
  if (text === undefined) {
    const id = integer('token', token, { min: 0, max: info.vocabulary - 1 });
    return id === info.tokens.mask ? invalid('token', id, 'another one than the mask') : id;
  }
  const ids = tokenizer.encode(string('text', text), { bos: false });
  return ids.length === 1 ? ids[0] : invalid('text', text, `one token; it is ${ids.length}`);
}

/** Each format has a prefix of its own: `chatcmpl-`, `resp_`. */
function isCalled({ id, headers }: Context, name: string): boolean {
  return name.replace(/^[a-z]+[-_]/, '') === id || name === headers['x-request-id'];
}
