/** The thread in which templates of files run. In: a job; out: `{ text }` or `{ problem }`. */
import { parentPort } from 'node:worker_threads';
import { Template } from '@huggingface/jinja';

let last = { source: undefined, template: undefined }; // parsing takes longer than rendering

parentPort.on('message', ({ source, values, length }) => {
  try {
    if (last.source !== source) last = { source, template: new Template(source) };
    const text = last.template.render(values);
    const problem = `wrote ${text.length} characters; the limit is ${length}`;
    parentPort.postMessage(text.length > length ? { problem } : { text });
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    parentPort.postMessage({ problem: `failed: ${reason}` });
  }
});
parentPort.postMessage('ready');
