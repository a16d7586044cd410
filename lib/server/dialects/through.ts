/** From another format's request to one of OpenAI's. */
import { LacunaError } from '../../errors.js';
import type { Context } from '../context.js';
import { HttpError } from '../errors.js';
import type { Body } from '../request.js';

export type Endpoint = (body: Body, context: Context) => Promise<Response>;

/**
 * Runs an endpoint on a translated body.
 * @param names fields of the translation by what the client calls them, for errors
 */
export async function through(
  endpoint: Endpoint,
  body: Body,
  context: Context,
  names: Readonly<Record<string, string>>,
): Promise<Response> {
  const rename = (text: string) =>
    text.replace(/^[a-z_]+/, (name) => (Object.hasOwn(names, name) ? names[name] : name));
  try {
    return await endpoint(withoutNulls(body), context);
  } catch (error) {
    if (LacunaError.isInstance(error) && error.code === 'INVALID_ARGUMENT') {
      throw new LacunaError(error.code, rename(error.message), { cause: error });
    }
    if (error instanceof HttpError && error.param !== null) {
      const { status, type, code, headers } = error;
      const param = rename(error.param);
      throw new HttpError(status, error.message, { type, param, code: code ?? undefined, headers });
    }
    throw error;
  }
}

function withoutNulls(body: Body): Body {
  const entries = Object.entries(body).filter(([, value]) => value !== undefined && value !== null);
  return Object.fromEntries(entries);
}

export function without(body: Body, names: readonly string[]): Body {
  return Object.fromEntries(Object.entries(body).filter(([name]) => !names.includes(name)));
}

/** What an object in the body has that means nothing here, by its full name. */
export function named(name: string, fields: object): Body {
  const entries = Object.entries(fields).map(([key, value]) => [`${name}.${key}`, value] as const);
  return Object.fromEntries(entries);
}

/** For endpoints that answer without generating. */
export function reply(context: Context, body: object): Response {
  context.finished([]);
  return Response.json(body, { headers: context.headers });
}
