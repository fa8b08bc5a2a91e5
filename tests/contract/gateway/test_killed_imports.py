"""kill -9 of the knowledge service while thousands of lines go in: one request, and every line once.

The real service as a process, with a foretold model, behind the real gateway. The kills come after numbers of
answers that are drawn with a fixed seed. In the end the collection holds what an undisturbed import of the
same lines makes.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.gateway.clients import Addresses
from tests.contract.gateway.conftest import ROOT, Gateway, running_gateway
from tests.support.redis_server import free_port

SEED = 20261126


@dataclass
class Knowledge:
    """A vector service under the hand of the test; it keeps port and data over its deaths."""

    folder: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def addresses(self) -> Addresses:
        nobody = f"127.0.0.1:{free_port()}"
        return Addresses(agents=nobody, session=nobody, vector=f"127.0.0.1:{self.port}")

    def start(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.contract.vector.word_service"],
            cwd=ROOT,
            env={
                **os.environ,
                "MELD_DATA_DIR": str(self.folder),
                "MELD_VECTOR_ADDRESS": f"127.0.0.1:{self.port}",
                # Chroma flushes all the time, so kills land inside its flush too.
                "MELD_INDEX_SYNC_THRESHOLD": "100",
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()


@pytest.fixture
def knowledge(tmp_path: Path) -> Iterator[Knowledge]:
    service = Knowledge(tmp_path)
    service.start()
    try:
        yield service
    finally:
        service.kill()


@pytest.fixture
def gateway(knowledge: Knowledge, tmp_path: Path) -> Iterator[Gateway]:
    with running_gateway(knowledge, tmp_path) as gateway:
        yield gateway


def line(number: int) -> bytes:
    text = f"Line {number} tells of topic{number} and of harbour {number % 7}."
    document = {"id": f"line-{number}", "title": f"L{number}", "text": text, "metadata": {"n": number}}
    return json.dumps(document).encode() + b"\n"


def create(gateway: Gateway, name: str) -> None:
    wait_for(gateway)
    httpx.post(f"{gateway.url}/api/v1/collections", json={"name": name}, timeout=10).raise_for_status()


def wait_for(gateway: Gateway) -> None:
    """Until the knowledge service answers."""
    end = time.monotonic() + 60
    while (answer := httpx.get(f"{gateway.url}/api/v1/collections", timeout=10)).status_code != 200:
        assert time.monotonic() < end, answer.text
        time.sleep(0.2)


def documents(gateway: Gateway, name: str) -> dict[str, dict[str, Any]]:
    """What the collection lists, by the sender's id; fails for one that is there twice."""
    found: dict[str, dict[str, Any]] = {}
    token = ""
    while True:
        query = {"page_size": "1000", **({"page_token": token} if token else {})}
        answer = httpx.get(
            f"{gateway.url}/api/v1/collections/{name}/documents", params=query, timeout=30
        ).json()
        for document in answer["documents"]:
            assert document["external_id"] not in found
            found[document["external_id"]] = document
        token = answer["next_page_token"] or ""
        if not token:
            return found


def send(
    gateway: Gateway, name: str, body: Iterator[bytes], seen: Any = lambda _: None
) -> list[dict[str, Any]]:
    """The answers to an import, as they come to `seen` too."""
    answers = []
    with httpx.stream(
        "POST",
        f"{gateway.url}/api/v1/collections/{name}/documents/import",
        content=body,
        headers={"Content-Type": "application/x-ndjson", "Request-Timeout": "600"},
        timeout=120,
    ) as answer:
        assert answer.status_code == 200, answer.read()
        for text in answer.iter_lines():
            answers.append(json.loads(text))
            seen(len(answers))
    return answers


def same(one: dict[str, Any]) -> tuple[Any, ...]:
    """What must be equal however it came in."""
    return one["title"], one["extraction_sha256"], json.dumps(one["metadata"]), one["chunks"]


def killed_import(gateway: Gateway, knowledge: Knowledge, count: int, kills: int) -> None:
    create(gateway, "disturbed")
    create(gateway, "quiet")
    draw = random.Random(SEED)
    marks = sorted(draw.sample(range(20, count - 20), kills))
    reborn: list[threading.Thread] = []

    def strike(answers: int) -> None:
        if marks and answers >= marks[0]:
            marks.pop(0)
            time.sleep(draw.random() * 0.05)
            knowledge.kill()
            reborn.append(threading.Timer(draw.random(), knowledge.start))
            reborn[-1].start()
            reborn[-1].join()

    *answers, done = send(gateway, "disturbed", (line(n) for n in range(count)), strike)
    assert not marks
    assert (done["done"], done["lines"], done["documents"], done["failed"]) == (True, count, count, 0)
    assert [one["id"] for one in answers] == [f"line-{n}" for n in range(count)]

    send(gateway, "quiet", (line(n) for n in range(count)))
    there, undisturbed = documents(gateway, "disturbed"), documents(gateway, "quiet")
    assert there.keys() == undisturbed.keys()
    assert {key: same(one) for key, one in there.items()} == {
        key: same(one) for key, one in undisturbed.items()
    }
    # What was said of a line is still so: the id that it got is the document's.
    assert {one["id"]: one["document_id"] for one in answers} == {
        key: one["id"] for key, one in there.items()
    }

    # Sent again as a whole, as after the client's own death, nothing is taken twice.
    *_, again = send(gateway, "disturbed", (line(n) for n in range(count)))
    assert (again["documents"], again["existing"]) == (count, count)


@pytest.mark.timeout(180)
def test_an_import_outlives_kills_of_the_service(gateway: Gateway, knowledge: Knowledge) -> None:
    killed_import(gateway, knowledge, 500, kills=3)


@pytest.mark.slow
@pytest.mark.timeout(420)
def test_ten_thousand_lines_outlive_kills_of_the_service(gateway: Gateway, knowledge: Knowledge) -> None:
    killed_import(gateway, knowledge, 10_000, kills=6)


@pytest.mark.timeout(180)
def test_a_directory_goes_on_where_it_was(gateway: Gateway, knowledge: Knowledge, tmp_path: Path) -> None:
    """`meld ingest DIR` killed in the middle, and the service too; given again it sends the rest only."""
    create(gateway, "notes")
    folder = tmp_path / "notes"
    folder.mkdir()
    names = [f"note-{number:02}.txt" for number in range(24)]
    for number, name in enumerate(names):
        (folder / name).write_text(f"Note {number} tells of topic{number}.")

    def begun() -> subprocess.Popen[str]:
        return subprocess.Popen(
            [
                *(sys.executable, "-P", "-m", "meldrag_cli", "--url", gateway.url),
                *("ingest", "notes", "-c", "notes", "-j", "2", "--json"),
            ],
            cwd=tmp_path,
            env={
                **{key: value for key, value in os.environ.items() if not key.startswith("MELD_")},
                "PYTHONPATH": str(ROOT / "clients" / "meld"),
                "XDG_CONFIG_HOME": str(tmp_path / "config"),
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    first = begun()
    assert first.stdout is not None
    told = [json.loads(first.stdout.readline()) for _ in range(5)]
    first.kill()
    told += [json.loads(text) for text in first.communicate()[0].splitlines() if text.endswith("}")]
    knowledge.kill()
    knowledge.start()
    wait_for(gateway)
    finished = {Path(one["path"]).name: one["document"]["id"] for one in told}

    output, errors = begun().communicate(timeout=120)
    *lines, total = [json.loads(text) for text in output.splitlines()]
    assert total["failed"] == 0, errors
    assert total["existing"] >= len(finished) >= 5
    assert total["taken"] + total["existing"] == len(names)
    seconds = {Path(one["path"]).name: one for one in lines}
    for name, document_id in finished.items():
        assert seconds[name]["existing"]
        assert seconds[name]["document"]["id"] == document_id
    with contextlib.closing(httpx.Client(timeout=30)) as http:
        listed = http.get(
            f"{gateway.url}/api/v1/collections/notes/documents", params={"page_size": 1000}
        ).json()["documents"]
    taken = [one for one in listed if one["state"] != "FAILED"]
    assert sorted(one["filename"] for one in taken) == names
