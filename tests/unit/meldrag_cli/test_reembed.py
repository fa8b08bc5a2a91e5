"""`meld reembed` against a scripted gateway."""

from __future__ import annotations

import json
from typing import Any

import pytest

from meldrag_cli import building
from meldrag_cli.app import main
from tests.unit.meldrag_cli.scripted import Answer, events, problem, scripted

COLLECTION = "/api/v1/collections/notes"
WHERE = f"{COLLECTION}/reembed"
BUILDING: dict[str, Any] = {
    "embedding_model": "new",
    "dimension": 4,
    "stage": "EMBEDDING",
    "chunks": 5,
    "vectors": 2,
    "refused_chunks": 0,
}
THERE: dict[str, Any] = {
    "id": "notes",
    "embedding_model": "new",
    "dimension": 4,
    "chunks": 5,
    "vectors": 5,
    "reembedding": None,
    "previous_embedding": {"embedding_model": "old", "expires": "2030-01-01T00:00:00.000Z"},
}
BEFORE: dict[str, Any] = {**THERE, "embedding_model": "old", "previous_embedding": None}
AWAY = problem(503, "UPSTREAM_UNAVAILABLE", "the vector service cannot be reached")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(building, "_LOOK_SECONDS", 0.01)
    monkeypatch.setattr(building, "AWAY_SECONDS", 0.5)


def under_way(**changed: Any) -> Answer:
    """A collection whose vectors are being built."""
    return Answer({**BEFORE, "reembedding": {**BUILDING, **changed}})


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


@pytest.mark.parametrize("reason", ["UPSTREAM_UNAVAILABLE", "TRANSPORT", "SHUTTING_DOWN", "DEADLINE", ""])
def test_a_build_that_goes_on_is_watched_on_when_its_stream_ends(
    capsys: pytest.CaptureFixture[str], reason: str
) -> None:
    told = [step("embedding"), *([("error", {"reason": reason, "detail": "broken off"})] if reason else [])]
    looks = [AWAY, AWAY, under_way(vectors=4), under_way(stage="INDEXING", vectors=5), Answer(THERE)]
    with scripted({f"POST {WHERE}": events(*told), f"GET {COLLECTION}": looks}) as house:
        assert main(["--url", house.url, "reembed", "notes"]) == 0
        # Asked for once: whoever gives it up meanwhile does not see it begin anew.
        assert [request[0] for request in house.requests].count("POST") == 1
    said = capsys.readouterr()
    assert said.err.splitlines() == [
        "new: embedding, 2 of 5 passages",
        "the vector service cannot be reached; waiting up to 0.5 s for it, the work goes on by itself",
        "it is back",
        "new: embedding, 4 of 5 passages",
        "new: indexing, 5 of 5 passages",
        "new: done, 5 of 5 passages",
    ]
    assert "notes answers with new" in said.out


def test_programs_get_the_same_events_however_they_were_learned(capsys: pytest.CaptureFixture[str]) -> None:
    looks = [AWAY, under_way(vectors=4), Answer(THERE)]
    with scripted({f"POST {WHERE}": events(step("embedding")), f"GET {COLLECTION}": looks}) as house:
        assert main(["--url", house.url, "reembed", "notes", "--json"]) == 0
    lines = [json.loads(text) for text in capsys.readouterr().out.splitlines()]
    assert [each["type"] for each in lines] == ["embedding", "embedding", "done"]
    assert lines[-1]["collection"] == THERE
    assert lines[-1]["reembedding"] == {**BUILDING, "stage": "DONE", "vectors": 5}


def test_a_service_that_comes_while_it_is_asked_is_asked_again(capsys: pytest.CaptureFixture[str]) -> None:
    with scripted({f"POST {WHERE}": [AWAY, AWAY, events(step("done", THERE, vectors=5))]}) as house:
        assert main(["--url", house.url, "reembed", "notes"]) == 0
    assert "it is back" in capsys.readouterr().err


def test_a_service_that_stays_away_ends_the_watching_alone(capsys: pytest.CaptureFixture[str]) -> None:
    with scripted({f"POST {WHERE}": events(step("embedding")), f"GET {COLLECTION}": AWAY}) as house:
        assert main(["--url", house.url, "reembed", "notes"]) == 1
    told = capsys.readouterr().err
    assert "cannot be reached, for 0.5 s; what was begun goes on when it is back" in told
    assert "UPSTREAM_UNAVAILABLE" in told


def test_a_model_that_is_down_is_told_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    down = problem(503, "EMBEDDER_UNAVAILABLE", "the model does not answer", retry_after=1.0)
    with scripted({f"POST {WHERE}": down}) as house:
        assert main(["--url", house.url, "reembed", "notes"]) == 1
        assert len(house.requests) == 1
    assert "the model does not answer" in capsys.readouterr().err


def test_a_build_that_was_given_up_meanwhile_fails(capsys: pytest.CaptureFixture[str]) -> None:
    looks = [under_way(), Answer(BEFORE)]
    with scripted({f"POST {WHERE}": events(step("embedding")), f"GET {COLLECTION}": looks}) as house:
        assert main(["--url", house.url, "reembed", "notes"]) == 1
    assert "REEMBED_CANCELLED" in capsys.readouterr().err


def test_what_the_house_refuses_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    refused = problem(409, "REEMBED_NOTHING_KEPT", "no earlier vectors are kept")
    with scripted({f"POST {WHERE}/revert": refused}) as house:
        assert main(["--url", house.url, "reembed", "notes", "--revert"]) == 1
    assert "no earlier vectors are kept" in capsys.readouterr().err


def test_only_one_thing_at_a_time(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--url", "http://127.0.0.1:1", "reembed", "notes", "--cancel", "--revert"]) == 2
    assert "only one of" in capsys.readouterr().err


def test_a_revert_that_has_to_catch_up_is_waited_for(capsys: pytest.CaptureFixture[str]) -> None:
    looks = [under_way(vectors=4), AWAY, Answer(THERE)]
    script: dict[str, Answer | list[Answer]] = {
        f"POST {WHERE}/revert": under_way(),
        f"GET {COLLECTION}": looks,
    }
    with scripted(script) as house:
        assert main(["--url", house.url, "reembed", "notes", "--revert"]) == 0
        assert house.requests[0][3] == b""
    said = capsys.readouterr()
    assert "new: embedding, 4 of 5 passages" in said.err
    assert said.out.startswith("notes answers with new (4 dimensions); old is kept")


def test_a_revert_in_json_is_the_collection_in_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    script: dict[str, Answer | list[Answer]] = {
        f"POST {WHERE}/revert": under_way(),
        f"GET {COLLECTION}": Answer(THERE),
    }
    with scripted(script) as house:
        assert main(["--url", house.url, "reembed", "notes", "--revert", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == THERE


def test_a_revert_that_the_model_refuses_fails(capsys: pytest.CaptureFixture[str]) -> None:
    script: dict[str, Answer | list[Answer]] = {
        f"POST {WHERE}/revert": under_way(),
        f"GET {COLLECTION}": under_way(stage="STALLED", refused_chunks=1),
    }
    with scripted(script) as house:
        assert main(["--url", house.url, "reembed", "notes", "--revert"]) == 1
    assert "REEMBED_STALLED" in capsys.readouterr().err


def test_a_revert_that_is_done_at_once_is_told_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    with scripted({f"POST {WHERE}/revert": Answer(THERE)}) as house:
        assert main(["--url", house.url, "reembed", "notes", "--revert"]) == 0
        assert len(house.requests) == 1
    assert "notes answers with new" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "call"), [(["--model", "new"], f"POST {WHERE}"), (["--revert"], f"POST {WHERE}/revert")]
)
def test_what_nobody_waits_for_is_said_to_go_on(
    capsys: pytest.CaptureFixture[str], options: list[str], call: str
) -> None:
    with scripted({call: under_way()}) as house:
        assert main(["--url", house.url, "reembed", "notes", *options, "--no-wait"]) == 0
        assert len(house.requests) == 1
    said = capsys.readouterr()
    assert "new is being built, 2 of 5" in said.out
    assert f"goes on in the background; `meld reembed notes {' '.join(options)}` watches it" in said.err


@pytest.mark.parametrize(
    ("before", "told"),
    [
        (Answer(THERE), "nothing is being built, so nothing was given up; notes answers with new"),
        (under_way(), "new was given up; notes answers with new"),
    ],
)
def test_a_cancel_says_whether_there_was_something(
    capsys: pytest.CaptureFixture[str], before: Answer, told: str
) -> None:
    with scripted({f"GET {COLLECTION}": before, f"DELETE {WHERE}": Answer(THERE)}) as house:
        assert main(["--url", house.url, "reembed", "notes", "--cancel"]) == 0
        assert house.requests[-1][0] == "DELETE"
    assert capsys.readouterr().out.startswith(told)


@pytest.mark.parametrize(
    ("before", "told"),
    [(BEFORE, "no vectors before were kept"), (THERE, "the vectors of old were forgotten")],
)
def test_a_finish_says_whether_there_was_something(
    capsys: pytest.CaptureFixture[str], before: dict[str, Any], told: str
) -> None:
    after = Answer({**THERE, "previous_embedding": None})
    with scripted({f"GET {COLLECTION}": Answer(before), f"POST {WHERE}/finish": after}) as house:
        assert main(["--url", house.url, "reembed", "notes", "--finish"]) == 0
    assert capsys.readouterr().out.startswith(told)
