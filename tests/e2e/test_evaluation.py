"""Evaluations at a running house: the guide's own commands, HTTP, and a gate that closes."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.test_newcomer import ready_document
from tests.support.launched import ROOT, House

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

GUIDE = (ROOT / "docs" / "evaluation.md").read_text()
README = (ROOT / "README.md").read_text()
COLLECTION = "measured"
BLOCKS = re.findall(r"```sh\n(.*?)```", GUIDE, re.DOTALL)
HARBOUR = re.findall(r"<<'TEXT'\n(.*?)TEXT\n", README, re.DOTALL)[0]
TIDES = "# Oyhavn\n\nThe tide of Oyhavn is low at six. Pilots come from Varnholm.\n"


@pytest.fixture(scope="module")
def url(house: House) -> str:
    """A collection with the document of the README and another one; its address."""
    api = f"{house.base_url}/api/v1/collections"
    httpx.post(api, json={"name": COLLECTION}, timeout=30).raise_for_status()
    for name, text in (("harbour.md", HARBOUR), ("tides.md", TIDES)):
        answer = httpx.post(f"{api}/{COLLECTION}/documents", files={"file": (name, text)}, timeout=30)
        assert ready_document(house, answer.headers["Location"])["state"] == "READY"
    return f"{api}/{COLLECTION}"


def shell(house: House, folder: Path, commands: str) -> subprocess.CompletedProcess[str]:
    """The guide's commands, with this house and this interpreter in place of what they name."""
    program = f"{shlex.quote(sys.executable)} -P -m meldrag_cli --url {house.base_url}"
    commands = commands.replace(".venv/bin/meld", program).replace("http://127.0.0.1:5000", house.base_url)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MELD_", "XDG_"))}
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", re.sub(r"\bnotes\b", COLLECTION, commands)],
        cwd=folder,
        env={**kept, "PYTHONPATH": str(ROOT / "clients" / "meld"), "XDG_CONFIG_HOME": str(folder)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_commands_of_the_guide_do_what_it_says(house: House, url: str, tmp_path: Path) -> None:
    ran = shell(house, tmp_path, BLOCKS[0])
    assert ran.returncode == 0, ran.stdout + ran.stderr
    report = json.loads((tmp_path / "before.json").read_text())
    assert report["settings"][0]["metrics"]["recall@10"]["mean"] == 1.0
    assert "citation_precision" in report["settings"][0]["metrics"]
    assert re.search(r"metric +lexical +hybrid +difference", ran.stdout)
    kept = [one["id"] for one in httpx.get(f"{url}/evaluations", timeout=30).json()["evaluations"]]
    assert report["id"] == kept[2]
    assert len(kept) == 3

    over_http = shell(house, tmp_path, BLOCKS[1])
    assert over_http.returncode == 0, over_http.stderr
    assert report["golden_sha256"] in over_http.stdout


def test_a_gate_closes_when_the_answer_is_gone(house: House, url: str, tmp_path: Path) -> None:
    """The document that answers leaves the collection's search by a filter; both kinds of baseline notice."""
    (tmp_path / "g.json").write_text(
        json.dumps({"queries": [{"query": "When is the tide low?", "relevant": [{"title": "Oyhavn"}]}]})
    )
    first = shell(house, tmp_path, ".venv/bin/meld eval g.json -c notes -o before.json --json")
    assert first.returncode == 0, first.stderr
    evaluation_id = json.loads(first.stdout)["id"]
    worse = shlex.quote(json.dumps({"name": "worse", "filter": {"external_ids": ["none"]}}))
    for baseline in ("before.json", evaluation_id):
        gate = shell(
            house, tmp_path, f".venv/bin/meld eval g.json -c notes --baseline {baseline} -s {worse} --json"
        )
        assert gate.returncode == 1, gate.stdout + gate.stderr
        assert json.loads(gate.stderr.splitlines()[-1])["error"]["reason"] == "REGRESSION"
        assert any("mrr fell by 1.0000" in each for each in json.loads(gate.stdout)["regressions"])


def test_a_bad_line_stops_a_pipeline(house: House, url: str, tmp_path: Path) -> None:
    (tmp_path / "queries.jsonl").write_text('{"_id": "q1", "text": "tide?"}\n')
    (tmp_path / "qrels").mkdir()
    (tmp_path / "qrels" / "test.tsv").write_text(
        "query-id\tcorpus-id\tscore\nq1\tOyhavn\t1\nq1\tNowhere\t1\n"
    )
    ran = shell(house, tmp_path, ".venv/bin/meld eval . -c notes --by title")
    assert ran.returncode == 1
    assert "line 3, query q1: there is no document of title 'Nowhere'" in ran.stderr
    (tmp_path / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq1\tOyhavn\t1\n")
    ran = shell(house, tmp_path, ".venv/bin/meld eval . -c notes --by title --fail-below recall=1")
    assert ran.returncode == 0, ran.stderr


def test_over_http_from_the_first_event_to_the_delete(house: House, url: str) -> None:
    line = json.dumps({"query": "How deep is it?", "relevant": [{"quote": "fourteen metres deep"}]})
    headers = {"Accept": "text/event-stream", "Content-Type": "application/x-ndjson"}
    answer = httpx.post(f"{url}/evaluations", content=line, headers=headers, timeout=60)
    events = [block.split("\n") for block in answer.text.strip().split("\n\n") if not block.startswith(":")]
    assert [event[0] for event in events] == ["event: progress", "event: progress", "event: end"]
    report: dict[str, Any] = json.loads(events[-1][1].removeprefix("data: "))
    (setting,) = report["settings"]
    assert setting["metrics"]["citation_precision"]["mean"] == 1.0
    assert 0 < setting["latency_seconds"]["p50"] <= setting["latency_seconds"]["max"]
    one = f"{url}/evaluations/{report['id']}"
    assert httpx.get(one, timeout=30).json() == report
    (query,) = httpx.get(f"{one}/queries", timeout=30).json()["queries"]
    assert query["outcomes"][0]["first_rank"] == 1
    table = httpx.get(f"{one}/queries.csv", timeout=30)
    assert [row.split(",")[1] for row in table.text.splitlines()] == ["query", "How deep is it?"]
    assert httpx.delete(one, timeout=30).status_code == 204
    assert httpx.get(one, timeout=30).status_code == 404
