/** Text or calls. A call's name and arguments are written by the schemas of the tools. */
import { randomUUID } from 'node:crypto';
import { decide } from '../../schema/decide.js';
import type { Desk } from '../../schema/desk.js';
import { openings } from '../../schema/write.js';
import { writeJson, type WritingOptions } from '../../schema/writing.js';
import type { Job, Outcome } from '../answer.js';
import { callParts, callStart, callText, type Tools } from '../tools.js';
import { atDesk, type Pen } from './desk.js';
import { writeText } from './text.js';

/**
 * Where calls are required, the answer is calls. Where JSON is the alternative, the model decides
 * between how the two begin. Else the model writes text, and what it begins with `<tool_call>`, or
 * goes on with there, is a call.
 */
export function toolsWork(job: Job, tools: Tools): Promise<Outcome> {
  if (tools.required) return calls(job, tools, '');
  return job.wanted.json === undefined ? textOrCalls(job, tools) : jsonOrCalls(job, tools);
}

/** Starts the text at once, so that what is wrong with the options is thrown at once. */
function textOrCalls(job: Job, tools: Tools): Promise<Outcome> {
  const { engine, model, prompt, wanted, maxTokens } = job;
  const marker = model.tokenizer.id(callStart);
  const stop = [...wanted.stop, callStart];
  const options = { ...engine.settings(wanted.options), maxTokens };
  const writing = writeText(job, prompt, { options, stop, stopToken: marker });
  return writing.then(async ({ text, stopped, ...written }) => {
    if (stopped === undefined || ![callStart, marker].includes(stopped)) return written;
    const called = await calls(job, tools, text);
    return {
      ...called,
      forwards: written.forwards + called.forwards,
      tokens: written.tokens + called.tokens,
      slots: written.slots + called.slots,
      firstForward: written.firstForward,
    };
  });
}

function jsonOrCalls(job: Job, tools: Tools): Promise<Outcome> {
  return atDesk(job, async (desk, pen, writing) => {
    const starts = [callStart, ...new Set(openings(job.wanted.json!, ''))];
    const { index } = await decide(desk, await desk.encodeAll(starts));
    if (index === 0) return writeCalls(job, tools, '', desk, pen, writing);
    await writeJson(desk, job.wanted.json!, { ...writing, onText: (text) => pen.write(text) });
    return 'stop';
  });
}

/** @param text of the answer, before the first call */
function calls(job: Job, tools: Tools, text: string): Promise<Outcome> {
  return atDesk(job, (desk, pen, writing) => writeCalls(job, tools, text, desk, pen, writing));
}

async function writeCalls(
  { listener }: Job,
  tools: Tools,
  text: string,
  desk: Desk,
  pen: Pen,
  writing: WritingOptions,
): Promise<'tool_calls'> {
  let whole = text;
  do {
    const before = callText.open(whole === '' || whole === text ? whole : `${whole}\n`);
    const written = await writeJson(desk, tools.node, { ...writing, before });
    desk.room(desk.encode(written.text).length - 1); // the last of it may be known text
    const call = written.text.slice(before.length);
    pen.calls.push(call);
    const id = `call_${randomUUID().replaceAll('-', '')}`;
    listener.call?.({ id, ...callParts(call) });
    whole = callText.close(written.text);
  } while (pen.calls.length < tools.most && (await another(desk, whole)));
  return 'tool_calls';
}

/** Whether the model rather goes on with a call than ends its turn. */
async function another(desk: Desk, whole: string): Promise<boolean> {
  if (desk.late) return false;
  const { eos, eot = desk.model.tokenizer.eot } = desk.model.info.tokens;
  const ends = [eot, eos].filter((token) => token !== undefined);
  if (ends.length === 0) return false;
  const known = desk.encode(whole);
  const more = desk.encode(`${whole}\n${callStart}`);
  const { index } = await decide(desk, [more, ...ends.map((end) => Int32Array.of(...known, end))]);
  return index === 0;
}
