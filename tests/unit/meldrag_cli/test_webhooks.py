"""`meld webhooks` against a scripted gateway."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from meldrag_cli.app import main
from meldrag_cli.commands import options
from tests.unit.meldrag_cli.scripted import Answer, problem, scripted

API = "/api/v1/webhooks"
HOOK = {
    "id": "whk_1",
    "url": "https://ci.example.org/meld?token=hush",
    "label": "CI",
    "event_types": ["document.ready", "run.finished"],
    "include_answer": False,
    "enabled": True,
    "disabled_reason": None,
    "failing_since": None,
    "dropped_messages": 0,
    "previous_secret_expires": None,
    "created": "2026-11-26T12:00:00Z",
    "updated": "2026-11-26T12:00:00Z",
}
OFF = {**HOOK, "id": "whk_2", "label": "", "enabled": False, "disabled_reason": "gone"}
SECRET = "whsec_c2VjcmV0"
DELIVERY = {
    "id": "msg_1",
    "webhook": "whk_1",
    "event_type": "document.ready",
    "state": "FAILED",
    "attempts": 10,
    "last_status": 503,
    "last_error": "the receiver answered 503",
    "event_time": "2026-11-26T12:00:00Z",
    "last_attempt": "2026-11-26T12:00:05Z",
    "next_attempt": None,
}


def test_a_webhook_is_made_and_its_secret_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    with scripted({f"POST {API}": Answer({**HOOK, "secret": SECRET}, 201)}) as house:
        command = [
            "webhooks",
            "add",
            HOOK["url"],
            "--label",
            "CI",
            "-e",
            "run.finished",
            "-e",
            "document.ready",
        ]
        assert main(["--url", house.url, *map(str, command)]) == 0
        told = capsys.readouterr()
        assert main(["--url", house.url, "webhooks", "add", "https://x.example/", "--answer", "--json"]) == 0
    [first, second] = [json.loads(body) for _, _, _, body in house.requests]
    assert first == {
        "url": HOOK["url"],
        "label": "CI",
        "event_types": ["run.finished", "document.ready"],
        "include_answer": False,
    }
    assert (second["event_types"], second["include_answer"]) == ([], True)
    # So that a script gets the secret and nothing else.
    assert told.out == f"{SECRET}\n"
    assert "whk_1" in told.err
    assert SECRET not in told.err
    assert json.loads(capsys.readouterr().out)["secret"] == SECRET


def test_webhooks_are_listed_and_shown(capsys: pytest.CaptureFixture[str]) -> None:
    failing = {**HOOK, "failing_since": "2026-11-26T13:00:00Z", "dropped_messages": 3}
    answers: dict[str, Answer | list[Answer]] = {
        f"GET {API}": Answer({"webhooks": [HOOK, OFF, failing]}),
        f"GET {API}/whk_1": Answer(failing),
    }
    with scripted(answers) as house:
        assert main(["--url", house.url, "webhooks", "list"]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert [line.split()[1] for line in lines[1:]] == ["on", "off", "failing"]
        assert "off (gone)" in lines[2]
        assert "document.ready, run.finished" in lines[1]
        assert main(["--url", house.url, "webhooks", "show", "whk_1"]) == 0
        shown = capsys.readouterr().out
        assert main(["--url", house.url, "webhooks", "list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"webhooks": [HOOK, OFF, failing]}
    assert "whk_1 · failing" in shown
    assert "nothing arrives since: 2026-11-26" in shown
    assert "dropped: 3" in shown


def test_one_is_switched_off_and_on_and_tried_out(capsys: pytest.CaptureFixture[str]) -> None:
    off = {**HOOK, "enabled": False, "disabled_reason": "owner"}
    answers: dict[str, Answer | list[Answer]] = {
        f"PATCH {API}/whk_1": [Answer(off), Answer(HOOK)],
        f"POST {API}/whk_1/test": Answer({**DELIVERY, "state": "WAITING"}, 202),
        f"POST {API}/whk_1/rotate": Answer({**HOOK, "secret": SECRET}),
    }
    with scripted(answers) as house:
        for command in ("disable", "enable", "test", "rotate"):
            assert main(["--url", house.url, "webhooks", command, "whk_1"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "whk_1 is off (owner)",
        "whk_1 is on",
        "msg_1 is on its way",
        SECRET,
    ]
    bodies = [json.loads(body) for method, _, _, body in house.requests if method == "PATCH"]
    assert bodies == [{"enabled": False}, {"enabled": True}]


def test_deliveries_come_with_why_they_failed(capsys: pytest.CaptureFixture[str]) -> None:
    older = {**DELIVERY, "id": "msg_0", "state": "DELIVERED", "last_status": 204, "last_error": None}
    pages = [
        Answer({"deliveries": [DELIVERY], "next_page_token": "more"}),
        Answer({"deliveries": [older], "next_page_token": None}),
    ]
    with scripted({f"GET {API}/whk_1/deliveries": [*pages, *pages]}) as house:
        assert main(["--url", house.url, "webhooks", "deliveries", "whk_1"]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert main(["--url", house.url, "webhooks", "deliveries", "whk_1", "--json"]) == 0
    assert "the receiver answered 503" in lines[1]
    assert [line.split()[0] for line in lines[1:]] == ["msg_1", "msg_0"]
    assert json.loads(capsys.readouterr().out)["deliveries"] == [DELIVERY, older]


def test_a_delete_asks_first(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    answers: dict[str, Answer | list[Answer]] = {
        f"GET {API}/whk_1": Answer(HOOK),
        f"DELETE {API}/whk_1": Answer({}),
    }
    with scripted(answers) as house:
        monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
        assert main(["--url", house.url, "webhooks", "delete", "whk_1"]) != 0
        assert [method for method, *_ in house.requests if method == "DELETE"] == []
        assert main(["--url", house.url, "webhooks", "delete", "whk_1", "--yes"]) == 0
    assert [method for method, *_ in house.requests if method == "DELETE"] == ["DELETE"]
    assert "whk_1 is removed" in capsys.readouterr().out


def test_what_the_house_refuses_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    refused = problem(403, "WEBHOOK_ADDRESS_REFUSED", "webhooks do not go there")
    with scripted({f"POST {API}": refused}) as house:
        assert main(["--url", house.url, "webhooks", "add", "http://10.0.0.1/", "--json"]) == 1
    told: dict[str, Any] = json.loads(capsys.readouterr().err)
    assert told["error"]["reason"] == "WEBHOOK_ADDRESS_REFUSED"


def test_ids_are_completed(monkeypatch: pytest.MonkeyPatch) -> None:
    with scripted({f"GET {API}": Answer({"webhooks": [HOOK, OFF]})}) as house:
        monkeypatch.setenv("MELD_URL", house.url)
        assert options.webhook_ids("whk_") == ["whk_1", "whk_2"]
    # This list has no pages, and the house takes no parameter that it does not know.
    assert [path for _, path, _, _ in house.requests] == [API]
