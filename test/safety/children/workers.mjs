// Loads, steps and generations from several worker threads and the main thread at once.
import { isMainThread, parentPort, Worker } from 'node:worker_threads';
import { load, prompt } from './common.mjs';

async function work() {
  const texts = [];
  for (let round = 0; round < 3; round++) {
    const models = await Promise.all([
      load({ device: 'cpu' }),
      load({ device: 'cpu', threads: 1 }),
    ]);
    for (const model of models) {
      const session = model.createSession({ length: 32 });
      const run = model.generate(prompt, { maxTokens: 16, seed: 1, temperature: 0.8 });
      const [{ tokens }] = await Promise.all([run.result, session.step()]);
      texts.push(tokens.join(' '));
    }
    await models[0].dispose(); // the other one is left to the collector and the thread's end
  }
  return texts;
}

if (isMainThread) {
  const workers = Array.from({ length: 3 }, () => {
    const worker = new Worker(new URL(import.meta.url));
    return new Promise((resolve, reject) => {
      let texts;
      worker.on('message', (message) => (texts = message));
      worker.on('error', reject);
      worker.on('exit', (code) =>
        code === 0 ? resolve(texts) : reject(new Error(`exit ${code}`)),
      );
    });
  });
  const all = (await Promise.all([work(), ...workers])).flat();
  console.log(JSON.stringify({ runs: all.length, different: new Set(all).size }));
} else {
  parentPort.postMessage(await work());
}
