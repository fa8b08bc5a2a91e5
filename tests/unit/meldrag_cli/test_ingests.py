"""Taking documents back and trying them again: one by one, and all of a collection."""

from __future__ import annotations

import json
from typing import Any

import pytest

from meldrag_cli.app import main
from tests.unit.meldrag_cli.scripted import Answer, Scripted, events, problem, scripted

DOCUMENTS = "/api/v1/collections/notes/documents"
GONE = problem(409, "ORIGINAL_GONE", "its bytes are not kept; send it again")
READY = problem(409, "INGEST_STATE", "it is READY; delete it instead")


def receipt(document: str) -> Answer:
    return Answer(
        {
            "resource": f"collections/notes/documents/{document}",
            "state": "COMPLETE",
            "deleted": {"documents": 1, "chunks": 0},
            "left": {"record_documents": 0},
        }
    )


def again(document: str) -> Answer:
    return Answer({"id": document, "state": "RECEIVED"}, 202)


def listed(*ids: str, more: str | None = None) -> Answer:
    return Answer({"documents": [{"id": each} for each in ids], "next_page_token": more})


def asked(house: Scripted) -> list[str]:
    return [path.rpartition("/documents/")[2] for method, path, *_ in house.requests if method == "POST"]


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_several_are_taken_back_each_with_its_receipt(capsys: pytest.CaptureFixture[str]) -> None:
    script: dict[str, Answer | list[Answer]] = {
        f"POST {DOCUMENTS}/a/cancel": receipt("a"),
        f"POST {DOCUMENTS}/b/cancel": receipt("b"),
    }
    with scripted(script) as house:
        assert main(["--url", house.url, "documents", "cancel", "a", "b", "a", "-c", "notes"]) == 0
    assert asked(house) == ["a/cancel", "b/cancel"]
    assert capsys.readouterr().out.splitlines() == [
        "collections/notes/documents/a: 1 document deleted, 0 passages",
        "left: nothing",
        "collections/notes/documents/b: 1 document deleted, 0 passages",
        "left: nothing",
        "2 documents of notes cancelled, 0 left as they are, 0 failed",
    ]


def test_one_that_is_refused_stops_no_other_and_fails_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    script: dict[str, Answer | list[Answer]] = {
        f"POST {DOCUMENTS}/a/retry": GONE,
        f"POST {DOCUMENTS}/b/retry": again("b"),
    }
    with scripted(script) as house:
        assert main(["--url", house.url, "documents", "retry", "a", "b", "-c", "notes", "--json"]) == 1
    told = capsys.readouterr()
    first, second, total = lines(told.out)
    assert (first["document_id"], first["error"]["reason"]) == ("a", "ORIGINAL_GONE")
    assert second == {"document_id": "b", "document": {"id": "b", "state": "RECEIVED"}}
    assert total == {"collection": "notes", "retried": 1, "left": 0, "failed": 1}
    assert json.loads(told.err)["error"]["reason"] == "DOCUMENTS_FAILED"


def test_all_that_failed_are_tried_and_what_is_not_kept_is_no_failure(
    capsys: pytest.CaptureFixture[str],
) -> None:
    script: dict[str, Answer | list[Answer]] = {
        f"GET {DOCUMENTS}": [listed("a", more="t"), listed("b")],
        f"POST {DOCUMENTS}/a/retry": GONE,
        f"POST {DOCUMENTS}/b/retry": again("b"),
    }
    with scripted(script) as house:
        assert main(["--url", house.url, "documents", "retry", "--all", "-c", "notes"]) == 0
    assert all("state=FAILED" in path for method, path, *_ in house.requests if method == "GET")
    assert capsys.readouterr().out.splitlines() == [
        "left a: its bytes are not kept; send it again (ORIGINAL_GONE)",
        "b is RECEIVED",
        "1 document of notes retried, 1 left as they are, 0 failed",
    ]


def test_all_that_wait_are_taken_back_when_that_is_confirmed(capsys: pytest.CaptureFixture[str]) -> None:
    script: dict[str, Answer | list[Answer]] = {
        f"GET {DOCUMENTS}": listed("a", "b", more="t"),
        f"POST {DOCUMENTS}/a/cancel": receipt("a"),
        f"POST {DOCUMENTS}/b/cancel": READY,
    }
    command = ["documents", "cancel", "--all", "-c", "notes", "-n", "2", "--json"]
    with scripted(script) as house:
        assert main(["--url", house.url, *command]) == 2
        assert "--yes" in json.loads(capsys.readouterr().err)["error"]["detail"]
        assert asked(house) == []
        assert main(["--url", house.url, *command, "--yes"]) == 0
    assert house.requests[-3][1] == f"{DOCUMENTS}?page_size=2&state=RECEIVED%2CPARSING%2CEMBEDDING"
    assert lines(capsys.readouterr().out)[-1] == {
        "collection": "notes",
        "cancelled": 1,
        "left": 1,
        "failed": 0,
    }


def test_later_is_asked_once_more_as_the_same_request() -> None:
    later = problem(503, "UPSTREAM_UNAVAILABLE", "away", retry_after=0.01)
    with scripted({f"POST {DOCUMENTS}/a/retry": [later, again("a")]}) as house:
        assert main(["--url", house.url, "documents", "retry", "a", "-c", "notes"]) == 0
    first, second = (headers["Idempotency-Key"] for _, _, headers, _ in house.requests)
    assert first == second


def test_what_holds_for_all_ends_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    denied = problem(403, "COLLECTION_ACCESS_DENIED", "not yours")
    with scripted({f"POST {DOCUMENTS}/a/retry": denied, f"POST {DOCUMENTS}/b/retry": denied}) as house:
        assert main(["--url", house.url, "documents", "retry", "a", "b", "-c", "notes"]) == 1
    assert asked(house) == ["a/retry"]
    assert "COLLECTION_ACCESS_DENIED" in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["cancel", "retry", "reprocess"])
@pytest.mark.parametrize("more", [[], ["a", "--all"]])
def test_either_ids_or_all(verb: str, more: list[str]) -> None:
    with scripted({}) as house:
        assert main(["--url", house.url, "documents", verb, *more]) == 2
    assert house.requests == []


# -- reading again -----------------------------------------------------------------------------------


def there(document: str, **fields: Any) -> dict[str, Any]:
    known = {"id": document, "title": document.upper(), "state": "READY", "chunks": 3, "warnings": []}
    return {**known, "has_original": True, "reprocessing": False, **fields}


def read(document: dict[str, Any], *, existing: bool = False) -> Answer:
    said = {"document": document, "existing": existing, "elapsed_seconds": 0.1}
    return events(
        ("received", {"stage": "RECEIVED", **said, "existing": False}),
        ("committed", {"stage": "COMMITTED", **said}),
        # By then nobody listens any more.
        ("error", {"reason": "INTERNAL", "detail": "too late"}),
    )


def pages(*documents: dict[str, Any]) -> list[Answer]:
    """One document a page."""
    last = len(documents) - 1
    return [
        Answer({"documents": [one], "next_page_token": "t" * (number + 1) if number < last else None})
        for number, one in enumerate(documents)
    ]


def test_what_is_read_again_is_told_with_what_became_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    script: dict[str, Answer | list[Answer]] = {
        f"POST {DOCUMENTS}/a/reprocess": read(there("a", warnings=["page 2"])),
        f"POST {DOCUMENTS}/b/reprocess": read(there("b"), existing=True),
        f"POST {DOCUMENTS}/c/reprocess": problem(422, "PARSER_LIMIT", "over 30 seconds"),
        f"POST {DOCUMENTS}/d/reprocess": problem(404, "ORIGINAL_NOT_KEPT", "only the text is kept"),
    }
    command = ["documents", "reprocess", "a", "b", "c", "d", "-c", "notes"]
    with scripted(script) as house:
        assert main(["--url", house.url, *command]) == 1
        assert capsys.readouterr().out.splitlines() == [
            "a A: 3 passages, 1 warning",
            "b B: as before, 0 warnings",
            "failed c: over 30 seconds (PARSER_LIMIT)",
            "failed d: only the text is kept (ORIGINAL_NOT_KEPT)",
            "2 documents of notes read again, 0 left as they are, 2 failed",
        ]
        assert main(["--url", house.url, *command, "--json"]) == 1
    first, _, third, _, total = lines(capsys.readouterr().out)
    assert (first["document_id"], first["existing"], first["document"]["chunks"]) == ("a", False, 3)
    assert third["error"]["reason"] == "PARSER_LIMIT"
    assert total == {"collection": "notes", "reprocessed": 2, "left": 0, "failed": 2}


@pytest.mark.parametrize(
    ("more", "expected"),
    [([], ["a", "b", "d"]), (["--with-warnings"], ["b", "d"]), (["--with-warnings", "-n", "1"], ["b"])],
)
def test_all_that_have_their_file_are_read_again_page_by_page(more: list[str], expected: list[str]) -> None:
    listed = pages(
        there("a"),
        there("b", warnings=["page 2"]),
        there("c", warnings=["page 3"], has_original=False),
        there("d", warnings=["page 4"], state="FAILED"),
    )
    script: dict[str, Answer | list[Answer]] = {f"GET {DOCUMENTS}": listed}
    script |= {f"POST {DOCUMENTS}/{name}/reprocess": read(there(name)) for name in "abcd"}
    with scripted(script) as house:
        assert main(["--url", house.url, "documents", "reprocess", "--all", "-c", "notes", *more]) == 0
    assert asked(house) == [f"{name}/reprocess" for name in expected]
    seconds = [headers["Request-Timeout"] for method, _, headers, _ in house.requests if method == "POST"]
    assert set(seconds) == {"3600"}


def test_what_is_read_again_is_ended_and_stays() -> None:
    script: dict[str, Answer | list[Answer]] = {
        f"GET {DOCUMENTS}": pages(there("a"), there("b", reprocessing=True)),
        f"DELETE {DOCUMENTS}/b/reprocess": Answer(there("b")),
    }
    with scripted(script) as house:
        command = ["documents", "reprocess", "--all", "--cancel", "-c", "notes"]
        assert main(["--url", house.url, *command]) == 0
    assert [path for method, path, *_ in house.requests if method == "DELETE"] == [f"{DOCUMENTS}/b/reprocess"]


def test_a_reading_is_asked_for_once_more_as_the_same_request() -> None:
    away = problem(503, "UPSTREAM_UNAVAILABLE", "away", retry_after=0.01)
    with scripted({f"POST {DOCUMENTS}/a/reprocess": [away, read(there("a"))]}) as house:
        assert main(["--url", house.url, "documents", "reprocess", "a", "-c", "notes"]) == 0
    first, second = (headers["Idempotency-Key"] for _, _, headers, _ in house.requests)
    assert first == second


def test_warnings_are_looked_for_among_all() -> None:
    with scripted({}) as house:
        assert main(["--url", house.url, "documents", "reprocess", "a", "--with-warnings"]) == 2
    assert house.requests == []
