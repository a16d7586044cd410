/** A value that fits a schema, told as its text becomes final. */
import { writeJson } from '../../schema/writing.js';
import type { Job, Outcome } from '../answer.js';
import { atDesk } from './desk.js';

export function jsonWork(job: Job): Promise<Outcome> {
  return atDesk(job, async (desk, pen, writing) => {
    await writeJson(desk, job.wanted.json!, { ...writing, onText: (text) => pen.write(text) });
    return 'stop';
  });
}
