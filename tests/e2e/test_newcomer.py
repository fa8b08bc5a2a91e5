"""What a newcomer does: files in, a question, an answer whose every citation can be checked."""

from __future__ import annotations

import hashlib
import io
import json
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import docx
import httpx
import pytest

from tests.support.launched import ROOT, House
from tests.unit.vector.extraction import samples
from tests.unit.vector.extraction.samples import pdf

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

README = (ROOT / "README.md").read_text()
COLLECTION = "newcomer"
DEPTHS = {
    "Elmsund": "fourteen",
    "Varnholm": "nine",
    "Tirrsund": "twenty-two",
    "Oyhavn": "six",
    "Brattvik": "ten",
}
FEES = b"Berth,Fee\nQuay,30\nJetty,71\n"
BOOK = samples.book({"Fees": [["Berth", "Fee"], ["Quay", 30], ["Jetty", 71]]})
MAIL = samples.mail("See below.", [("fees.csv", "text/csv", FEES)])
PRESENTED = samples.presentation(
    [
        samples.slide(samples.shape("title", "The port")),
        samples.slide(samples.slide_table([["Berth", "Fee"], ["Quay", "30"], ["Jetty", "71"]])),
    ]
)
# Characters of more than one byte before the sentence: a span counts bytes.
PREFACE = "Öppet året om – även för små båtar. "


def sentence(place: str) -> str:
    return f"The harbour of {place} is {DEPTHS[place]} metres deep."


def word_document(place: str) -> bytes:
    document = docx.Document()
    document.add_heading(f"Pilot book: {place}", 1)
    document.add_paragraph(f"{PREFACE}{sentence(place)}")
    buffer = io.BytesIO()
    document.save(buffer)
    return buffer.getvalue()


def made_file(number: int) -> tuple[str, bytes]:
    """The file of this number: the place, the format and the part of it in turn."""
    place = list(DEPTHS)[number % len(DEPTHS)]
    text = f"{PREFACE}{sentence(place)}"
    kinds = {
        "md": f"# {place}\n\n{text}\n\nThe light was built in {1850 + number}.\n".encode(),
        "txt": f"Notes on {place}, part {number}.\n{text}\n".encode(),
        "html": f"<title>{place}</title><h1>Part {number}</h1><p>{text}</p>".encode(),
        "csv": f"part,remark\n{number},{text}\n".encode(),
        "json": json.dumps({"place": place, "part": number, "remark": text}).encode(),
        "docx": word_document(place),
        "pdf": pdf([[f"Chart {number}"], [sentence(place)]]),
    }
    kind = list(kinds)[number % len(kinds)]
    return f"{place}-{number}.{kind}", kinds[kind]


@pytest.fixture(scope="module")
def documents(house: House) -> list[dict[str, Any]]:
    """Twenty-one uploaded files of seven formats, each READY."""
    api = f"{house.base_url}/api/v1"
    httpx.post(f"{api}/collections", json={"name": COLLECTION}, timeout=30).raise_for_status()
    urls = []
    for number in range(21):
        name, content = made_file(number)
        answer = httpx.post(
            f"{api}/collections/{COLLECTION}/documents", files={"file": (name, content)}, timeout=30
        )
        assert answer.status_code == 202, (name, answer.text)
        urls.append(answer.headers["Location"])
    return [ready_document(house, url) for url in urls]


def ready_document(house: House, url: str, seconds: float = 60) -> dict[str, Any]:
    end = time.monotonic() + seconds
    while True:
        document: dict[str, Any] = httpx.get(f"{house.base_url}{url}", timeout=10).json()
        if document["state"] == "READY" or time.monotonic() > end:
            return document
        assert document["state"] != "FAILED", document
        time.sleep(0.1)


def stored_bytes(house: House, document_id: str) -> bytes:
    url = f"{house.base_url}/api/v1/collections/{COLLECTION}/documents/{document_id}/text"
    answer = httpx.get(url, headers={"Accept": "text/plain"}, timeout=10)
    answer.raise_for_status()
    return answer.content


def ask(house: House, place: str) -> dict[str, Any]:
    question = {
        "agent": "research",
        "message": f"How deep is the harbour of {place}?",
        "collections": [COLLECTION],
    }
    answer = httpx.post(f"{house.base_url}/api/v1/runs", json=question, timeout=60)
    assert answer.status_code == 200, answer.text
    result: dict[str, Any] = answer.json()
    return result


def verdicts(house: House, citations: list[dict[str, Any]]) -> list[bool]:
    answer = httpx.post(
        f"{house.base_url}/api/v1/citations/verify", json={"citations": citations}, timeout=10
    )
    assert answer.status_code == 200, answer.text
    return [verdict["verified"] for verdict in answer.json()["results"]]


def test_files_of_every_format_become_ready(documents: list[dict[str, Any]]) -> None:
    assert [(document["state"], document["error"]) for document in documents] == [("READY", None)] * 21
    assert all(document["chunks"] == document["vectors"] > 0 for document in documents)


@pytest.mark.parametrize("place", DEPTHS)
def test_an_answer_is_right_and_its_citations_are_what_is_stored(
    house: House, documents: list[dict[str, Any]], place: str
) -> None:
    answer = ask(house, place)

    assert answer["answer_mode"] == "EXTRACTIVE"
    assert f"{DEPTHS[place]} metres" in answer["text"]
    assert answer["citations"]
    for citation in answer["citations"]:
        text = stored_bytes(house, citation["document_id"])
        assert text[citation["byte_start"] : citation["byte_end"]].decode() == citation["quote"]
        assert hashlib.sha256(text).hexdigest() == citation["extraction_sha256"]
    assert all(verdicts(house, answer["citations"]))


@pytest.mark.parametrize(
    ("filename", "data", "place"),
    [
        ("prices.xlsx", BOOK, ("Fees!", None)),
        ("fees.pptx", PRESENTED, ("slide 2", 2)),
        ("fees.eml", MAIL, ("fees.csv, line ", None)),
        ("fees.zip", samples.package({"port/fees.csv": FEES}), ("port/fees.csv, line ", None)),
    ],
)
def test_a_fact_in_a_table_is_cited_with_its_place(
    house: House, filename: str, data: bytes, place: tuple[str, int | None]
) -> None:
    collection = filename.replace(".", "-")
    api = f"{house.base_url}/api/v1"
    httpx.post(f"{api}/collections", json={"name": collection}, timeout=30).raise_for_status()
    sent = httpx.post(
        f"{api}/collections/{collection}/documents", files={"file": (filename, data)}, timeout=30
    )
    assert ready_document(house, sent.headers["Location"])["warnings"] == []
    question = {"agent": "research", "message": "What is the fee of the jetty?", "collections": [collection]}

    answer = httpx.post(f"{api}/runs", json=question, timeout=60).json()

    cited = [citation for citation in answer["citations"] if "71" in citation["quote"]]
    assert cited, answer
    assert cited[0]["location"].startswith(place[0])
    assert cited[0]["page"] == place[1]
    assert verdicts(house, answer["citations"]) == [True] * len(answer["citations"])


def test_a_citation_that_was_changed_anywhere_is_refused(
    house: House, documents: list[dict[str, Any]]
) -> None:
    [true, *_] = ask(house, "Varnholm")["citations"]
    other = next(document["id"] for document in documents if document["id"] != true["document_id"])
    forged = [
        true | {"quote": true["quote"].replace("nine", "five")},
        true | {"quote": true["quote"][:-1]},
        true | {"byte_start": true["byte_start"] + 1, "byte_end": true["byte_end"] + 1},
        true | {"extraction_sha256": "0" * 64},
        true | {"document_id": other},
    ]

    assert forged[0]["quote"] != true["quote"]
    assert verdicts(house, [true, *forged]) == [True, False, False, False, False, False]


def code_blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def with_ports(house: House, code: str) -> str:
    """The README's code, with this house's ports in place of the default ones."""
    for port, name in ((5000, "gateway"), (50051, "agents"), (50052, "vector")):
        code = code.replace(f"127.0.0.1:{port}", f"127.0.0.1:{house.ports[name]}")
    return code


def test_the_commands_and_the_client_of_the_readme_do_what_it_says(house: House, tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("no curl here")
    [commands] = [block for block in code_blocks("sh") if "curl" in block]
    [client] = code_blocks("python")
    # A newcomer has no such collection; other tests in this house may have made one.
    httpx.delete(f"{house.base_url}/api/v1/collections/notes", timeout=30)

    asked = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", with_ports(house, commands)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    ran = subprocess.run(
        [sys.executable, "-c", with_ports(house, client)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert asked.returncode == 0, asked.stderr + asked.stdout
    assert "fourteen metres" in asked.stdout
    assert ran.returncode == 0, ran.stderr
    found, said = ran.stdout.splitlines()[0], ran.stdout.splitlines()[-1]
    assert re.match(r"\d\.\d{3} ", found)
    assert "fourteen metres" in said
    assert (
        len([line for line in client.splitlines() if line and not line.startswith(("import", "from"))]) <= 10
    )
