"""Writes a model as a folder in the layout of LLaDA's checkpoints on Hugging Face, the one path
into GGUF: `lacuna convert FOLDER -o FILE`."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np

from model import SoftMaskParameters, Transformer
from vocabulary import END, MASK, START, Vocabulary


def write_safetensors(path: Path, tensors: dict[str, np.ndarray]) -> None:
    """The length of the header, the header as JSON, then the tensors' bytes; f32."""
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for name, array in tensors.items():
        end = offset + array.nbytes
        header[name] = {"dtype": "F32", "shape": list(array.shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for array in tensors.values():
            file.write(np.ascontiguousarray(array, dtype="<f4").tobytes())


def config_of(model: Transformer, vocabulary: Vocabulary, name: str) -> dict:
    shape = model.shape
    return {
        "_name_or_path": name,
        "architectures": ["LLaDAModelLM"],
        "model_type": "llada",
        "block_type": "llama",
        "activation_type": "silu",
        "layer_norm_type": "rms",
        "rms_norm_eps": shape.epsilon,
        "d_model": shape.width,
        "n_layers": shape.layers,
        "n_heads": shape.heads,
        "n_kv_heads": shape.heads,
        "mlp_hidden_size": shape.ffn,
        "max_sequence_length": shape.context,
        "vocab_size": shape.vocabulary,
        "embedding_size": shape.vocabulary,
        "rope": True,
        "rope_full_precision": True,
        "rope_theta": shape.rope_theta,
        "alibi": False,
        "include_bias": False,
        "include_qkv_bias": False,
        "attention_layer_norm": False,
        "input_emb_norm": False,
        "scale_logits": False,
        "weight_tying": False,
        "bos_token_id": vocabulary.start,
        "eos_token_id": vocabulary.end,
        "pad_token_id": vocabulary.end,
        "mask_token_id": vocabulary.mask,
        "torch_dtype": "float32",
    }


def tokenizer_of(vocabulary: Vocabulary) -> dict:
    def added(token: str, special: bool) -> dict:
        flags = dict(single_word=False, lstrip=False, rstrip=False, normalized=False)
        return {"id": vocabulary.ids[token], "content": token, **flags, "special": special}

    byte_level = {"add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            *(added(word, False) for word in vocabulary.words),
            *(added(name, True) for name in vocabulary.specials),
        ],
        "normalizer": None,
        "pre_tokenizer": {"type": "ByteLevel", **byte_level},
        "post_processor": None,
        "decoder": {"type": "ByteLevel", **byte_level},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "vocab": {piece: i for i, piece in enumerate(vocabulary.pieces)},
            "merges": [" ".join(pair) for pair in vocabulary.merges],
        },
    }


def export(
    model: Transformer,
    vocabulary: Vocabulary,
    folder: Path,
    name: str,
    soft: SoftMaskParameters | None = None,
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    config = config_of(model, vocabulary, name)
    if soft is not None:
        learned = {"scale": soft.scale, "slope": soft.slope, "centre": soft.centre}
        config["soft_mask"] = {"top_k": soft.k, **{key: float(x) for key, x in learned.items()}}
    tokens = {"bos_token": START, "eos_token": END, "pad_token": END, "mask_token": MASK}
    special = {"bos_token_id": vocabulary.start, "eos_token_id": vocabulary.end}
    files = {
        "config.json": config,
        "generation_config.json": {**special, "pad_token_id": vocabulary.end},
        "tokenizer.json": tokenizer_of(vocabulary),
        "tokenizer_config.json": {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "add_bos_token": False,
            "model_max_length": model.shape.context,
            **tokens,
        },
        "special_tokens_map.json": tokens,
    }
    for file, content in files.items():
        (folder / file).write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    weights = {f"model.transformer.{key}": w.cpu().numpy() for key, w in model.state_dict().items()}
    write_safetensors(folder / "model.safetensors", weights)
