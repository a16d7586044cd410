// The other engine, in a process of its own. Arguments: GGUF file, canvas length, threads.
// Answers each message { tokens } with { milliseconds, cpu }, or with { chosen } if `choose` is set.
import { getLlama, LlamaLogLevel } from 'node-llama-cpp';

const [file, length, threads] = [process.argv[2], ...process.argv.slice(3).map(Number)];
const llama = await getLlama({
  gpu: false,
  build: 'never',
  maxThreads: threads,
  logLevel: LlamaLogLevel.error,
});
const model = await llama.loadModel({ modelPath: file, gpuLayers: 0 });
const context = await model.createContext({
  contextSize: length,
  batchSize: length,
  sequences: 1,
  threads,
  flashAttention: true, // faster than without on every file tried
});

// The binding's own context: its public methods would sample from each position's logits, one by
// one, and that is work which the reduction to statistics in our step is not compared with.
const native = context._ctx;
native.setThreads(threads);
const sampler = new llama._bindings.AddonSampler(model._model);
sampler.applyConfig({ temperature: 0 });
const every = Uint32Array.from({ length }, (_, i) => i);

async function evaluate(tokens) {
  native.initBatch(length);
  native.addToBatch(0, 0, Uint32Array.from(tokens), every);
  const cpu = process.cpuUsage();
  const start = performance.now();
  await native.decodeBatch();
  const milliseconds = performance.now() - start;
  const { user, system } = process.cpuUsage(cpu);
  return { milliseconds, cpu: (user + system) / 1000 };
}

process.on('message', async ({ tokens, choose }) => {
  const result = await evaluate(tokens);
  if (!choose) return process.send(result);
  const chosen = [];
  for (const i of every) chosen.push(await native.sampleToken(i, sampler));
  process.send({ chosen });
});
process.on('disconnect', () => process.exit());
process.send({ release: llama.llamaCppRelease.release, features: llama.systemInfo.trim() });
