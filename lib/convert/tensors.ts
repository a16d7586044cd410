/** Which tensor of a checkpoint becomes which tensor of a GGUF file. */
import { bad, unsupported } from './folder.js';
import type { Family } from './families.js';
import type { Checkpoint, SourceTensor } from './safetensors.js';
import type { Shape } from './shape.js';

/** A tensor to write, from one source or from those of all experts in order. */
export interface Planned {
  name: string;
  /** Fastest dimension first. */
  shape: readonly number[];
  sources: readonly SourceTensor[];
  /**
   * Rows of a head, to be put in the order for rope over neighbouring pairs; 0: rows stay. A vector
   * counts as a matrix of one column.
   */
  headRows: number;
}

/** A row of the table below: a tensor of each layer. */
interface Part {
  name: string;
  /** Slowest first, as in the checkpoint. */
  shape: readonly number[];
  turned?: boolean;
  bias?: boolean;
}

/**
 * All tensors of the file, in order.
 *
 * Throws BAD_CHECKPOINT for a tensor that is missing or has another shape, and
 * UNSUPPORTED_ARCHITECTURE for one that has no place.
 */
export function planTensors(
  checkpoint: Checkpoint,
  configPath: string,
  family: Family,
  shape: Shape,
): Planned[] {
  return new Planner(checkpoint, configPath, family, shape).run();
}

class Planner {
  readonly #used = new Set<string>();

  constructor(
    readonly checkpoint: Checkpoint,
    readonly configPath: string,
    readonly family: Family,
    readonly shape: Shape,
  ) {}

  run(): Planned[] {
    const { dim, vocabulary, layers } = this.shape;
    const planned = [this.#take('token_embd', [vocabulary, dim]), this.#take('output_norm', [dim])];
    if (!this.#isTied()) planned.push(this.#take('output', [vocabulary, dim]));
    const parts = this.#parts();
    for (let layer = 0; layer < layers; layer++)
      for (const part of parts) planned.push(this.#takePart(part, layer));
    this.#checkAllUsed();
    return planned;
  }

  /** transformers ignores a head that is stored although it is tied. */
  #isTied(): boolean {
    const head = `${this.family.names.output}.weight`;
    const tied = this.shape.tied ?? !this.checkpoint.tensors.has(head);
    if (tied) this.#used.add(head);
    return tied;
  }

  #parts(): Part[] {
    const { dim, heads, kvHeads, headDim, ffn, experts, expertFfn } = this.shape;
    const [q, kv] = [heads * headDim, kvHeads * headDim];
    const turned = this.family.interleaved;
    const vector = (name: string, n: number): Part => ({ name, shape: [n] });
    const bias = (part: Part): Part => ({
      ...part,
      shape: [part.shape[0]],
      bias: true,
    });
    const projections: Part[] = [
      { name: 'attn_q', shape: [q, dim], turned },
      { name: 'attn_k', shape: [kv, dim], turned },
      { name: 'attn_v', shape: [kv, dim] },
    ];
    const dense: Part[] = [
      { name: 'ffn_gate', shape: [ffn, dim] },
      { name: 'ffn_up', shape: [ffn, dim] },
      { name: 'ffn_down', shape: [dim, ffn] },
    ];
    const mixture: Part[] = [
      { name: 'ffn_gate_inp', shape: [experts, dim] },
      { name: 'ffn_gate_exps', shape: [experts, expertFfn, dim] },
      { name: 'ffn_up_exps', shape: [experts, expertFfn, dim] },
      { name: 'ffn_down_exps', shape: [experts, dim, expertFfn] },
    ];
    return [
      vector('attn_norm', dim),
      ...projections,
      ...(this.#has('attn_q', 'bias', this.family.bias) ? projections.map(bias) : []),
      { name: 'attn_output', shape: [dim, q] },
      ...(this.#has('attn_q_norm', 'weight', this.family.qkNorm)
        ? [vector('attn_q_norm', headDim), vector('attn_k_norm', headDim)]
        : []),
      vector('ffn_norm', dim),
      ...(experts > 0 ? mixture : dense),
    ];
  }

  /** What one layer has, all must have. */
  #has(name: string, kind: string, required?: boolean): boolean {
    if (required || this.family.names[name] === undefined) return required ?? false;
    return this.checkpoint.tensors.has(`${this.#source(name, 0)}.${kind}`);
  }

  #source(name: string, layer: number, expert = 0): string {
    return this.family.names[name]
      .replace('{layer}', String(layer))
      .replace('{expert}', String(expert));
  }

  #takePart({ name, shape, turned, bias }: Part, layer: number): Planned {
    return this.#take(name, shape, { layer, turned, bias });
  }

  #take(
    name: string,
    shape: readonly number[],
    part: Partial<Part> & { layer?: number } = {},
  ): Planned {
    const { layer, turned, bias } = part;
    const kind = bias ? 'bias' : 'weight';
    const stacked = shape.length === 3;
    const sources = Array.from({ length: stacked ? shape[0] : 1 }, (_, expert) =>
      this.#need(
        `${this.#source(name, layer ?? 0, expert)}.${kind}`,
        stacked ? shape.slice(1) : shape,
      ),
    );
    return {
      name: `${layer === undefined ? '' : `blk.${layer}.`}${name}.${kind}`,
      shape: [...shape].reverse(),
      sources,
      headRows: turned ? this.shape.headDim : 0,
    };
  }

  #need(name: string, shape: readonly number[]): SourceTensor {
    const tensor = this.checkpoint.tensors.get(name);
    const list = (numbers: readonly number[]): string => `[${numbers.join(', ')}]`;
    if (!tensor)
      throw bad(
        this.checkpoint.folder,
        `tensor ${name} is missing, must have shape ${list(shape)}`,
      );
    if (tensor.shape.length !== shape.length || tensor.shape.some((n, i) => n !== shape[i]))
      throw bad(
        tensor.path,
        `tensor ${name} has shape ${list(tensor.shape)}, must have ${list(shape)} by ${this.configPath}`,
      );
    this.#used.add(name);
    return tensor;
  }

  /** A tensor that nobody asked for would change the result if it were used: refuse it by name. */
  #checkAllUsed(): void {
    for (const { name, path } of this.checkpoint.tensors.values())
      if (!this.#used.has(name) && !isBuffer(name))
        throw unsupported(
          path,
          `tensor ${name} has no place in architecture ${this.family.architecture}`,
        );
  }
}

/** Frequencies of rope, which old versions of transformers saved. */
const isBuffer = (name: string): boolean => name.endsWith('.rotary_emb.inv_freq');
