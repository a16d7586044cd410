/**
 * Masked-diffusion language models (LLaDA, Dream, LLaDA-MoE, RND1 and others) from GGUF files,
 * inside Node and Electron.
 *
 * @module
 */
export { LacunaError, type LacunaErrorCode } from './errors.js';
export { inspectFile, loadModel, Model, type LoadOptions, type StepItem } from './model.js';
export { devices } from './devices.js';
export type { Attention, ModelInfo } from './info.js';
export { DiffusionSession, type StepOptions } from './session.js';
export type * from './types.js';
export type {
  NativeCard as Card,
  NativeDevices as Devices,
  NativeFile as ModelFile,
  NativeMemory as ModelMemory,
  NativeSpec as ModelSpec,
  NativeTensor as ModelTensor,
  NativeValue as MetadataValue,
} from './native.js';

export { generate } from './generate.js';
export { Batch, type BatchForward, type BatchOptions } from './batch.js';
export { compare, type CompareOptions, type Comparison } from './measure/compare.js';
export type { Frame } from './frames.js';
export { Generation, type GenerationResult } from './generation.js';
export type { Counts, Entry, TraceStep } from './trace.js';
export { parseTrace, traceFile, type AnswerShape, type TraceFile } from './trace-file.js';
export type { GenerateOptions, GenerationModel, GenerationSession, Prompt } from './plan.js';
export * from './decoding/index.js';

export type { DecodeOptions, EncodeOptions, StreamDecoder, Tokenizer } from './text/tokenizer.js';
export {
  chatTokens,
  renderChat,
  type ChatMessage,
  type ChatOptions,
  type RenderChatOptions,
} from './text/template.js';
