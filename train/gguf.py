"""Reads LLaDA models with F32 and Q8_0 tensors and byte-level BPE from GGUF files: to measure what is
shipped, and to go on from it."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from torch import Tensor

from model import ModelShape, Transformer
from vocabulary import END, MASK, START, Vocabulary

SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
STRING, ARRAY = 8, 9
F32, Q8_0 = 0, 8
USER_DEFINED = 4  # of tokenizer.ggml.token_type


def read(file: BinaryIO, form: str):
    return struct.unpack("<" + form, file.read(struct.calcsize("<" + form)))[0]


def read_value(file: BinaryIO, kind: int):
    if kind == STRING:
        return file.read(read(file, "Q")).decode()
    if kind == ARRAY:
        element, count = read(file, "I"), read(file, "Q")
        return [read_value(file, element) for _ in range(count)]
    return read(file, SCALARS[kind])


def read_gguf(path: Path) -> tuple[dict, dict[str, Tensor]]:
    """Metadata and tensors, rows first; the layout is that of GGUF version 3."""
    with open(path, "rb") as file:
        if file.read(4) != b"GGUF":
            raise SystemExit(f"{path} is no GGUF file")
        _, tensors, pairs = read(file, "I"), read(file, "Q"), read(file, "Q")
        metadata = {}
        for _ in range(pairs):
            key = read_value(file, STRING)
            metadata[key] = read_value(file, read(file, "I"))
        infos = []
        for _ in range(tensors):
            name = read_value(file, STRING)
            shape = [read(file, "Q") for _ in range(read(file, "I"))]
            infos.append((name, shape[::-1], read(file, "I"), read(file, "Q")))
        alignment = metadata.get("general.alignment", 32)
        start = -(-file.tell() // alignment) * alignment
        return metadata, {
            name: read_tensor(file, start + offset, shape, kind)
            for name, shape, kind, offset in infos
        }


def read_tensor(file: BinaryIO, at: int, shape: list[int], kind: int) -> Tensor:
    file.seek(at)
    count = int(np.prod(shape))
    if kind == F32:
        values = np.frombuffer(file.read(4 * count), "<f4")
    elif kind == Q8_0:  # per 32 values an f16 scale and 32 bytes
        blocks = np.frombuffer(file.read(34 * count // 32), [("scale", "<f2"), ("code", "i1", 32)])
        values = blocks["scale"].astype("f4")[:, None] * blocks["code"]
    else:
        raise SystemExit(f"tensors of type {kind} are not read here, only F32 and Q8_0")
    return torch.tensor(values.reshape(shape))


NAMES = {
    "attn_norm": "attn_norm",
    "attn_q": "q_proj",
    "attn_k": "k_proj",
    "attn_v": "v_proj",
    "attn_output": "attn_out",
    "ffn_norm": "ff_norm",
    "ffn_gate": "ff_proj",
    "ffn_up": "up_proj",
    "ffn_down": "ff_out",
}
OUTER = {"token_embd": "wte", "output_norm": "ln_f", "output": "ff_out"}


def load_model(path: Path) -> tuple[Transformer, Vocabulary]:
    metadata, tensors = read_gguf(path)
    key = lambda name: metadata[f"llada.{name}"]  # noqa: E731
    shape = ModelShape(
        layers=key("block_count"),
        width=key("embedding_length"),
        heads=key("attention.head_count"),
        ffn=key("feed_forward_length"),
        context=key("context_length"),
        vocabulary=len(metadata["tokenizer.ggml.tokens"]),
        rope_theta=key("rope.freq_base"),
        epsilon=key("attention.layer_norm_rms_epsilon"),
    )
    state = {}
    for name, tensor in tensors.items():
        *block, part, _ = name.split(".")
        if not block:
            state[f"{OUTER[part]}.weight"] = tensor
            continue
        if part in ("attn_q", "attn_k"):  # files have the two halves of a head interleaved
            rows = tensor.view(shape.heads, -1, 2, shape.width)
            tensor = rows.transpose(1, 2).reshape(tensor.shape)
        state[f"blocks.{block[1]}.{NAMES[part]}.weight"] = tensor
    model = Transformer(shape)
    model.load_state_dict(state)
    return model, vocabulary_of(metadata)


def vocabulary_of(metadata: dict) -> Vocabulary:
    """With the ids of the file, whatever its order and its names of the special tokens."""
    tokens = metadata["tokenizer.ggml.tokens"]
    types = metadata.get("tokenizer.ggml.token_type", [])
    merges = [tuple(merge.split(" ")) for merge in metadata["tokenizer.ggml.merges"]]
    words = [token for token, kind in zip(tokens, types) if kind == USER_DEFINED]
    vocabulary = Vocabulary(merges, words)
    vocabulary.tokens = tokens
    vocabulary.ids = {token: i for i, token in enumerate(tokens)}
    names = {"bos": START, "eos": END, "mask": MASK}
    for name, own in names.items():
        vocabulary.ids[own] = metadata[f"tokenizer.ggml.{name}_token_id"]
    special = [vocabulary.ids[name] for name in (START, END, MASK)]
    vocabulary.start, vocabulary.end, vocabulary.mask = special
    vocabulary.specials = [tokens[i] for i in special]
    return vocabulary
