"""LangChain and LlamaIndex as they are, in their own environment, ask the running house."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.launched import ROOT, House

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

FOREIGN = Path(sys.prefix) / "foreign" / "bin" / "python"
COLLECTION = "foreign"
DEEP = "The harbour of Elmsund is fourteen metres deep."


@pytest.fixture(scope="module")
def house_with_documents(house: House) -> House:
    api = f"{house.base_url}/api/v1"
    httpx.post(f"{api}/collections", json={"name": COLLECTION}, timeout=30).raise_for_status()
    text = f"# Elmsund\n\n{DEEP} Its light has burned since 1871.\n"
    httpx.post(
        f"{api}/collections/{COLLECTION}/documents", files={"file": ("harbour.md", text)}, timeout=60
    ).raise_for_status()
    return house


def told(program: str, house: House, home: Path) -> dict[str, Any]:
    """What a program of tests/foreign prints. Its home is empty, and no setting of ours is in it."""
    done = subprocess.run(
        [FOREIGN, ROOT / "tests" / "foreign" / program, f"{house.base_url}/v1", COLLECTION],
        cwd=home,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "LANGSMITH_TRACING": "false",
            "LANGCHAIN_TRACING_V2": "false",
            "DO_NOT_TRACK": "1",
        },
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert said["strayed"] == []
    return said


def likeness(one: list[float], other: list[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True)) / math.hypot(*one) / math.hypot(*other)


def check_embeddings(said: dict[str, Any]) -> None:
    near, far = (likeness(said["query"], vector) for vector in said["documents"])
    assert near > far + 0.2


def test_langchain(house_with_documents: House, tmp_path: Path) -> None:
    said = told("langchain_program.py", house_with_documents, tmp_path)
    assert said["answer"].startswith(f"{DEEP} [1]")
    assert f"[1] Elmsund, line 3: “{DEEP}”" in said["answer"]
    assert (said["finish"], said["usage"]) == ("stop", 0)
    # A question that leans on the one before.
    assert DEEP in said["followed"]
    assert said["streamed"] == said["chained"] == said["answer"]
    assert said["pieces"] > 1
    assert "unsupported_parameter" in said["refused"]
    assert "meld-research asks for none of the caller" in said["refused"]
    check_embeddings(said)


def test_llama_index(house_with_documents: House, tmp_path: Path) -> None:
    said = told("llama_index_program.py", house_with_documents, tmp_path)
    assert said["answer"] == f"{DEEP} [1]"
    assert said["sources"] == [DEEP]
    assert said["completed"] == said["streamed"] == said["answer"]
    check_embeddings(said)
