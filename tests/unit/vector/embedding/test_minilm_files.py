from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from services.vector.embedding.kept_graphs import ModelFilesError
from services.vector.embedding.minilm import MiniLmEmbedder
from services.vector.embedding.minilm_files import REVISION, ensure_graph, installed_files

WEIGHTS = installed_files().weights


def test_passages_that_were_embedded_stay_of_the_present_revision() -> None:
    """Another revision than this asks every house to embed all its passages again."""
    assert REVISION == "53aa51172d14-be50c3628f2b-1"


def flip_a_byte(path: Path, at: int) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)
        file.seek(at)
        file.write(bytes([byte[0] ^ 1]))


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A graph to be copied: building takes a second."""
    return ensure_graph(tmp_path_factory.mktemp("built"), WEIGHTS)


@pytest.fixture
def models(tmp_path: Path, built: Path) -> Path:
    shutil.copytree(built, tmp_path / built.name)
    return tmp_path


def digest(graph: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in graph.iterdir()}


def test_a_whole_graph_is_used_as_it_is(models: Path, built: Path, tmp_path: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in (models / built.name).iterdir()}

    # Nothing is asked of the weights: they may be gone.
    home = ensure_graph(models, tmp_path / "no-such-file")

    assert home == models / built.name
    assert {path: path.stat().st_mtime_ns for path in home.iterdir()} == before


@pytest.mark.parametrize(
    "damage",
    [
        lambda graph: flip_a_byte(graph / "weights.bin", 50_000_000),
        lambda graph: cut(graph / "weights.bin"),
        lambda graph: flip_a_byte(graph / "model.onnx", 100),
        lambda graph: flip_a_byte(graph / "quantized.onnx", 100),
        lambda graph: (graph / "manifest.json").unlink(),
        lambda graph: (graph / "manifest.json").write_text("[]"),
    ],
    ids=[
        "weights changed",
        "weights cut",
        "operators changed",
        "quantized operators changed",
        "no manifest",
        "another manifest",
    ],
)
def test_a_damaged_graph_is_built_again(models: Path, built: Path, damage: Callable[[Path], object]) -> None:
    damage(models / built.name)

    ensure_graph(models, WEIGHTS)

    assert digest(models / built.name) == digest(built)


def test_older_graphs_and_unfinished_builds_are_removed(tmp_path: Path) -> None:
    (tmp_path / "minilm-l6-v2-graph1-53aa51172d14").mkdir()
    (tmp_path / ".building-minilm-l6-v2-abc_defg").mkdir()
    (tmp_path / ".building-minilm-l6-v2-abc_defg" / "weights.bin").write_bytes(b"half")
    (tmp_path / "somebody-elses-model").mkdir()

    graph = ensure_graph(tmp_path, WEIGHTS)

    assert sorted(path.name for path in tmp_path.iterdir()) == [graph.name, "somebody-elses-model"]


def test_a_build_that_is_killed_leaves_no_graph_and_the_next_one_works(tmp_path: Path, built: Path) -> None:
    models = tmp_path / "models"
    build = (
        "import sys, pathlib; from services.vector.embedding import minilm_files as m;"
        "m.ensure_graph(pathlib.Path(sys.argv[1]), m.installed_files().weights)"
    )
    process = subprocess.Popen([sys.executable, "-c", build, str(models)])
    limit = time.monotonic() + 30
    while not any(p.stat().st_size > 1_000_000 for p in models.glob(".building-minilm-l6-v2-*/weights.bin")):
        assert process.poll() is None, "the build ended before it could be killed"
        assert time.monotonic() < limit
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (models / built.name).exists()

    embedder = MiniLmEmbedder(models)
    vector = embedder.embed_queries(["alive"], deadline=time.monotonic() + 60)
    embedder.close()

    assert np.isfinite(vector).all()
    assert [path.name for path in models.iterdir()] == [built.name]


@pytest.mark.parametrize("damage", [lambda path: flip_a_byte(path, 60_000_000), cut], ids=["changed", "cut"])
def test_damaged_weights_are_refused(tmp_path: Path, damage: Callable[[Path], object]) -> None:
    weights = tmp_path / "model.safetensors"
    shutil.copy(WEIGHTS, weights)
    damage(weights)

    with pytest.raises(ModelFilesError, match=r"model\.safetensors.*damaged.*53aa5117"):
        ensure_graph(tmp_path / "models", weights)

    assert not (tmp_path / "models").exists()


def test_missing_weights_are_named(tmp_path: Path) -> None:
    with pytest.raises(ModelFilesError, match=r"model\.safetensors.*cannot be read"):
        ensure_graph(tmp_path / "models", tmp_path / "model.safetensors")


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "models").write_text("a file, not a directory")
    with pytest.raises(ModelFilesError, match="cannot be built"):
        ensure_graph(tmp_path / "models", WEIGHTS)
