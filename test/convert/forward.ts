/**
 * The forward pass of transformers in float64, over weights as Hugging Face folders have them: the
 * independent side of the comparison. rotate_half everywhere, as in modeling_llama.py, modeling_qwen2.py,
 * modeling_qwen3_moe.py and LLaDA's modeling_llada.py.
 */

export interface Weight {
  shape: number[];
  values: Float32Array;
}

/** What the forward needs to know of a config.json. */
export interface ForwardOptions {
  layers: number;
  dim: number;
  heads: number;
  kvHeads: number;
  headDim: number;
  epsilon: number;
  /** Radians per position and pair, (headDim / 2). */
  frequencies: number[];
  /** On cos and sin. */
  attentionFactor: number;
  /** Row i sees key j when floor(j / block) <= floor(i / block); 0: everything. */
  block: number;
  experts?: { used: number; renormalised: boolean };
  /** Names of the tensors of a layer, without `.weight` and `.bias`. */
  names: {
    embedding: string;
    norm: string;
    head: string;
    layer: (index: number) => Record<LayerName, string>;
  };
}

export type LayerName =
  | 'attentionNorm'
  | 'q'
  | 'k'
  | 'v'
  | 'o'
  | 'qNorm'
  | 'kNorm'
  | 'ffnNorm'
  | 'gate'
  | 'up'
  | 'down'
  | 'router'
  | 'experts';

type Row = Float64Array;

const dot = (a: ArrayLike<number>, b: ArrayLike<number>, at = 0, n = a.length): number => {
  let sum = 0;
  for (let i = 0; i < n; i++) sum += a[i] * b[at + i];
  return sum;
};

export function forward(
  weights: ReadonlyMap<string, Weight>,
  options: ForwardOptions,
  tokens: readonly number[],
): Row[] {
  const { dim, names, layers, epsilon } = options;
  const get = (name: string): Weight => {
    const found = weights.get(name);
    if (!found) throw new Error(`no ${name}`);
    return found;
  };
  const linear = (x: Row, name: string): Row => {
    const { shape, values } = get(`${name}.weight`);
    const bias = weights.get(`${name}.bias`)?.values;
    return Float64Array.from(
      { length: shape[0] },
      (_, row) => dot(x, values, row * shape[1]) + (bias?.[row] ?? 0),
    );
  };
  const norm = (x: Row, name: string): Row => {
    const { values } = get(`${name}.weight`);
    const scale = 1 / Math.sqrt(dot(x, x) / x.length + epsilon);
    return x.map((value, i) => value * scale * values[i]);
  };
  const embedding = get(`${names.embedding}.weight`).values;
  let rows = tokens.map((token) =>
    Float64Array.from(embedding.subarray(token * dim, (token + 1) * dim)),
  );
  for (let layer = 0; layer < layers; layer++) {
    const own = names.layer(layer);
    const attended = attend(
      options,
      rows.map((x) => norm(x, own.attentionNorm)),
      own,
      { linear, norm, has: (name) => weights.has(`${name}.weight`) },
    );
    rows = rows.map((x, i) => x.map((value, d) => value + attended[i][d]));
    const mlp = (x: Row, at: { gate: string; up: string; down: string }): Row => {
      const up = linear(x, at.up);
      return linear(
        linear(x, at.gate).map((g, i) => (g / (1 + Math.exp(-g))) * up[i]),
        at.down,
      );
    };
    rows = rows.map((x) => {
      const h = norm(x, own.ffnNorm);
      const out = options.experts ? mixture(h, own, options.experts, linear, mlp) : mlp(h, own);
      return x.map((value, d) => value + out[d]);
    });
  }
  const head = weights.has(`${names.head}.weight`) ? names.head : names.embedding;
  return rows.map((x) => linear(norm(x, names.norm), head));
}

type Linear = (x: Row, name: string) => Row;

/** Qwen3MoeSparseMoeBlock: softmax over all experts, the best of them, scaled to sum 1 or not. */
function mixture(
  h: Row,
  own: Record<LayerName, string>,
  { used, renormalised }: NonNullable<ForwardOptions['experts']>,
  linear: Linear,
  mlp: (x: Row, at: { gate: string; up: string; down: string }) => Row,
): Row {
  const scores = linear(h, own.router).map(Math.exp);
  const sum = scores.reduce((a, b) => a + b);
  const chosen = [...scores.keys()].sort((a, b) => scores[b] - scores[a]).slice(0, used);
  const scale = renormalised ? chosen.reduce((total, e) => total + scores[e], 0) : sum;
  const out = new Float64Array(h.length);
  for (const expert of chosen) {
    const at = `${own.experts}.${expert}`;
    const result = mlp(h, {
      gate: `${at}.gate_proj`,
      up: `${at}.up_proj`,
      down: `${at}.down_proj`,
    });
    result.forEach((value, d) => (out[d] += (scores[expert] / scale) * value));
  }
  return out;
}

function attend(
  options: ForwardOptions,
  rows: Row[],
  own: Record<LayerName, string>,
  { linear, norm, has }: { linear: Linear; norm: Linear; has: (name: string) => boolean },
): Row[] {
  const { heads, kvHeads, headDim, block } = options;
  const project = (x: Row, position: number, name: string, n: number, normName?: string): Row[] => {
    const all = linear(x, name);
    return Array.from({ length: n }, (_, head) => {
      const part = all.slice(head * headDim, (head + 1) * headDim);
      if (normName === undefined) return part; // values are not turned
      return rotate(options, has(normName) ? norm(part, normName) : part, position);
    });
  };
  const q = rows.map((x, i) => project(x, i, own.q, heads, own.qNorm));
  const k = rows.map((x, i) => project(x, i, own.k, kvHeads, own.kNorm));
  const v = rows.map((x, i) => project(x, i, own.v, kvHeads));
  const blockOf = (i: number): number => (block === 0 ? 0 : Math.floor(i / block));
  return rows.map((_, i) => {
    const out = new Float64Array(heads * headDim);
    const keys = rows.map((_, j) => j).filter((j) => blockOf(j) <= blockOf(i));
    for (let head = 0; head < heads; head++) {
      const shared = Math.floor(head / (heads / kvHeads));
      const scores = keys.map((j) => Math.exp(dot(q[i][head], k[j][shared]) / Math.sqrt(headDim)));
      const sum = scores.reduce((a, b) => a + b);
      keys.forEach((j, at) => {
        for (let d = 0; d < headDim; d++)
          out[head * headDim + d] += (scores[at] / sum) * v[j][shared][d];
      });
    }
    return linear(out, own.o);
  });
}

/** x · cos + rotate_half(x) · sin, where rotate_half is (−second half, first half). */
function rotate({ frequencies, attentionFactor }: ForwardOptions, x: Row, position: number): Row {
  const half = x.length / 2;
  return x.map((value, d) => {
    const angle = position * frequencies[d % half];
    const other = d < half ? -x[d + half] : x[d - half];
    return (value * Math.cos(angle) + other * Math.sin(angle)) * attentionFactor;
  });
}
