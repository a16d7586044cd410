// Worker threads that are terminated in the middle of a load, a step, a queue of steps, a dispose.
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { load, longStep, prompt, turn } from './common.mjs';

const scenes = {
  async load() {
    void load({ device: 'cpu' });
    parentPort.postMessage('busy');
  },
  async step() {
    const model = await load({ device: 'ref' });
    void longStep(model);
    parentPort.postMessage('busy');
  },
  async queue() {
    const model = await load({ device: 'ref' });
    for (let i = 0; i < 4; i++) void longStep(model);
    parentPort.postMessage('busy');
  },
  async dispose() {
    const model = await load({ device: 'ref' });
    longStep(model).catch(() => undefined);
    void model.dispose();
    parentPort.postMessage('busy');
  },
  async generate() {
    const model = await load({ device: 'cpu' });
    for await (const { step } of model.generate(prompt, { maxTokens: 200 })) {
      if (step === 1) parentPort.postMessage('busy');
    }
  },
};

if (isMainThread) {
  for (let round = 0; round < 3; round++) {
    for (const scene of Object.keys(scenes)) {
      const worker = new Worker(new URL(import.meta.url), { workerData: scene });
      await new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject));
      for (let i = 0; i < round * 3; i++) await turn();
      await worker.terminate();
    }
  }
  const model = await load({ device: 'cpu' });
  const { tokens } = await model.generate(prompt, { maxTokens: 8 }).result;
  await model.dispose();
  console.log(JSON.stringify({ terminated: 3 * Object.keys(scenes).length, after: tokens.length }));
} else {
  await scenes[workerData]();
}
