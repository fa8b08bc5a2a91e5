"""The real engine, the real images, one system for all tests of this folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.containers import System, engine_answers
from tests.support.model_folder import write_model

PROJECT = "meld-rag-test"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    mine = [item for item in items if here in item.path.parents]
    if not mine:
        return
    missing = not engine_answers()
    if missing and os.environ.get("MELD_REQUIRE_ENGINE"):
        raise pytest.UsageError("MELD_REQUIRE_ENGINE is set and no container engine with Compose v2 answers")
    for item in mine:
        item.add_marker(pytest.mark.containers)
        item.add_marker(pytest.mark.timeout(1800))
        if missing:
            item.add_marker(pytest.mark.skip(reason="no container engine with Compose v2 answers"))


@pytest.fixture(scope="package")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A production system, built and started from a copy of the repository as its README says."""
    system = System(tmp_path_factory.mktemp("clone"), PROJECT)
    system.remove()
    system.clone()
    try:
        system.manage("build", "production", seconds=1700)
        models = system.state / "embedding-models"
        write_model(models / "ours")
        # As docs/operations.md says: safetensors are written for their owner alone.
        system.run("chmod", "-R", "a+rX", str(models))
        said = system.manage("start", "production").stdout
        assert "docker-manage.sh owner" in said
        system.become_owner()
        yield system
    finally:
        # What the services said is the first thing that somebody who reads a failure wants.
        if (artifacts := os.environ.get("MELD_TEST_ARTIFACTS")) and Path(artifacts).is_dir():
            said = system.manage("logs", check=False).stdout
            (Path(artifacts) / "containers.log").write_text(said)
        system.remove()


@pytest.fixture
def running(system: System) -> System:
    """The system, ready; a test before may have stopped it."""
    try:
        system.wait_ready(2)
    except AssertionError:
        system.manage("start", "production")
        system.wait_ready(60)
    return system
