"""Graphs of local models, built from their weights once and kept.

A graph is a directory that appears under its final name in one step:

    models/minilm-l6-v2-graph2-53aa51172d14/
        model.onnx      the operators
        quantized.onnx  the same with matrices of eight bits, where the model has such a copy
        weights.bin     the numbers of both, mapped into memory by onnxruntime
        manifest.json   size and CRC-32 of each: against accidents, looked at on every start
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import shutil
import tempfile
import zlib
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from safetensors import SafetensorError

from services.vector.embedding.architecture import Architecture
from services.vector.embedding.ports import EmbedderUnavailableError

# To be raised by one with every change of what bert_graph writes; where the vectors of passages change, the
# next as well.
GRAPH_VERSION = 3
VECTORS_VERSION = 1

MODEL, QUANTIZED = "model.onnx", "quantized.onnx"
_WEIGHTS, _MANIFEST = "weights.bin", "manifest.json"
_UNFINISHED = ".building-"
_KEY_CHARACTERS = 12
_FINISHED = re.compile(rf"(?P<label>.+)-graph\d+-[0-9a-f]{{{_KEY_CHARACTERS}}}")
# As tempfile.mkdtemp names them.
_BEING_BUILT = re.compile(rf"{re.escape(_UNFINISHED)}(?P<label>.+)-[a-z0-9_]{{8}}")
_BLOCK = 1 << 20

_log = logging.getLogger(__name__)


class ModelFilesError(EmbedderUnavailableError):
    """The model's files are missing, are not what they should be, or cannot be written."""


@dataclass(frozen=True)
class GraphSource:
    """What a graph is built from.

    label: begins the name of its directory. key: hexadecimal, names everything that the graph is made of.
    check: raises ModelFilesError unless the weights are those that the key means. quantized: whether there is
    to be a copy with matrices of eight bits.
    """

    label: str
    key: str
    weights: Path
    check: Callable[[], None]
    architecture: Architecture
    quantized: bool = False

    @property
    def directory(self) -> str:
        """The name of the finished graph."""
        return f"{self.label}-graph{GRAPH_VERSION}-{self.key[:_KEY_CHARACTERS]}"

    @property
    def models(self) -> list[str]:
        """The files with operators."""
        return [MODEL, QUANTIZED] if self.quantized else [MODEL]


def ensure_graph(models: Path, source: GraphSource) -> Path:
    """The directory of the graph below `models`, built first when it is not there whole.

    What an interrupted build or an older graph of the same label left there is removed. Raises
    ModelFilesError.
    """
    home = models / source.directory
    if _is_whole(home, source):
        return home
    source.check()
    try:
        models.mkdir(parents=True, exist_ok=True)
        _remove(models, source.label)
        _build(home, source)
    except (OSError, SafetensorError) as error:
        raise ModelFilesError(f"the graph of {source.label} cannot be built: {error}") from error
    _log.info("embedding graph built", extra={"fields": {"graph": home.name}})
    return home


def file_sha256(path: Path) -> str:
    """Of a model's file, in hexadecimal. Raises ModelFilesError."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ModelFilesError(f"{path.name} of the embedding model cannot be read: {error}") from error


def _is_whole(home: Path, source: GraphSource) -> bool:
    try:
        files = json.loads((home / _MANIFEST).read_bytes())["files"]
        return set(files) == {*source.models, _WEIGHTS} and all(
            (home / name).stat().st_size == entry["bytes"] and _crc32(home / name) == entry["crc32"]
            for name, entry in files.items()
        )
    except FileNotFoundError:
        return False
    except (OSError, ValueError, KeyError, TypeError) as error:
        _log.warning("embedding graph unreadable, to be built again", extra={"fields": {"error": str(error)}})
        return False


def forget_graphs(models: Path, prefix: str, labels: Collection[str]) -> None:
    """Removes the graphs whose label begins with `prefix` and is none of `labels`."""
    try:
        entries = _entries(models)
    except OSError:
        return  # told by whoever has to read or write there
    for entry in entries:
        found = _FINISHED.fullmatch(entry.name) or _BEING_BUILT.fullmatch(entry.name)
        if found and found["label"].startswith(prefix) and found["label"] not in labels:
            shutil.rmtree(entry, ignore_errors=True)
            _log.info("embedding graph removed: its model is gone", extra={"fields": {"graph": entry.name}})


def _entries(models: Path) -> list[Path]:
    return list(models.iterdir()) if models.is_dir() else []


def _remove(models: Path, label: str) -> None:
    """Removes every graph of a model: this runs only when none of them is the wanted one, whole."""
    for entry in _entries(models):
        found = _FINISHED.fullmatch(entry.name) or _BEING_BUILT.fullmatch(entry.name)
        if found and found["label"] == label:
            shutil.rmtree(entry)


def _build(home: Path, source: GraphSource) -> None:
    unfinished = Path(tempfile.mkdtemp(prefix=f"{_UNFINISHED}{source.label}-", dir=home.parent))
    try:
        _write_graph(unfinished, source)
        files = {
            name: {"bytes": (unfinished / name).stat().st_size, "crc32": _crc32(unfinished / name)}
            for name in (*source.models, _WEIGHTS)
        }
        with _durable(unfinished / _MANIFEST) as file:
            file.write(json.dumps({"graph_version": GRAPH_VERSION, "files": files}, indent=1).encode())
        _sync_directory(unfinished)
        unfinished.rename(home)
        _sync_directory(home.parent)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _write_graph(folder: Path, source: GraphSource) -> None:
    # Imported here because onnx costs every later start 0.3 s and 14 MB, and is needed once.
    from services.vector.embedding import bert_graph  # noqa: PLC0415

    with _durable(folder / _WEIGHTS) as numbers:
        models = bert_graph.write(
            source.weights,
            numbers,
            location=_WEIGHTS,
            architecture=source.architecture,
            quantized=source.quantized,
        )
    for name, model in zip(source.models, models, strict=True):
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


def _crc32(path: Path) -> int:
    total = 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            total = zlib.crc32(block, total)
    return total
