"""Small models in folders as sentence-transformers saves them, with numbers that mean nothing."""

from __future__ import annotations

import json
import string
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

WIDTH, LAYERS, HEADS, INNER = 32, 2, 4, 64
MAX_TOKENS = 48
_MARKERS = ("[UNK]", "[PAD]", "[CLS]", "[SEP]")
# What other kinds than BERT call the same, and the keys of config.json.
_NAMES = {
    "distilbert": {
        "encoder.layer": "transformer.layer",
        "attention.self.query": "attention.q_lin",
        "attention.self.key": "attention.k_lin",
        "attention.self.value": "attention.v_lin",
        "attention.output.dense": "attention.out_lin",
        "attention.output.LayerNorm": "sa_layer_norm",
        "intermediate.dense": "ffn.lin1",
        "output.dense": "ffn.lin2",
        "output.LayerNorm": "output_layer_norm",
    },
    "mpnet": {
        "attention.self.query": "attention.attn.q",
        "attention.self.key": "attention.attn.k",
        "attention.self.value": "attention.attn.v",
        "attention.output.dense": "attention.attn.o",
        "attention.output.LayerNorm": "attention.LayerNorm",
    },
}
_KEYS = {
    "hidden_act": "activation",
    "hidden_size": "dim",
    "intermediate_size": "hidden_dim",
    "num_hidden_layers": "n_layers",
    "num_attention_heads": "n_heads",
}
_DISTANCES = 32
_ONCE = ("the", "ships", "moor", "at", "harbour", "deep", "how", "is", "query", "passage", "passages")


def write_model(
    folder: Path,
    *,
    kind: str = "bert",
    pooling: str = "mean",
    prompts: Mapping[str, str] | None = None,
    prefix: str = "",
    dtype: type[np.floating[Any]] = np.float32,
    seed: int = 1,
    max_tokens: int = MAX_TOKENS,
    lower: bool = False,
    words: Sequence[str] = (),
) -> Path:
    """The folder. kind: of config.json. seed: models of another one make other vectors. max_tokens: that it
    reads. words: that it knows beside the few that all know.
    """
    first = 0 if kind in ("bert", "distilbert") else 2
    vocabulary = _vocabulary(words)
    positions = max(MAX_TOKENS, max_tokens) + first
    config = {
        "model_type": kind,
        "hidden_act": "gelu",
        "hidden_size": WIDTH,
        "intermediate_size": INNER,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "layer_norm_eps": 1e-12,
        "max_position_embeddings": positions,
        "pad_token_id": 1,
        "type_vocab_size": 1,
        "vocab_size": len(vocabulary),
    }
    if kind == "distilbert":
        config = {_KEYS.get(key, key): value for key, value in config.items()}
    (folder / "1_Pooling").mkdir(parents=True)
    write_json(folder / "config.json", config)
    write_json(
        folder / "modules.json",
        [
            {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
            {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
            {"idx": 2, "name": "2", "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"},
        ],
    )
    write_json(
        folder / "1_Pooling" / "config.json",
        {
            "word_embedding_dimension": WIDTH,
            "pooling_mode_cls_token": pooling == "cls",
            "pooling_mode_mean_tokens": pooling == "mean",
            "pooling_mode_max_tokens": pooling == "max",
        },
    )
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": max_tokens, "do_lower_case": lower})
    write_json(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_max_length": max(MAX_TOKENS, max_tokens),
            "pad_token": "[PAD]",
            "unk_token": "[UNK]",
            "cls_token": "[CLS]",
            "sep_token": "[SEP]",
        },
    )
    if prompts is not None:
        write_json(folder / "config_sentence_transformers.json", {"prompts": dict(prompts)})
    _tokenizer(vocabulary, lower=not lower).save(str(folder / "tokenizer.json"))
    tensors = _tensors(kind, len(vocabulary), positions, seed)
    save_file(
        {prefix + name: one.astype(dtype) for name, one in tensors.items()}, folder / "model.safetensors"
    )
    return folder


def write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value))


def _vocabulary(more: Sequence[str]) -> dict[str, int]:
    letters = string.ascii_lowercase + string.digits + string.punctuation
    words = [*_MARKERS, *letters, *(f"##{one}" for one in letters), *_ONCE, *more]
    return {word: number for number, word in enumerate(words)}


def _tokenizer(vocabulary: dict[str, int], *, lower: bool) -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lower)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        special_tokens=[(marker, vocabulary[marker]) for marker in ("[CLS]", "[SEP]")],
    )
    return tokenizer


def _tensors(kind: str, words: int, positions: int, seed: int) -> dict[str, NDArray[np.float64]]:
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (words, WIDTH),
        "embeddings.position_embeddings.weight": (positions, WIDTH),
        "embeddings.token_type_embeddings.weight": (1, WIDTH),
        **_norm("embeddings.LayerNorm"),
    }
    for layer in range(LAYERS):
        at = f"encoder.layer.{layer}"
        for part in ("query", "key", "value"):
            shapes |= _dense(f"{at}.attention.self.{part}", WIDTH, WIDTH)
        shapes |= _dense(f"{at}.attention.output.dense", WIDTH, WIDTH)
        shapes |= _norm(f"{at}.attention.output.LayerNorm")
        shapes |= _dense(f"{at}.intermediate.dense", INNER, WIDTH)
        shapes |= _dense(f"{at}.output.dense", WIDTH, INNER)
        shapes |= _norm(f"{at}.output.LayerNorm")
    if kind in _NAMES:
        del shapes["embeddings.token_type_embeddings.weight"]
    if kind == "mpnet":
        shapes["encoder.relative_attention_bias.weight"] = (_DISTANCES, HEADS)
    return {
        _named(kind, name): _numbers(
            shape, seed * 1_000 + number, 1.0 if name.endswith("LayerNorm.weight") else 0.0
        )
        for number, (name, shape) in enumerate(shapes.items())
    }


def _named(kind: str, name: str) -> str:
    for ours, theirs in _NAMES.get(kind, {}).items():
        name = name.replace(f"{ours}.", f"{theirs}.")
    return name


def _dense(name: str, rows: int, columns: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (rows, columns), f"{name}.bias": (rows,)}


def _norm(name: str) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (WIDTH,), f"{name}.bias": (WIDTH,)}


def _numbers(shape: tuple[int, ...], seed: int, middle: float) -> NDArray[np.float64]:
    """Without a generator, whose numbers another version may change: sines of multiples of an odd angle."""
    count = int(np.prod(shape))
    wave = np.sin((np.arange(count, dtype=np.float64) + 1) * (12.9898 + 0.37 * (seed % 997)))
    return (middle + 0.35 * wave).reshape(shape)
