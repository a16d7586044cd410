// Ends the process in the middle of work: the scene is the first argument.
import { load, longStep, prompt, turn } from './common.mjs';

const scenes = {
  async load() {
    void load({ device: 'cpu' });
    await turn();
    process.exit(7);
  },
  async step() {
    const model = await load({ device: 'ref' });
    void longStep(model);
    for (let i = 0; i < 5; i++) await turn();
    process.exit(7);
  },
  async queue() {
    const models = await Promise.all([load({ device: 'ref' }), load({ device: 'cpu' })]);
    for (const model of models) for (let i = 0; i < 4; i++) void longStep(model);
    process.exit(7);
  },
  async dispose() {
    const model = await load({ device: 'ref' });
    longStep(model).catch(() => undefined);
    void model.dispose();
    process.exit(7);
  },
  async generate() {
    const model = await load({ device: 'cpu' });
    for await (const { step } of model.generate(prompt, { maxTokens: 200 })) {
      if (step === 2) process.exit(7);
    }
  },
  async throw() {
    const model = await load({ device: 'ref' });
    void longStep(model);
    await turn();
    process.on('exit', () => (process.exitCode = 7));
    throw new Error('on purpose');
  },
  // Nobody disposes: the process ends by itself when the pending step is done, and not before.
  async idle() {
    const model = await load({ device: 'ref' });
    process.on('exit', () => (process.exitCode = finished ? 7 : 8));
    let finished = false;
    void model
      .createSession({ length: 32 })
      .step()
      .then(() => (finished = true));
  },
};

await scenes[process.argv[2]]();
