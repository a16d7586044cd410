/** What may be asked of an answer while it is written. */
import { invalid, oneOf, string } from '../../validate.js';
import type { Context } from '../context.js';
import { HttpError } from '../errors.js';
import { optional, type Body } from '../request.js';
import { reply } from './through.js';

const actions = ['commit_now'] as const;

/**
 * `{ id, action }`: the id of the answer, as its chunks tell it, or the `x-request-id` of its request.
 * `commit_now` completes the answer with the next forward.
 */
export function control(body: Body, context: Context): Promise<Response> {
  const id = string('id', body.id);
  if (id === '') invalid('id', id, 'the id of an answer');
  const action = oneOf('action', body.action, actions);
  optional('model', body.model, string);
  const running = [...context.all].find((other) => other !== context && isCalled(other, id));
  if (running === undefined) {
    throw new HttpError(404, 'no answer with this id is being written', {
      code: 'answer_not_found',
      param: 'id',
    });
  }
  running.commitNow();
  return Promise.resolve(reply(context, { object: 'control', id, action, applied: true }));
}

/** Each format has a prefix of its own: `chatcmpl-`, `resp_`. */
function isCalled({ id, headers }: Context, name: string): boolean {
  return name.replace(/^[a-z]+[-_]/, '') === id || name === headers['x-request-id'];
}
