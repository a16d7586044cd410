/** What may be asked of an answer while it is written. */
import { integer, invalid, oneOf, string } from '../../validate.js';
import type { Context } from '../context.js';
import { HttpError } from '../errors.js';
import type { Body } from '../request.js';
import { reply } from './through.js';

const actions = ['commit_now', 'pin'] as const;

/**
 * `{ id, action }`: the id of the answer, as its chunks tell it, or the `x-request-id` of its request.
 * `commit_now` completes the answer with the next forward; `pin` puts `token`, or the one that `text`
 * is, at a `position` of it.
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
  if (action === 'commit_now') running.commitNow();
  else pin(running, body);
  return Promise.resolve(reply(context, { object: 'control', id, action, accepted: true }));
}

function pin({ pins, engine, limits }: Context, body: Body): void {
  const position = integer('position', body.position, { min: 0, max: limits.canvas - 1 });
  const token = tokenOf(body, engine.model);
  if (pins === undefined) {
    throw new HttpError(
      409,
      'only text without a suffix whose canvas is streamed (lacuna.canvas: delta or full) can be pinned',
      { type: 'invalid_request_error', code: 'not_pinnable', param: 'id' },
    );
  }
  pins.put(position, token);
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
