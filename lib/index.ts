/**
 * Masked-diffusion language models (LLaDA, Dream, LLaDA-MoE, RND1 and others) from GGUF files,
 * inside Node and Electron.
 *
 * @module
 */
export { LacunaError, type LacunaErrorCode } from './errors.js';
export {
  inspectFile,
  loadModel,
  Model,
  type InfillOptions,
  type InfillTag,
  type InfillValue,
  type LoadOptions,
  type StepItem,
} from './model.js';
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

export { convert, type ConvertOptions, type Converted } from './convert/convert.js';

export {
  planTypes,
  quantise,
  type QuantiseOptions,
  type PlannedType,
  type PlanTensor,
} from './gguf/quantise.js';
export {
  quantiseFile,
  type QuantisedFile,
  type QuantisedTensor,
  type QuantiseFileOptions,
} from './gguf/quantise-file.js';
export type { TensorType } from './gguf/types.js';

export { generate } from './generate.js';
export {
  hybrid,
  HybridGeneration,
  shufflePlan,
  type Hybrid,
  type HybridFrame,
  type HybridOptions,
  type HybridResult,
  type HybridRole,
} from './hybrid.js';
export { Batch, type BatchForward, type BatchOptions } from './batch.js';
export { compare, type CompareOptions, type Comparison } from './measure/compare.js';
export { shareDifference, wilson, type Counted } from './measure/interval.js';
export {
  taskCorpus,
  taskInstance,
  taskNames,
  tasks,
  taskWords,
  type TaskInstance,
  type Split as TaskSplit,
  type TaskName,
  type TaskOptions,
} from './tasks/index.js';
export {
  fastest,
  overTasks,
  parallelbench,
  type BenchOptions,
  type BenchPoint,
  type BenchRun,
  type BenchSetting,
  type CurvePoint,
  type Fastest,
  type Score as BenchScore,
} from './tasks/bench.js';
export { modelSubject, oracleSubject, type Subject } from './tasks/subject.js';
export {
  strategies,
  strategyNames,
  type Setting as StrategySetting,
  type Strategy,
  type StrategyName,
} from './tasks/strategies.js';
export {
  arness,
  commitSteps,
  orderMap,
  type Arness,
  type ArnessOptions,
  type OrderedRun,
  type OrderMap,
} from './measure/order.js';
export {
  jointBounds,
  jointCommits,
  summariseJoint,
  type JointBounds,
  type JointSummary,
} from './measure/joint.js';
export { printedPerplexity, zipf, type Zipf } from './measure/zipf.js';
export {
  toyCounts,
  toyExperiment,
  type ToyConditional,
  type ToyDecoding,
  type ToyJoint,
  type ToyPair,
  type ToyResult,
} from './measure/toy.js';
export {
  positionCurve,
  type DistanceBand,
  type MaskPosition,
  type PositionCurve,
  type PositionOptions,
} from './measure/positions.js';
export {
  chainLogLikelihood,
  likelihoodBound,
  type LikelihoodBound,
  type LikelihoodOptions,
  type ReadingOrder,
} from './measure/likelihood.js';
export {
  textLikelihood,
  type TextLikelihood,
  type TextLikelihoodOptions,
} from './measure/text-likelihood.js';
export {
  oscillation,
  parseTasks,
  type CheckedTask,
  type Oscillation,
  type OscillationRun,
} from './measure/oscillation.js';
export type { Frame } from './frames.js';
export { Generation, type GenerationResult } from './generation.js';
export type { Counts, Entry, TraceStep } from './trace.js';
export { parseTrace, traceFile, type AnswerShape, type TraceFile } from './trace-file.js';
export type { GenerateOptions, GenerationModel, GenerationSession, Prompt } from './plan.js';
export type { PlainPrompt } from './prompt.js';
export { hole } from './template/hole.js';
export type * from './template/types.js';
export type {
  Choice,
  JsonSchema,
  ObjectOptions,
  ObjectResult,
  StandardResult,
  StandardSchema,
} from './schema/types.js';
export * from './decoding/index.js';

export type { DecodeOptions, EncodeOptions, StreamDecoder, Tokenizer } from './text/tokenizer.js';
export {
  chatTokens,
  renderChat,
  type ChatMessage,
  type ChatOptions,
  type RenderChatOptions,
  type ToolCallMessage,
} from './text/template.js';
