import { tensorTypes, type TensorType } from './types.js';

/** What a tensor is for, as far as mixes of types care. */
type Role = 'output' | 'embedding' | 'value' | 'key' | 'attentionOutput' | 'down' | 'other';

/** Which layers, of `layers` counted from 0. */
type Layers = (layer: number, layers: number) => boolean;

const first =
  (n: number): Layers =>
  (layer) =>
    layer < n;
const firstOf =
  (part: number): Layers =>
  (layer, layers) =>
    layer < Math.floor(layers / part);
/** The first and the last eighth, and every third between them. */
const sensitive: Layers = (layer, layers) => {
  const eighth = Math.floor(layers / 8);
  return layer < eighth || layer >= Math.floor((7 * layers) / 8) || (layer - eighth) % 3 === 2;
};

/** Facts of the whole model that rules ask for. */
interface ModelFacts {
  /** Of the largest stack of experts; 0: none. */
  experts: number;
  /** Query heads that share a key head. */
  sharing: number;
}

interface Rule {
  role: Role;
  type: TensorType;
  /** Default: all. */
  layers?: Layers;
  /** Default: every model. */
  when?: (facts: ModelFacts) => boolean;
}

interface MixPlan {
  /** Number of general.file_type. */
  id: number;
  /** Of all matrices that no rule speaks of. */
  type: TensorType;
  /** The first that fits decides. */
  rules: readonly Rule[];
}

const shared = ({ sharing }: ModelFacts): boolean => sharing >= 4;
const eightExperts = ({ experts }: ModelFacts): boolean => experts === 8;

/** Mixtures of 8 experts have small attention matrices: more bits for them cost next to nothing. */
const ofEightExperts: readonly Rule[] = [
  { role: 'value', type: 'Q8_0', when: eightExperts },
  { role: 'key', type: 'Q8_0', when: eightExperts },
];
const outputOfEightExperts: Rule = { role: 'attentionOutput', type: 'Q5_K', when: eightExperts };
const output: Rule = { role: 'output', type: 'Q6_K' };

const floats = (id: number, type: TensorType): MixPlan => ({ id, type, rules: [] });
const mix = (id: number, type: TensorType, ...rules: Rule[]): MixPlan => ({
  id,
  type,
  rules: [output, ...ofEightExperts, ...rules],
});
const bell = (id: number, type: TensorType): MixPlan =>
  mix(
    id,
    type,
    { role: 'value', type: 'Q5_K', when: shared },
    { role: 'down', type: 'Q5_K', layers: firstOf(8) },
    outputOfEightExperts,
  );

/**
 * The types of whole files: those that llama.cpp's quantiser writes, tensor by tensor as it does
 * without an importance matrix, so that a name promises the same size everywhere.
 */
export const mixes = {
  F32: floats(0, 'F32'),
  F16: floats(1, 'F16'),
  BF16: floats(32, 'BF16'),
  Q8_0: { id: 7, type: 'Q8_0', rules: [] },
  Q4_0: mix(2, 'Q4_0'),
  Q4_1: mix(3, 'Q4_1'),
  Q5_0: mix(8, 'Q5_0'),
  Q5_1: mix(9, 'Q5_1'),
  Q2_K: mix(
    10,
    'Q2_K',
    { role: 'value', type: 'Q4_K', when: shared },
    { role: 'value', type: 'Q3_K' },
    { role: 'down', type: 'Q3_K' },
    outputOfEightExperts,
    { role: 'attentionOutput', type: 'Q3_K' },
  ),
  Q2_K_S: mix(
    21,
    'Q2_K',
    { role: 'value', type: 'Q4_K', when: shared },
    { role: 'down', type: 'Q4_K', layers: firstOf(8) },
  ),
  Q3_K_S: mix(11, 'Q3_K', outputOfEightExperts),
  Q3_K_M: mix(
    12,
    'Q3_K',
    { role: 'value', type: 'Q5_K', layers: first(2) },
    { role: 'value', type: 'Q4_K' },
    { role: 'down', type: 'Q5_K', layers: firstOf(16) },
    { role: 'down', type: 'Q4_K' },
    outputOfEightExperts,
    { role: 'attentionOutput', type: 'Q4_K' },
  ),
  Q3_K_L: mix(
    13,
    'Q3_K',
    { role: 'value', type: 'Q5_K' },
    { role: 'down', type: 'Q5_K' },
    { role: 'attentionOutput', type: 'Q5_K', when: (facts) => !eightExperts(facts) },
  ),
  Q4_K_S: mix(
    14,
    'Q4_K',
    { role: 'value', type: 'Q5_K', layers: first(4) },
    { role: 'down', type: 'Q5_K', layers: firstOf(8) },
    outputOfEightExperts,
  ),
  Q4_K_M: mix(
    15,
    'Q4_K',
    { role: 'value', type: 'Q6_K', layers: sensitive },
    { role: 'down', type: 'Q6_K', layers: sensitive },
    outputOfEightExperts,
  ),
  Q5_K_S: mix(16, 'Q5_K'),
  Q5_K_M: mix(
    17,
    'Q5_K',
    { role: 'value', type: 'Q6_K', layers: sensitive },
    { role: 'down', type: 'Q6_K', layers: sensitive },
  ),
  Q6_K: mix(18, 'Q6_K'),
  IQ4_NL: bell(25, 'IQ4_NL'),
  IQ4_XS: bell(30, 'IQ4_XS'),
} satisfies Record<string, MixPlan>;

/** What a whole file is quantised to. */
export type Mix = keyof typeof mixes;

export const mixNames = Object.keys(mixes) as Mix[];

/** Of rows that are no multiple of the block size. */
const fallbacks: Partial<Record<TensorType, TensorType>> = {
  Q2_K: 'Q4_0',
  Q3_K: 'Q4_0',
  Q4_K: 'Q5_0',
  Q5_K: 'Q5_1',
  Q6_K: 'Q8_0',
  IQ4_XS: 'IQ4_NL',
};

/** A tensor as a plan sees it; `shape` has the fastest dimension first. */
export interface PlanTensor {
  name: string;
  shape: readonly number[];
}

/** What a tensor becomes. */
export interface PlannedType {
  /** `undefined`: what it is; norms, biases, routers and whatever is not a matrix. */
  type: TensorType | undefined;
  /** What the mix says, where the rows are no multiple of that type's block size. */
  wanted?: TensorType;
}

/**
 * The type of every tensor in a file of a mix, in the order of `tensors`, which must be all of the
 * model's. How many layers, experts and query heads per key head there are is read off the shapes.
 */
export function planTypes(name: Mix, tensors: readonly PlanTensor[]): PlannedType[] {
  const plan: MixPlan = mixes[name];
  const layers = 1 + Math.max(-1, ...tensors.map((tensor) => layerOf(tensor.name)));
  const tied = !tensors.some((tensor) => tensor.name === 'output.weight');
  const facts: ModelFacts = {
    experts: Math.max(0, ...tensors.map(({ shape }) => shape[2] ?? 0)),
    sharing: rowsOf(tensors, 'attn_q') / rowsOf(tensors, 'attn_k'),
  };
  return tensors.map((tensor) => {
    if (!isMatrix(tensor)) return { type: undefined };
    const layer = layerOf(tensor.name);
    const role = roleOf(tensor.name, tied);
    const rule = plan.rules.find(
      (candidate) =>
        candidate.role === role &&
        (candidate.layers?.(layer, layers) ?? true) &&
        (candidate.when?.(facts) ?? true),
    );
    return fitting(rule?.type ?? plan.type, tensor.shape[0]);
  });
}

/** Layer of `blk.3.attn_q.weight`; −1 of what belongs to none. */
const layerOf = (name: string): number => Number(/^blk\.(\d+)\./.exec(name)?.[1] ?? -1);

function rowsOf(tensors: readonly PlanTensor[], matrix: string): number {
  return tensors.find(({ name }) => name.endsWith(`.${matrix}.weight`))?.shape[1] ?? 1;
}

/** Norms are vectors, but some architectures have one per head; routers are small and decide much. */
function isMatrix({ name, shape }: PlanTensor): boolean {
  return (
    shape.slice(1).some((n) => n > 1) &&
    name.endsWith('.weight') &&
    !/_norm\.|ffn_gate_inp\./.test(name)
  );
}

function roleOf(name: string, tied: boolean): Role {
  if (name === 'output.weight') return 'output';
  // A tied embedding is the head.
  if (name === 'token_embd.weight') return tied ? 'output' : 'embedding';
  if (/\.attn_(v|qkv)\./.test(name)) return 'value';
  if (name.includes('.attn_k.')) return 'key';
  if (name.includes('.attn_output.')) return 'attentionOutput';
  return name.includes('.ffn_down') ? 'down' : 'other';
}

function fitting(wanted: TensorType, columns: number): PlannedType {
  const fits = (type: TensorType): boolean => columns % tensorTypes[type].blockSize === 0;
  if (fits(wanted)) return { type: wanted };
  const smaller = fallbacks[wanted];
  return { type: smaller && fits(smaller) ? smaller : 'F16', wanted };
}
