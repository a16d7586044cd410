/** Work by single forwards behind a prompt: JSON and calls. */
import { AnswerFull, Desk } from '../../schema/desk.js';
import type { WritingOptions } from '../../schema/writing.js';
import type { Job, Outcome } from '../answer.js';

/** What the client has been told. */
export class Pen {
  text = '';
  readonly calls: string[] = [];
  readonly #job: Job;

  constructor(job: Job) {
    this.#job = job;
  }

  /**
   * Tells what is new. Throws `AnswerFull` when all that the answer may have is told.
   * @param whole all of the text
   */
  write(whole: string): void {
    const { model, room } = this.#job;
    if (Buffer.byteLength(whole) <= room) return this.#tell(whole); // a token has a byte at least
    const ids = model.tokenizer.encode(whole, { bos: false });
    if (ids.length <= room) return this.#tell(whole);
    this.#tell(model.tokenizer.decoder().push(ids.subarray(0, room)));
    throw new AnswerFull(`the answer may have ${room} tokens`);
  }

  #tell(whole: string): void {
    if (whole.length <= this.text.length) return;
    this.#job.listener.text(whole.slice(this.text.length), []);
    this.text = whole;
  }
}

/** Tokens of an answer that has been told, and how it ended. */
type Act = (desk: Desk, pen: Pen, writing: WritingOptions) => Promise<Outcome['finish']>;

/** An answer that is full before it is complete ends with what was told by then. */
export async function atDesk(job: Job, act: Act): Promise<Outcome> {
  const { engine, model, prompt, room, signal, seed, wanted } = job;
  const settings = engine.holeSettings(wanted.options);
  const { decode, blocks, cache, temperature, topK, topP, deadline } = settings;
  const sampling = { temperature, topK, topP, seed };
  const blanks = { decode, blocks, cache, signal, deadline, ...sampling };
  const { maxStringTokens } = wanted;
  const desk = new Desk(model, prompt, { sampling, signal, deadline, most: room });
  const pen = new Pen(job);
  const finish = await act(desk, pen, { maxStringTokens, blanks })
    .catch((error: unknown) => {
      if (!(error instanceof AnswerFull)) throw error;
      return pen.calls.length > 0 ? 'tool_calls' : 'length';
    })
    .finally(() => desk.dispose());
  const tokens = [pen.text, ...pen.calls].reduce((sum, text) => sum + desk.encode(text).length, 0);
  const { forwards, firstForward } = desk;
  return { finish, tokens, forwards, firstForward, slots: tokens };
}
