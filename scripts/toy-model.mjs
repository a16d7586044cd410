// Makes models/toy.F32.gguf: a model with the conditional probabilities of a hundred known sequences,
// for `lacuna measure toy`. Its weights are computed, not trained:
//
//   node scripts/toy-model.mjs [file]       after npm run build
//
// One layer without a feed-forward part, and a canvas of 6: <bos> and five tokens. Attention carries
// what the head needs. Each head sees one place relative to its row: its query is turned so that the
// product with the key, cos(distance − place) by the rotary angle of 1 a position, is largest there.
// - Heads 1 … 5 look 1 … 5 places to the left for <bos>: a masked row knows where it is.
// - Head 6 looks 1 place to the left for A and A', head 7 one to the right for B and B'.
// The head of the model turns these features into logits. All it takes are logarithms of the counts,
// and the length of the hidden row, by which the last norm divides.
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { writeGguf } from '../dist/gguf/writer.js';
import { toyCounts, toyTokens } from '../dist/measure/toy.js';

const root = fileURLToPath(new URL('..', import.meta.url));
const path = process.argv[2] ?? join(root, 'models', 'toy.F32.gguf');

const tokens = [...toyTokens, "'", '<bos>', '<eos>', '<mask>'];
const id = (name) => tokens.indexOf(name);

// Dimensions of a hidden row.
const dim = 16;
const constant = 0;
const seen = { A: 1, "A'": 2, B: 3, "B'": 4, '<bos>': 5 }; // what attention looks for
const otherToken = 6;
const place = (i) => 6 + i; // 1 … 5
const neighbour = { A: 12, "A'": 13, B: 14, "B'": 15 };

const heads = 8; // the last one is idle
const headDim = 2; // one rotary pair, of the angle 1 a position
const sharpness = 60; // of attention: other places weigh e⁻²⁵ or less
const impossible = -20; // nats

const zeros = (rows, columns) => ({ rows, columns, data: new Float32Array(rows * columns) });
const set = (matrix, row, column, value) => (matrix.data[row * matrix.columns + column] = value);

function embeddings() {
  const matrix = zeros(tokens.length, dim);
  tokens.forEach((token, row) => {
    set(matrix, row, constant, 1);
    set(matrix, row, seen[token] ?? otherToken, 1); // so that all rows have the same length
  });
  return matrix;
}

/** Per head: where it looks, and [what it looks for, where that is noted]. */
const looks = [
  ...[1, 2, 3, 4, 5].map((i) => ({ left: i, notes: [['<bos>', place(i)]] })),
  { left: 1, notes: ['A', "A'"].map((token) => [token, neighbour[token]]) },
  { left: -1, notes: ['B', "B'"].map((token) => [token, neighbour[token]]) },
];

function attention() {
  const [q, k, v, o] = [0, 1, 2, 3].map(() => zeros(dim, dim)); // heads · headDim = dim
  const norm = Math.sqrt(2 / dim); // of an embedding: rows are divided by it first
  looks.forEach(({ left, notes }, head) => {
    const at = head * headDim;
    // Rows turn by their position: q · k = cos(row − key − left) · sharpness · √headDim.
    set(q, at, constant, Math.cos(-left) * sharpness * Math.SQRT2 * norm);
    set(q, at + 1, constant, Math.sin(-left) * sharpness * Math.SQRT2 * norm);
    set(k, at, constant, norm);
    notes.forEach(([token, dimension], i) => {
      set(v, at + i, seen[token], norm);
      set(o, dimension, at + i, 1);
    });
  });
  return { q, k, v, o };
}

const sum = (matches) =>
  Object.entries(toyCounts).reduce((n, [name, count]) => n + (matches(name) ? count : 0), 0);
const starts = (a) => sum((name) => name.startsWith(a) && (a !== 'A' || name[1] !== "'"));
const ends = (b) => sum((name) => name.endsWith(b));
const count = (a, b) => toyCounts[a + b];

function outputs() {
  const matrix = zeros(tokens.length, dim);
  // A masked row has 1 in `constant`, `otherToken`, its place, and its known neighbour's note.
  const alone = Math.sqrt(3 / dim);
  const beside = Math.sqrt(4 / dim);
  const at = (i, possible) => {
    for (const [row, token] of tokens.entries()) {
      const p = possible[token];
      set(matrix, row, place(i), alone * (p === undefined ? impossible : Math.log(p)));
    }
  };
  at(1, { A: starts('A') / 100, "A'": starts("A'") / 100 });
  at(2, { B: ends('B') / 100, "B'": ends("B'") / 100 });
  at(3, { C: 1 });
  at(4, { D: 1 });
  at(5, { E: 1 });
  for (const a of ['A', "A'"]) {
    for (const b of ['B', "B'"]) {
      const first = beside * Math.log(count(a, b) / ends(b)) - alone * Math.log(starts(a) / 100);
      const second = beside * Math.log(count(a, b) / starts(a)) - alone * Math.log(ends(b) / 100);
      set(matrix, id(a), neighbour[b], first);
      set(matrix, id(b), neighbour[a], second);
    }
  }
  return matrix;
}

const f32 = (value) => ({ type: 'f32', value });
const kinds = tokens.map((token) => (token.startsWith('<') ? 3 : token.length > 1 ? 4 : 1));
const metadata = {
  'general.architecture': 'llada',
  'general.name': 'toy',
  'llada.context_length': 6,
  'llada.embedding_length': dim,
  'llada.block_count': 1,
  'llada.feed_forward_length': dim,
  'llada.vocab_size': tokens.length,
  'llada.attention.head_count': heads,
  'llada.attention.head_count_kv': heads,
  'llada.attention.layer_norm_rms_epsilon': f32(1e-12),
  'llada.attention.causal': false,
  'llada.rope.freq_base': f32(10_000),
  'llada.rope.dimension_count': headDim,
  'diffusion.shift_logits': false,
  'tokenizer.ggml.model': 'gpt2',
  'tokenizer.ggml.pre': 'gpt-2',
  'tokenizer.ggml.tokens': tokens,
  'tokenizer.ggml.token_type': { type: 'array', element: 'i32', value: kinds },
  'tokenizer.ggml.merges': { type: 'array', element: 'string', value: [] },
  'tokenizer.ggml.add_bos_token': true,
  'tokenizer.ggml.bos_token_id': id('<bos>'),
  'tokenizer.ggml.eos_token_id': id('<eos>'),
  'tokenizer.ggml.mask_token_id': id('<mask>'),
};

const { q, k, v, o } = attention();
const ones = { rows: 1, columns: dim, data: new Float32Array(dim).fill(1) };
const nothing = zeros(dim, dim);
const tensor = (name, { rows, columns, data }) => ({
  name: `${name}.weight`,
  type: 'F32',
  shape: rows === 1 ? [columns] : [columns, rows],
  data: new Uint8Array(data.buffer),
});
const bytes = await writeGguf(path, {
  metadata,
  tensors: [
    tensor('token_embd', embeddings()),
    tensor('output_norm', ones),
    tensor('output', outputs()),
    tensor('blk.0.attn_norm', ones),
    tensor('blk.0.attn_q', q),
    tensor('blk.0.attn_k', k),
    tensor('blk.0.attn_v', v),
    tensor('blk.0.attn_output', o),
    tensor('blk.0.ffn_norm', ones),
    tensor('blk.0.ffn_gate', nothing),
    tensor('blk.0.ffn_up', nothing),
    tensor('blk.0.ffn_down', nothing),
  ],
});
console.log(`${path}: ${bytes} bytes`);
