"""Models of the owner's choice: folders as sentence-transformers saves them.

    all-my-models/
        bge-small-en-v1.5/                  the model's name
            modules.json                    what follows what
            config.json                     the transformer's shape
            model.safetensors               its numbers
            tokenizer.json                  its words
            sentence_bert_config.json       how much it reads
            1_Pooling/config.json           how tokens become one vector
            config_sentence_transformers.json   its prompts

Read are files of these formats alone: no pickle, and no code that comes with a model. What is said of a model
here that is not kept (another activation, a further layer) would be vectors that mean something else, so all
that is not known is refused.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import logging
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from tokenizers import Tokenizer, normalizers

from services.vector.embedding import kept_graphs
from services.vector.embedding.architecture import Architecture, Kind, Pooling
from services.vector.embedding.kept_graphs import GraphSource, ModelFilesError
from services.vector.embedding.local import LocalModel

GRAPH_PREFIX = "folder-"

_MODULES, _WEIGHTS, _TOKENIZER = "modules.json", "model.safetensors", "tokenizer.json"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_WORDS = "embeddings.word_embeddings.weight"
_POSITIONS = "embeddings.position_embeddings.weight"
_INNER = "encoder.layer.0.intermediate.dense.weight"
_SEGMENTS = "embeddings.token_type_embeddings.weight"
_LAYER = "encoder.layer.{}.output.dense.weight"
_DISTANCES, _ROWS_OF_DISTANCES = "encoder.relative_attention_bias.weight", 32
_PACKAGE = "sentence_transformers."
_KINDS = {
    "bert": Kind.BERT,
    "roberta": Kind.BERT,
    "xlm-roberta": Kind.BERT,
    "camembert": Kind.BERT,
    "distilbert": Kind.DISTILBERT,
    "mpnet": Kind.MPNET,
}
_ROBERTA = ("roberta", "xlm-roberta", "camembert")
# What DistilBERT's config.json calls it.
_OTHERWISE = {
    "hidden_size": "dim",
    "num_attention_heads": "n_heads",
    "num_hidden_layers": "n_layers",
    "hidden_act": "activation",
}
_EPSILON = 1e-12
_FLOATS = ("F32", "F16", "BF16", "F64")

_MOST_BYTES = 1 << 20
_MOST_DIMENSION = 8192
_FEWEST_TOKENS = 32
# Attention is square: of a text so long it takes 270 MB with sixteen heads.
_MOST_TOKENS = 2048
_MOST_PROMPT_CHARACTERS = 2_000
# What stands before a passage: the first of these that says something. sentence-transformers adds an empty
# one for documents by itself, and so never comes to the others.
_PASSAGE_PROMPTS = ("document", "passage", "corpus")

_log = logging.getLogger(__name__)

Json = dict[str, Any]


@dataclass(frozen=True)
class _Words:
    """Its tokenizer. sha256: of the file. rows: how many words have a vector. lower: whether texts are made
    lower case before.
    """

    path: Path
    sha256: str
    rows: int
    lower: bool

    def load(self) -> Tokenizer:
        """Raises ModelFilesError."""
        _check_unchanged(self.path, self.sha256)
        try:
            tokenizer = Tokenizer.from_file(str(self.path))
        except Exception as error:  # the library raises no other
            raise ModelFilesError(
                f"{self.path.name} of the embedding model cannot be read: {error}"
            ) from error
        if (words := 1 + max(tokenizer.get_vocab().values(), default=0)) > self.rows:
            raise ModelFilesError(f"{self.path.name} has {words} words, and {_WEIGHTS} has {self.rows}")
        if self.lower:
            others = [] if tokenizer.normalizer is None else [tokenizer.normalizer]
            tokenizer.normalizer = normalizers.Sequence([normalizers.Lowercase(), *others])
        return tokenizer


@dataclass(frozen=True)
class _Found:
    """The files of a model, and what they say."""

    weights: Path
    words: _Words
    architecture: Architecture
    max_tokens: int
    question_prompt: str
    passage_prompt: str


def names(parent: Path) -> list[str]:
    """Of the models in a directory, in alphabetical order; none where there is no such directory."""
    try:
        return sorted(one.name for one in parent.iterdir() if _NAME.fullmatch(one.name) and _has_model(one))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise ModelFilesError(f"{parent} cannot be read: {error}") from error


def _has_model(folder: Path) -> bool:
    """Whether it does, or cannot be looked into, which is told when it is read."""
    try:
        return (folder / _MODULES).is_file()
    except OSError:
        return True


def read(folder: Path) -> LocalModel:
    """The model in a folder. Reads all of its weights, for their hash. Raises ModelFilesError, with why.

    Its revision names everything that makes the vector of a passage: another file with the same name is
    another model.
    """
    try:
        found = _Reading(folder).model()
    except OSError as error:
        raise ModelFilesError(f"the embedding model in {folder.name} cannot be read: {error}") from error
    name = folder.name
    weights_sha256 = kept_graphs.file_sha256(found.weights)
    graph = _sha256({"weights": weights_sha256, "architecture": found.architecture.told()})
    told = {
        "graph": graph,
        "tokenizer": found.words.sha256,
        "lower": found.words.lower,
        "max_tokens": found.max_tokens,
        "prompt": found.passage_prompt,
    }

    source = GraphSource(
        label=f"{GRAPH_PREFIX}{name}",
        key=graph,
        weights=found.weights,
        check=lambda: _check_unchanged(found.weights, weights_sha256),
        architecture=found.architecture,
    )
    return LocalModel(
        name=name,
        dimension=found.architecture.width,
        revision=f"{weights_sha256[:12]}-{_sha256(told)[:12]}-{kept_graphs.VECTORS_VERSION}",
        max_tokens=found.max_tokens,
        tokenizer=found.words.load,
        graph=lambda models: kept_graphs.ensure_graph(models, source),
        question_prompt=found.question_prompt,
        passage_prompt=found.passage_prompt,
    )


def _check_unchanged(path: Path, sha256: str) -> None:
    if kept_graphs.file_sha256(path) != sha256:
        raise ModelFilesError(f"{path.name} of {path.parent.name} has changed since the start: start again")


class _Reading:
    """One folder, and what of it is told when it cannot be used."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def model(self) -> _Found:
        home, pooling = self._modules()
        config = self._config(home)
        most, question, passage = self._limits(home, config)
        weights, tokenizer = self._file(home / _WEIGHTS), self._file(home / _TOKENIZER)
        architecture, rows = self._architecture(config, pooling, weights)
        words = _Words(
            tokenizer,
            kept_graphs.file_sha256(tokenizer),
            rows,
            lower=self._sentences(home).get("do_lower_case") is True,
        )
        return _Found(weights, words, architecture, most, question, passage)

    def _config(self, home: Path) -> Json:
        """Of a kind that is served."""
        config: Json = self._json(home / "config.json")
        kind = config.get("model_type")
        if not isinstance(kind, str) or kind not in _KINDS:
            raise self._error("config.json", f"is of a {kind}; served are {', '.join(_KINDS)}")
        return config

    def _modules(self) -> tuple[Path, Pooling]:
        """Where the transformer is, and what follows it."""
        kinds: list[str] = []
        places: dict[str, Path] = {}
        listed = self._json(self._folder / _MODULES, list)
        for module in listed:
            if not isinstance(module, dict):
                raise self._error(_MODULES, "is no list of modules")
            # A class of another package may do anything by the same name.
            kind = str(module.get("type", ""))
            if kind.startswith(_PACKAGE):
                kind = kind.rpartition(".")[2]
            path = str(module.get("path", ""))
            if not re.fullmatch(r"[\w-]*", path):
                raise self._error(_MODULES, f'names the path "{path}", which is no folder beside it')
            kinds.append(kind)
            places[kind] = self._folder / path
        if kinds[:2] != ["Transformer", "Pooling"] or kinds[2:] not in ([], ["Normalize"]):
            raise self._error(
                _MODULES,
                f"lists {', '.join(kinds) or 'nothing'}; served are Transformer and Pooling, with or without"
                " Normalize after them",
            )
        similarity = self._told.get("similarity_fn_name")
        if similarity not in (None, "cosine", *(["dot"] if "Normalize" in kinds else [])):
            raise self._error(
                "config_sentence_transformers.json",
                f"compares by {similarity}; served are models that compare by cosine",
            )
        return places["Transformer"], self._pooling(places["Pooling"] / "config.json")

    def _pooling(self, path: Path) -> Pooling:
        config = self._json(path)
        mode = config.get("pooling_mode")
        modes = [str(one) for one in (mode if isinstance(mode, list) else [mode]) if one is not None]
        prefix, suffix = "pooling_mode_", "_tokens"
        modes += [
            key.removeprefix(prefix).removesuffix(suffix).removesuffix("_token")
            for key, value in config.items()
            if key.startswith(prefix) and value is True
        ]
        if config.get("include_prompt", True) is not True:
            raise self._error(path.name, "leaves prompts out of the mean, which is not served")
        known = {"mean": Pooling.MEAN, "cls": Pooling.FIRST}
        if len(modes) != 1 or modes[0] not in known:
            raise self._error(
                f"{path.parent.name}/{path.name}",
                f"pools by {', '.join(map(str, modes)) or 'nothing'}; served are mean and cls",
            )
        return known[modes[0]]

    def _architecture(self, config: Json, pooling: Pooling, weights: Path) -> tuple[Architecture, int]:
        """And how many words have a vector."""
        for name, served in (("hidden_act", "gelu"), ("position_embedding_type", "absolute")):
            key = _key(config, name)
            if config.get(key, served) != served:
                raise self._error("config.json", f"has {key} {config[key]}; served is {served}")
        width, heads = self._count(config, "hidden_size"), self._count(config, "num_attention_heads")
        layers = self._count(config, "num_hidden_layers")
        kind = _KINDS[config["model_type"]]
        # DistilBERT's is in no file.
        epsilon = _EPSILON if kind is Kind.DISTILBERT else config.get("layer_norm_eps", _EPSILON)
        if width > _MOST_DIMENSION or width % heads or not isinstance(epsilon, float) or not 0 < epsilon < 1:
            raise self._error("config.json", "has a shape that is none of a BERT")
        architecture = Architecture(
            name=self._folder.name,
            width=width,
            layers=layers,
            heads=heads,
            epsilon=epsilon,
            pooling=pooling,
            first_position=self._first_position(config),
            kind=kind,
        )
        return self._within(weights, architecture, config.get("max_position_embeddings"))

    def _within(
        self, weights: Path, architecture: Architecture, told_positions: object
    ) -> tuple[Architecture, int]:
        """With what stands before the names of all tensors, and the rows of the table of words.

        Sees whether the numbers are those of config.json.
        """
        # What may not be read safe_open calls missing.
        weights.open("rb").close()
        try:
            with safe_open(weights, "numpy") as file:
                found = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 - no dict
                shapes = {name: tuple(one.get_shape()) for name, one in found.items()}
                types = {name: one.get_dtype() for name, one in found.items()}
        except (SafetensorError, ValueError) as error:
            raise self._error(_WEIGHTS, f"cannot be read: {error}") from error
        tables = [name for name in shapes if name.endswith(_WORDS)]
        if len(tables) != 1:
            raise self._error(_WEIGHTS, "holds no BERT, or several")
        architecture = replace(architecture, prefix=tables[0].removesuffix(_WORDS))
        rows, width = (*shapes[tables[0]], 0, 0)[:2]

        def height(name: str) -> int:
            return int((*shapes.get(architecture.tensor(name), ()), 0)[0])

        layers = next(n for n in itertools.count() if not height(_LAYER.format(n)))
        positions = height(_POSITIONS)
        told = (architecture.width, architecture.layers, told_positions)
        if (width, layers, positions) != told:
            raise self._error(
                _WEIGHTS,
                f"has {(width, layers, positions)} (width, layers, positions), config.json has {told}",
            )
        inner, segments = max(1, height(_INNER)), max(1, height(_SEGMENTS))
        expected = _tensors(architecture, inner, words=rows, positions=positions, segments=segments)
        for name, shape in expected.items():
            one = architecture.tensor(name)
            if shapes.get(one) != shape or types[one] not in _FLOATS:
                said = f"{shapes[one]} of type {types[one]}" if one in shapes else "missing"
                raise self._error(_WEIGHTS, f"has {one} {said}; served is {shape} of {', '.join(_FLOATS)}")
        return architecture, rows

    def _first_position(self, config: Json) -> int:
        """RoBERTa and MPNet count positions from the one after that of padding, which MPNet does not tell."""
        if config["model_type"] == "mpnet":
            return 2
        return self._count(config, "pad_token_id", 0) + 1 if config["model_type"] in _ROBERTA else 0

    def _limits(self, home: Path, config: Json) -> tuple[int, str, str]:
        """How many tokens it reads, and its prompts for a question and a passage."""
        given = self._sentences(home).get("max_seq_length")
        if given is None:
            given = self._json(home / "tokenizer_config.json", default={}).get("model_max_length")
        positions = self._count(config, "max_position_embeddings") - self._first_position(config)
        given = positions if given is None else given
        if not isinstance(given, int | float) or not min(positions, given) >= _FEWEST_TOKENS:
            raise self._error("config.json", f"reads {given} tokens, fewer than {_FEWEST_TOKENS}")
        return int(min(positions, given, _MOST_TOKENS)), *self._prompts()

    def _prompts(self) -> tuple[str, str]:
        prompts = self._told.get("prompts") or {}
        if not isinstance(prompts, dict) or not all(map(_is_prompt, prompts.values())):
            raise self._error(
                "config_sentence_transformers.json",
                f"has prompts that are no texts of at most {_MOST_PROMPT_CHARACTERS} characters",
            )
        otherwise: str = prompts.get(str(self._told.get("default_prompt_name")), "")
        question: str = prompts.get("query", otherwise)
        named = [prompts[key] for key in _PASSAGE_PROMPTS if key in prompts]
        passage: str = next(filter(None, named), "") if named else otherwise
        return question, passage

    def _sentences(self, home: Path) -> Json:
        told: Json = self._json(home / "sentence_bert_config.json", default={})
        return told

    @property
    def _told(self) -> Json:
        told: Json = self._json(self._folder / "config_sentence_transformers.json", default={})
        return told

    def _count(self, config: Json, key: str, least: int = 1) -> int:
        key = _key(config, key)
        value = config.get(key)
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value < 1_000_000:
            raise self._error("config.json", f"says nothing that can be used of {key}: {value}")
        return value

    def _json(self, path: Path, kind: type = dict, *, default: object = None) -> Any:
        if default is not None and not path.exists() and not path.is_symlink():
            return default
        try:
            with self._file(path).open("rb") as file:
                content = file.read(_MOST_BYTES + 1)
            if len(content) > _MOST_BYTES:
                raise self._error(path.name, f"has more than {_MOST_BYTES:,} bytes")
            value = json.loads(content)
        except (OSError, ValueError, RecursionError) as error:
            raise self._error(path.name, f"cannot be read: {error}") from error
        if not isinstance(value, kind):
            raise self._error(path.name, f"is no {'object' if kind is dict else 'list'}")
        return value

    def _file(self, path: Path) -> Path:
        if not path.is_file():
            hint = "; a model.onnx or pytorch_model.bin is not read" if path.name == _WEIGHTS else ""
            raise self._error(path.name, f"is missing, or no file{hint}")
        return path

    def _error(self, file: str, why: str) -> ModelFilesError:
        return ModelFilesError(f"the embedding model in {self._folder.name} cannot be served: {file} {why}")


def _key(config: Json, key: str) -> str:
    """What config.json calls a number of a BERT."""
    return _OTHERWISE.get(key, key) if config["model_type"] == "distilbert" else key


def _is_prompt(value: object) -> bool:
    # What has no bytes is half of a character.
    return (
        isinstance(value, str)
        and len(value.encode("utf-8", "ignore")) == len(value.encode("utf-8", "surrogatepass"))
        and len(value) <= _MOST_PROMPT_CHARACTERS
    )


def _sha256(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _tensors(
    of: Architecture, inner: int, *, words: int, positions: int, segments: int
) -> dict[str, tuple[int, ...]]:
    """Shapes of all that a graph is built from, by what BERT calls them."""
    width = of.width

    def dense(name: str, rows: int, columns: int) -> dict[str, tuple[int, ...]]:
        return {f"{name}.weight": (rows, columns), f"{name}.bias": (rows,)}

    def norm(name: str) -> dict[str, tuple[int, ...]]:
        return {f"{name}.weight": (width,), f"{name}.bias": (width,)}

    shapes: dict[str, tuple[int, ...]] = {
        _WORDS: (words, width),
        _POSITIONS: (positions, width),
        **norm("embeddings.LayerNorm"),
    }
    if of.kind is Kind.BERT:
        shapes[_SEGMENTS] = (segments, width)
    if of.kind is Kind.MPNET:
        shapes[_DISTANCES] = (_ROWS_OF_DISTANCES, of.heads)
    for layer in range(of.layers):
        at = f"encoder.layer.{layer}"
        for part in ("query", "key", "value"):
            shapes |= dense(f"{at}.attention.self.{part}", width, width)
        shapes |= dense(f"{at}.attention.output.dense", width, width)
        shapes |= norm(f"{at}.attention.output.LayerNorm")
        shapes |= dense(f"{at}.intermediate.dense", inner, width)
        shapes |= dense(f"{at}.output.dense", width, inner)
        shapes |= norm(f"{at}.output.LayerNorm")
    return shapes
