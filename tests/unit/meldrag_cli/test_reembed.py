"""`meld reembed` against a scripted gateway."""

from __future__ import annotations

import json
from typing import Any

import pytest

from meldrag_cli.app import main
from tests.unit.meldrag_cli.scripted import Answer, events, problem, scripted

WHERE = "/api/v1/collections/notes/reembed"
BUILDING = {"embedding_model": "new", "dimension": 4, "chunks": 5, "vectors": 2, "refused_chunks": 0}
THERE: dict[str, Any] = {
    "id": "notes",
    "embedding_model": "new",
    "dimension": 4,
    "reembedding": None,
    "previous_embedding": {"embedding_model": "old", "expires": "2030-01-01T00:00:00.000Z"},
}


def step(name: str, collection: Any = None, **changed: Any) -> tuple[str, dict[str, Any]]:
    return name, {"reembedding": {**BUILDING, **changed}, "collection": collection}


def test_it_is_watched_to_its_end(capsys: pytest.CaptureFixture[str]) -> None:
    told = events(step("embedding"), step("done", THERE, vectors=5))
    with scripted({f"POST {WHERE}": told}) as house:
        arguments = ["reembed", "notes", "--model", "new", "--keep-days", "2"]
        assert main(["--url", house.url, *arguments]) == 0
        out = capsys.readouterr().out
        assert "notes answers with new (4 dimensions); old is kept until 2030-01-01" in out
        assert json.loads(house.requests[0][3]) == {
            "embedding_model": "new",
            "keep_previous_seconds": 172_800,
        }
        assert main(["--url", house.url, "reembed", "notes", "--json"]) == 0
    lines = [json.loads(text) for text in capsys.readouterr().out.splitlines()]
    assert [each["type"] for each in lines] == ["embedding", "done"]


def test_passages_that_are_refused_fail_it(capsys: pytest.CaptureFixture[str]) -> None:
    with scripted({f"POST {WHERE}": events(step("stalled", refused_chunks=3))}) as house:
        assert main(["--url", house.url, "reembed", "notes"]) == 1
    assert "refuses 3 passages" in capsys.readouterr().err


def test_a_stream_that_ends_too_early_fails_it(capsys: pytest.CaptureFixture[str]) -> None:
    with scripted({f"POST {WHERE}": events(step("embedding"))}) as house:
        assert main(["--url", house.url, "reembed", "notes"]) == 1
    assert "the work goes on" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "call"),
    [
        ("--cancel", f"DELETE {WHERE}"),
        ("--revert", f"POST {WHERE}/revert"),
        ("--finish", f"POST {WHERE}/finish"),
    ],
)
def test_it_is_given_up_undone_and_ended(capsys: pytest.CaptureFixture[str], option: str, call: str) -> None:
    with scripted({call: Answer({**THERE, "reembedding": BUILDING})}) as house:
        assert main(["--url", house.url, "reembed", "notes", option]) == 0
        assert house.requests[0][3] == b""
    assert "new is being built, 2 of 5" in capsys.readouterr().out


def test_what_the_house_refuses_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    refused = problem(409, "REEMBED_NOTHING_KEPT", "no earlier vectors are kept")
    with scripted({f"POST {WHERE}/revert": refused}) as house:
        assert main(["--url", house.url, "reembed", "notes", "--revert"]) == 1
    assert "no earlier vectors are kept" in capsys.readouterr().err


def test_only_one_thing_at_a_time(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--url", "http://127.0.0.1:1", "reembed", "notes", "--cancel", "--revert"]) == 2
    assert "only one of" in capsys.readouterr().err
