"""Commands against a scripted gateway: what they say, and the exit code that they end with."""

from __future__ import annotations

import hashlib
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from meldrag_cli.app import application, main
from meldrag_cli.files import File
from meldrag_cli.gateway import Gateway
from meldrag_cli.sending import Sending, by_name
from meldrag_cli.settings import Settings
from tests.unit.meldrag_cli.scripted import Answer, events, problem, scripted

DOCUMENT = {
    "id": "d1",
    "state": "READY",
    "chunks": 2,
    "vectors": 2,
    "bytes": 9,
    "warnings": [],
    "error": None,
}
COLLECTION = "/api/v1/collections/notes"
RESULT = {
    "run_id": "run_1",
    "agent": "research",
    "answer_mode": "EXTRACTIVE",
    "text": "Fourteen. [1]",
    "citations": [
        {
            "number": 1,
            "title": "Pilot",
            "quote": "fourteen",
            "byte_start": 3,
            "byte_end": 11,
            "document_id": "d",
        }
    ],
    "usage": {"duration_seconds": 0.4},
    "degraded": [],
    "session_id": None,
}


def event(kind: str, value: Any) -> tuple[str, dict[str, Any]]:
    return kind, {"run_id": "run_1", "type": kind, kind: value}


def ended(outcome: str = "SUCCEEDED", **more: Any) -> tuple[str, dict[str, Any]]:
    return event("ended", {"outcome": outcome, "result": None, "error": None, **more})


ANSWERED = events(
    event("started", {"agent": "auto"}),
    event("text", {"text": "Nine.", "reset": False}),
    event("text", {"text": "Fourteen. [1]", "reset": True}),
    ended(result=RESULT),
)


def test_what_is_no_terminal_gets_the_answer_that_stands_and_its_sources(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with scripted({"POST /api/v1/runs": ANSWERED}) as house:
        code = main(["--url", house.url, "ask", "How", "deep?", "-c", "notes", "-a", "research"])
    told = capsys.readouterr()
    assert code == 0
    assert told.out == "Fourteen. [1]\n\nSources\n[1] Pilot (bytes 3-11): “fourteen”\n"
    assert told.err == "research · EXTRACTIVE · 0.40 s · run_1\n"
    _, _, headers, body = house.requests[0]
    assert json.loads(body) == {
        "agent": "research",
        "message": "How deep?",
        "collections": ["notes"],
        "stream": True,
    }
    assert len(headers["Idempotency-Key"]) == 32


def test_json_is_a_line_for_each_event(capsys: pytest.CaptureFixture[str]) -> None:
    with scripted({"POST /api/v1/runs": ANSWERED}) as house:
        assert main(["--url", house.url, "ask", "--json", "How deep?"]) == 0
    told = capsys.readouterr()
    lines = [json.loads(text) for text in told.out.splitlines()]
    assert [each["type"] for each in lines] == ["started", "text", "text", "ended"]
    assert lines[-1]["ended"]["result"]["citations"][0]["quote"] == "fourteen"
    assert told.err == ""


@pytest.mark.parametrize(
    ("stream", "reason"),
    [
        (events(ended("CANCELLED")), "RUN_CANCELLED"),
        (events(ended("FAILED", error={"reason": "MODEL_DOWN", "message": "no", "code": 14})), "MODEL_DOWN"),
        (events(event("started", {})), "NO_ANSWER"),
        (
            events(event("started", {}), ("error", {"reason": "SHUTTING_DOWN", "detail": "b"})),
            "SHUTTING_DOWN",
        ),
        (problem(404, "AGENT_NOT_FOUND", "there is no agent"), "AGENT_NOT_FOUND"),
    ],
)
def test_a_run_without_an_answer_is_a_failure(
    stream: Answer, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with scripted({"POST /api/v1/runs": stream}) as house:
        assert main(["--url", house.url, "ask", "--json", "x"]) == 1
    assert json.loads(capsys.readouterr().err)["error"]["reason"] == reason


def test_a_refusal_is_shown_with_reason_and_request(capsys: pytest.CaptureFixture[str]) -> None:
    refusal = problem(404, "COLLECTION_NOT_FOUND", "there is no collection nope")
    with scripted({"DELETE /api/v1/collections/nope": refusal}) as house:
        assert main(["--url", house.url, "collections", "delete", "nope", "--yes"]) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err == "meld: there is no collection nope\n  reason COLLECTION_NOT_FOUND, request r1\n"


def test_no_house_is_another_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        code = main(["--url", f"http://127.0.0.1:{taken.getsockname()[1]}", "agents", "list", "--json"])
    assert code == 3
    assert json.loads(capsys.readouterr().err)["error"]["reason"] == "NOT_REACHABLE"


@pytest.mark.parametrize(
    "answer",
    [
        Answer(b"<html>", content_type="text/html"),
        Answer(b"<html>", 502, "text/html"),
        Answer([1]),
        Answer(b"{", content_type="application/json"),
        Answer(b"{", 500, "application/problem+json"),
    ],
)
def test_another_program_is_no_house(answer: Answer, capsys: pytest.CaptureFixture[str]) -> None:
    with scripted({"GET /api/v1/agents": answer}) as house:
        assert main(["--url", house.url, "agents", "list"]) == 3
    assert "NOT_THE_HOUSE" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["ask"],
        ["ask", "--timeout", "soon", "x"],
        ["--url", "nonsense", "doctor"],
        ["ingest", "/nowhere/at/all"],
        ["run", "research"],
        ["collections", "delete", "notes"],
    ],
)
def test_a_command_that_makes_no_sense_says_so(
    arguments: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with scripted({f"GET {COLLECTION}": Answer({"documents": 3})}) as house:
        monkeypatch.setenv("MELD_URL", house.url)
        assert main(arguments) == 2
        plain = capsys.readouterr()
        assert main([*arguments, "--json"]) == 2
    assert plain.out == ""
    assert plain.err
    assert json.loads(capsys.readouterr().err)["error"]["detail"]


def test_the_token_goes_with_every_request(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MELD_TOKEN", "mrk_1_secret")
    with scripted({"GET /api/v1/agents": problem(401, "KEY_INVALID", "who are you?")}) as house:
        assert main(["--url", house.url, "agents", "list"]) == 1
    assert house.requests[0][2]["Authorization"] == "Bearer mrk_1_secret"
    assert "secret" not in capsys.readouterr().err


def test_lists_are_read_page_by_page(capsys: pytest.CaptureFixture[str]) -> None:
    def page(names: list[str], token: str | None) -> Answer:
        found = [{"id": name, "documents": 1, "chunks": 2, "description": ""} for name in names]
        return Answer({"collections": found, "next_page_token": token})

    pages = [page(["one", "two"], "t/1"), page(["three"], None)]
    with scripted({"GET /api/v1/collections": pages}) as house:
        assert main(["--url", house.url, "collections", "list", "--json"]) == 0
    assert [each["id"] for each in json.loads(capsys.readouterr().out)["collections"]] == [
        "one",
        "two",
        "three",
    ]
    assert house.requests[1][1] == "/api/v1/collections?page_size=200&page_token=t%2F1"


def test_a_document_without_a_title_goes_by_the_name_of_its_file(capsys: pytest.CaptureFixture[str]) -> None:
    common = {"bytes": 7, "chunks": 0, "error": None}
    error = {"reason": "DOCUMENT_UNREADABLE", "message": "no pages"}
    there = [
        {**common, "id": "d1", "state": "FAILED", "title": "", "filename": "torn.pdf", "error": error},
        {**common, "id": "d2", "state": "READY", "title": "Owls", "filename": "o.md"},
        {**common, "id": "d3", "state": "FAILED", "title": "", "filename": "", "error": error},
    ]
    with scripted({f"GET {COLLECTION}/documents": Answer({"documents": there})}) as house:
        assert main(["--url", house.url, "documents", "list", "-c", "notes"]) == 0
    told = capsys.readouterr()
    rows = [row.split() for row in told.out.splitlines()[1:]]
    assert [row[:3] for row in rows[:2]] == [["d1", "FAILED", "torn.pdf"], ["d2", "READY", "Owls"]]
    assert told.err.splitlines() == [
        "d1 torn.pdf: no pages (DOCUMENT_UNREADABLE)",
        "d3: no pages (DOCUMENT_UNREADABLE)",
    ]


ORIGINAL = f"{COLLECTION}/documents/d1/original"


def original_of(filename: str, answer: Answer) -> dict[str, Answer | list[Answer]]:
    return {
        f"GET {COLLECTION}/documents/d1": Answer({**DOCUMENT, "filename": filename}),
        f"GET {ORIGINAL}": answer,
    }


@pytest.mark.parametrize(
    ("filename", "name"),
    [
        ("chart of sands.pdf", "chart of sands.pdf"),
        ("../../etc/passwd", "passwd"),
        (".bashrc", "bashrc"),
        ("", "d1"),
        ("..", "d1"),
        ("a\x1b[2Jb", "a\N{REPLACEMENT CHARACTER}[2Jb"),
    ],
)
def test_an_original_is_written_under_its_name_into_this_folder(
    filename: str,
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    data = b"%PDF-1.7 \x00\xff" * 9_000
    with scripted(original_of(filename, Answer(data, content_type="application/pdf"))) as house:
        command = ["--url", house.url, "documents", "original", "d1", "-c", "notes"]
        assert main([*command, "--json"]) == 0
        told = json.loads(capsys.readouterr().out)
        assert told == {"file": name, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {name: data}
        # Never over a file.
        assert main(command) == 2
        assert main([*command, "-o", "other.pdf"]) == 0
    assert (tmp_path / "other.pdf").read_bytes() == data


def test_an_original_that_is_not_kept_or_breaks_off_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    command = ["documents", "original", "d1", "-c", "notes"]
    refused = problem(404, "ORIGINAL_NOT_KEPT", "only the text is kept")
    with scripted(original_of("a.pdf", refused)) as house:
        assert main(["--url", house.url, *command]) == 1
    assert "ORIGINAL_NOT_KEPT" in capsys.readouterr().err
    short = Answer(b"half", content_type="application/pdf", length=9)
    with scripted(original_of("a.pdf", short)) as house:
        assert main(["--url", house.url, *command]) == 3
    assert list(tmp_path.iterdir()) == []


def stages(document: dict[str, Any], *, existing: bool = False) -> Answer:
    return events(("ready", {"stage": "READY", "document": document, "existing": existing}))


def test_each_file_is_right_or_wrong_by_itself(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a.md", "b.md", "c.md"):
        (tmp_path / name).write_text(name)
    answers = [
        problem(503, "TOO_MANY_STREAMS", "later", retry_after=0.01),
        stages(DOCUMENT),
        problem(415, "FORMAT_UNSUPPORTED", "not read here"),
        stages(DOCUMENT, existing=True),
    ]
    script: dict[str, Answer | list[Answer]] = {
        f"GET {COLLECTION}": Answer({"id": "notes"}),
        f"POST {COLLECTION}/documents": answers,
    }
    with scripted(script) as house:
        code = main(["--url", house.url, "ingest", str(tmp_path), "-c", "notes", "-j", "1", "--json"])
    told = capsys.readouterr()
    lines = [json.loads(text) for text in told.out.splitlines()]
    assert code == 1
    assert [line.get("existing") for line in lines[:3]] == [False, None, True]
    assert lines[1]["error"]["reason"] == "FORMAT_UNSUPPORTED"
    assert lines[3] == {"collection": "notes", "taken": 1, "existing": 1, "failed": 1}
    assert json.loads(told.err)["error"]["reason"] == "FILES_FAILED"
    uploads = [body for method, _, _, body in house.requests if method == "POST"]
    assert [b'filename="a.md"' in body and b"\r\na.md\r\n" in body for body in uploads] == [
        True,
        True,
        False,
        False,
    ]


def test_addresses_are_fetched_by_the_house_each_right_or_wrong_by_itself(
    capsys: pytest.CaptureFixture[str],
) -> None:
    refused = problem(403, "ADDRESS_REFUSED", "nothing is fetched from there")
    script: dict[str, Answer | list[Answer]] = {
        f"GET {COLLECTION}": Answer({"id": "notes"}),
        f"POST {COLLECTION}/documents": [refused, stages(DOCUMENT), stages(DOCUMENT, existing=True)],
    }
    given = ["http://10.0.0.1/", "https://example.org/a", "https://example.org/a", "https://example.org/b"]
    with scripted(script) as house:
        assert main(["--url", house.url, "fetch", *given, "-c", "notes", "--json"]) == 1
    told = capsys.readouterr()
    lines = [json.loads(text) for text in told.out.splitlines()]
    assert [(line["url"], line.get("existing")) for line in lines] == [
        ("http://10.0.0.1/", None),
        ("https://example.org/a", False),
        ("https://example.org/b", True),
    ]
    assert lines[0]["error"]["reason"] == "ADDRESS_REFUSED"
    assert json.loads(told.err)["error"]["failed"] == 1
    sent = [json.loads(body) for method, _, _, body in house.requests if method == "POST"]
    assert sent == [{"url": url} for url in dict.fromkeys(given)]


def test_a_document_that_fails_on_its_way_is_a_failed_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.pdf").write_bytes(b"%PDF")
    broken = {**DOCUMENT, "state": "FAILED", "error": {"reason": "DOCUMENT_UNREADABLE", "message": "broken"}}
    script: dict[str, Answer | list[Answer]] = {
        f"GET {COLLECTION}": Answer({}),
        f"POST {COLLECTION}/documents": stages(broken),
    }
    with scripted(script) as house:
        assert main(["--url", house.url, "ingest", str(tmp_path), "-c", "notes"]) == 1
    assert "a.pdf: broken (DOCUMENT_UNREADABLE)" in capsys.readouterr().out


def test_a_file_that_cannot_be_read_does_not_stop_the_others(tmp_path: Path) -> None:
    (tmp_path / "b.md").write_text("b")
    files = [File(tmp_path / name, name, 1) for name in ("gone.md", "b.md")]
    script: dict[str, Answer | list[Answer]] = {f"POST {COLLECTION}/documents": stages(DOCUMENT)}
    with scripted(script) as house, Gateway(Settings(house.url)) as gateway:
        sending = Sending(
            gateway, "notes", jobs=1, wait=True, fields=by_name, seconds=60, seen=lambda *_: None
        )
        gone, taken = sending.outcomes(files)
    assert gone.failure is not None
    assert gone.failure.reason == "NOT_READABLE"
    assert taken.document == DOCUMENT
    asked, sent = house.requests
    assert "external_id=b.md" in asked[1]
    assert b'name="external_id"\r\n\r\nb.md\r\n' in sent[3]


def test_what_is_there_is_not_sent_and_waited_for_like_the_rest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.md").write_text("a")
    on_its_way = {**DOCUMENT, "state": "EMBEDDING", "vectors": 0}
    script: dict[str, Answer | list[Answer]] = {
        f"GET {COLLECTION}": Answer({}),
        f"GET {COLLECTION}/documents": Answer({"documents": [on_its_way]}),
        f"GET {COLLECTION}/documents/{DOCUMENT['id']}": [Answer(on_its_way), Answer(DOCUMENT)],
    }
    with scripted(script) as house:
        assert main(["--url", house.url, "ingest", str(tmp_path), "-c", "notes", "--json"]) == 0
    told = [json.loads(text) for text in capsys.readouterr().out.splitlines()]
    assert (told[0]["existing"], told[0]["document"]["state"]) == (True, "READY")
    assert told[1] == {"collection": "notes", "taken": 0, "existing": 1, "failed": 0}
    assert all(method == "GET" for method, *_ in house.requests)
    assert f"sha256={hashlib.sha256(b'a').hexdigest()}" in house.requests[1][1]


@pytest.mark.parametrize("has_original", [True, False])
def test_what_is_there_without_its_file_is_sent_where_that_is_asked_for(
    has_original: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.md").write_text("a")
    there = {**DOCUMENT, "has_original": has_original}
    script: dict[str, Answer | list[Answer]] = {
        f"GET {COLLECTION}": Answer({}),
        f"GET {COLLECTION}/documents": Answer({"documents": [there]}),
        f"POST {COLLECTION}/documents": stages({**DOCUMENT, "has_original": True}, existing=True),
    }
    with scripted(script) as house:
        command = ["--url", house.url, "ingest", str(tmp_path), "-c", "notes", "--originals", "--json"]
        assert main(command) == 0
    told = [json.loads(text) for text in capsys.readouterr().out.splitlines()]
    assert told[0]["document"]["has_original"]
    assert told[1] == {"collection": "notes", "taken": 0, "existing": 1, "failed": 0}
    assert ("POST" in [method for method, *_ in house.requests]) is not has_original


def test_a_service_that_is_away_for_a_moment_fails_no_file(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("a")
    script: dict[str, Answer | list[Answer]] = {
        f"GET {COLLECTION}": Answer({}),
        f"POST {COLLECTION}/documents": [
            problem(503, "UPSTREAM_UNAVAILABLE", "the vector service cannot be reached"),
            stages(DOCUMENT),
        ],
    }
    with scripted(script) as house:
        assert main(["--url", house.url, "ingest", str(tmp_path), "-c", "notes"]) == 0


def test_a_house_that_goes_ends_the_ingest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(5):
        (tmp_path / f"{number}.md").write_text("x")
    script: dict[str, Answer | list[Answer]] = {
        f"GET {COLLECTION}": Answer({}),
        f"POST {COLLECTION}/documents": Answer(b"", 502, "text/html"),
    }
    with scripted(script) as house:
        assert main(["--url", house.url, "ingest", str(tmp_path), "-c", "notes", "-j", "1"]) == 3
    assert "NOT_THE_HOUSE" in capsys.readouterr().err
    assert len([method for method, *_ in house.requests if method == "POST"]) == 1


def test_another_collection_is_created_only_when_that_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.md").write_text("a")
    script: dict[str, Answer | list[Answer]] = {
        f"GET {COLLECTION}": problem(404, "COLLECTION_NOT_FOUND", "there is no collection notes"),
        "POST /api/v1/collections": Answer({"id": "notes"}, 201),
        f"POST {COLLECTION}/documents": stages(DOCUMENT),
    }
    with scripted(script) as house:
        asked = ["--url", house.url, "ingest", str(tmp_path), "-c", "notes"]
        assert main(asked) == 1
        assert "--create" in capsys.readouterr().err
        assert main([*asked, "--create"]) == 0


def test_a_replay_that_differs_fails(capsys: pytest.CaptureFixture[str]) -> None:
    difference = {"kind": "event", "path": "text", "position": 3, "recorded": "a", "repeated": "b"}
    answers = [
        Answer({"run_id": "run_1", "identical": True, "difference": None}),
        Answer({"run_id": "run_1", "identical": False, "difference": difference}),
    ]
    with scripted({"POST /api/v1/runs/run_1/replay": answers}) as house:
        assert main(["--url", house.url, "replay", "run_1"]) == 0
        assert main(["--url", house.url, "replay", "run_1"]) == 1
    assert "recorded  a" in capsys.readouterr().out


def test_the_doctor_fails_when_something_is_down(capsys: pytest.CaptureFixture[str]) -> None:
    service = {"status": "ready", "dependencies": {"redis": "up"}}
    well = {"status": "ready", "services": {"session": service}, "down": [], "degraded": []}
    ill = {**well, "status": "unavailable", "down": ["session"]}
    with scripted({"GET /health": [Answer(well), Answer(ill, 503)]}) as house:
        assert main(["--url", house.url, "doctor"]) == 0
        assert main(["--url", house.url, "doctor", "--json"]) == 1
    assert "session" in json.loads(capsys.readouterr().err)["error"]["detail"]


def test_inputs_come_from_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "input.json"
    file.write_text(json.dumps({"message": "Mend it.", "files": [{"path": "a.py", "content": "x"}]}))
    with scripted({"POST /api/v1/runs": ANSWERED}) as house:
        assert main(["--url", house.url, "run", "code_repair", "--input", str(file)]) == 0
        file.write_text("[1]")
        assert main(["--url", house.url, "run", "code_repair", "--input", str(file)]) == 2
    body = json.loads(house.requests[0][3])
    assert body["message"] == "Mend it."
    assert body["inputs"] == {"files": [{"path": "a.py", "content": "x"}]}
    assert body["agent"] == "code_repair"


def test_what_was_said_is_searched_page_by_page(capsys: pytest.CaptureFixture[str]) -> None:
    session = {"id": "ses_1", "title": "About\x1b[2J tides", "updated": "2026-11-26T12:00:00.5Z"}
    message = {"id": "m", "sequence": 2, "role": "ASSISTANT", "agent": "research", "created": None}
    snippet = [{"text": "It is ", "matched": False}, {"text": "deep\x07", "matched": True}]
    match = {"session": session, "message": message, "snippet": snippet}
    title = {"session": session | {"id": "ses_2"}, "message": None, "snippet": snippet}
    pages = [
        Answer({"matches": [match], "next_page_token": "t1"}),
        # What was read by then had nothing, and there is more.
        Answer({"matches": [], "next_page_token": "t2"}),
        Answer({"matches": [title], "next_page_token": None}),
    ]
    with scripted({"POST /api/v1/sessions/search": [*pages, *pages, Answer({"matches": []})]}) as house:
        assert main(["--url", house.url, "sessions", "search", "deep", '"the tide"']) == 0
        told = capsys.readouterr().out
        assert main(["--url", house.url, "sessions", "search", "deep", "--json", "-n", "2"]) == 0
        given = json.loads(capsys.readouterr().out)
        assert main(["--url", house.url, "sessions", "search", "quay"]) == 0
    assert told == (
        "About\ufffd[2J tides\nses_1 · 2026-11-26 12:00:00Z · message 2, research\n  It is deep\ufffd\n\n"
        "About\ufffd[2J tides\nses_2 · 2026-11-26 12:00:00Z\n  It is deep\ufffd\n\n"
    )
    assert given == {"matches": [match, title]}
    assert capsys.readouterr().out == "nothing was said with all of it\n"
    assert [(path, json.loads(body)) for _, path, _, body in house.requests[:3]] == [
        (f"/api/v1/sessions/search?page_size={more}", {"query": 'deep "the tide"'})
        for more in ("20", "19&page_token=t1", "19&page_token=t2")
    ]


def test_an_export_is_never_written_over_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = Answer(b"# Harbour\n", content_type="text/markdown; charset=utf-8")
    target = tmp_path / "kept.md"
    with scripted({"GET /api/v1/sessions/s1/export": text}) as house:
        assert main(["--url", house.url, "sessions", "export", "s1", "-o", str(target)]) == 0
        assert main(["--url", house.url, "sessions", "export", "s1", "-o", str(target)]) == 2
        capsys.readouterr()
        assert main(["--url", house.url, "sessions", "export", "s1"]) == 0
    assert target.read_text() == "# Harbour\n"
    assert capsys.readouterr().out == "# Harbour\n"


def checked(*faults: dict[str, Any], unmended: int) -> Answer:
    counts = {"VECTOR_MISSING": len(faults)} if faults else {}
    end = {"checked_chunks": 3, "total_chunks": 3, "counts": counts, "unmended": unmended}
    return events(("page", {"step": "vectors", "faults": list(faults)}), ("end", end))


def test_faults_that_are_left_fail_the_check(capsys: pytest.CaptureFixture[str]) -> None:
    found = {
        "kind": "VECTOR_MISSING",
        "message": "no vector",
        "collection": "notes",
        "document_id": "d1",
        "mended": False,
    }
    script: dict[str, Answer | list[Answer]] = {
        "POST /api/v1/index/check": checked(found, unmended=1),
        "POST /api/v1/index/repair": checked({**found, "mended": True}, unmended=0),
    }
    with scripted(script) as house:
        assert main(["--url", house.url, "fsck"]) == 1
        assert "VECTOR_MISSING notes/d1: no vector (not mended)" in capsys.readouterr().out
        assert main(["--url", house.url, "fsck", "--repair", "-c", "notes"]) == 0
        assert "3 passages checked, 1 fault, 0 left" in capsys.readouterr().out
        assert main(["--url", house.url, "fsck", "--json"]) == 1
    lines = [json.loads(text) for text in capsys.readouterr().out.splitlines()]
    assert [each["type"] for each in lines] == ["page", "end"]
    assert json.loads(house.requests[1][3]) == {"collection": "notes"}


def commands(command: Any, name: str = "meld") -> Iterator[tuple[str, Any]]:
    """All commands of the program, those of groups with the group's name in front."""
    if not hasattr(command, "commands"):
        yield name, command
        return
    for word, inner in command.commands.items():
        yield from commands(inner, f"{name} {word}")


COMMANDS = dict(commands(typer.main.get_command(application())))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_speaks_json(name: str) -> None:
    assert "--json" in [word for parameter in COMMANDS[name].params for word in parameter.opts]
