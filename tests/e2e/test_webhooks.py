"""A program is told of the end of a run and of documents, through the door and whatever is killed."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.test_command_line import meld
from tests.support.launched import House, launched
from tests.support.webhook_receiver import Receiver
from tests.unit.session.webhooks.verification import verify

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

TEXT = "The harbour of Elmsund is fourteen metres deep."


@pytest.fixture(scope="module")
def telling(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A house whose webhooks may reach this machine."""
    with launched(tmp_path_factory.mktemp("house"), {"MELD_WEBHOOK_ALLOW": "127.0.0.1"}) as house:
        yield house


@pytest.fixture
def api(telling: House) -> Iterator[httpx.Client]:
    """Its API, with a collection that has a document."""
    with httpx.Client(base_url=f"{telling.base_url}/api/v1", timeout=60) as client:
        if client.get("/collections/notes").status_code == 404:
            client.post("/collections", json={"name": "notes"}).raise_for_status()
            file = {"file": ("elmsund.md", f"# Elmsund\n\n{TEXT}\n")}
            client.post("/collections/notes/documents", files=file).raise_for_status()
            # So that no webhook of a test is told of it.
            ready(client, 1)
        yield client


def ready(api: httpx.Client, count: int, seconds: float = 60) -> list[str]:
    """The ids of the documents of the collection, when so many are ready."""
    end = time.monotonic() + seconds
    while True:
        answer = api.get("/collections/notes/documents", params={"state": "READY"}).raise_for_status()
        found = [one["id"] for one in answer.json()["documents"]]
        if len(found) >= count:
            return found
        assert time.monotonic() < end, answer.text
        time.sleep(0.1)


def asked(api: httpx.Client) -> dict[str, Any]:
    """A run that has ended."""
    question = {"agent": "research", "message": "How deep is the harbour?", "collections": ["notes"]}
    run: dict[str, Any] = api.post("/runs", json=question).raise_for_status().json()
    return run


def delivered(api: httpx.Client, hook: dict[str, Any], seconds: float = 30) -> dict[str, Any]:
    """The newest message of a webhook, when it has arrived."""
    end = time.monotonic() + seconds
    while True:
        answer = api.get(f"/webhooks/{hook['id']}/deliveries")
        listed = answer.json()
        # Of a service that was killed it is not known yet.
        if answer.status_code != 503:
            answer.raise_for_status()
        if listed.get("deliveries") and listed["deliveries"][0]["state"] == "DELIVERED":
            newest: dict[str, Any] = listed["deliveries"][0]
            return newest
        assert time.monotonic() < end, listed
        time.sleep(0.1)


def test_a_webhook_from_its_making_to_its_end(api: httpx.Client) -> None:
    with Receiver() as receiver:
        made = api.post("/webhooks", json={"url": receiver.url, "label": "CI", "include_answer": True})
        assert made.status_code == 201
        hook = made.json()
        secret = hook.pop("secret")
        assert made.headers["Location"] == f"/api/v1/webhooks/{hook['id']}"
        assert api.get(f"/webhooks/{hook['id']}").json() == hook
        assert api.get("/webhooks").json() == {"webhooks": [hook]}

        run = asked(api)
        [got] = receiver.wait()
        said = verify(secret, got.headers, got.body)
        assert said["type"] == "run.finished"
        assert said["data"] == {
            "agent": "research",
            "answer": run["text"],
            "answer_mode": run["answer_mode"],
            "error_reason": None,
            "outcome": "SUCCEEDED",
            "run_id": run["run_id"],
            "session_id": None,
            "usage": {name: run["usage"][name] for name in ("input_tokens", "output_tokens")},
        }
        newest = delivered(api, hook)
        assert (newest["id"], newest["attempts"], newest["last_status"]) == (
            got.headers["webhook-id"],
            1,
            200,
        )

        key = {"Idempotency-Key": "try"}
        first = api.post(f"/webhooks/{hook['id']}/test", headers=key)
        assert first.status_code == 202
        assert api.post(f"/webhooks/{hook['id']}/test", headers=key).json()["id"] == first.json()["id"]
        rotated = api.post(f"/webhooks/{hook['id']}/rotate").raise_for_status().json()
        test = receiver.wait(2)[1]
        assert verify(secret, test.headers, test.body)["type"] == "webhook.test"
        asked(api)
        last = receiver.wait(3)[2]
        for one in (secret, rotated["secret"]):
            assert verify(one, last.headers, last.body)["type"] == "run.finished"

        changed = api.patch(f"/webhooks/{hook['id']}", json={"enabled": False}).raise_for_status().json()
        assert (changed["enabled"], changed["disabled_reason"]) == (False, "owner")
        refused = api.post(f"/webhooks/{hook['id']}/test")
        assert (refused.status_code, refused.json()["reason"]) == (409, "WEBHOOK_DISABLED")
        assert api.delete(f"/webhooks/{hook['id']}").json() == {}
        assert api.get(f"/webhooks/{hook['id']}").status_code == 404


def test_private_addresses_are_refused_at_the_door(api: httpx.Client) -> None:
    refused = api.post("/webhooks", json={"url": "http://169.254.169.254/latest/meta-data"})
    assert (refused.status_code, refused.json()["reason"]) == (403, "WEBHOOK_ADDRESS_REFUSED")
    wrong = api.post("/webhooks", json={"url": "file:///etc/passwd"})
    assert (wrong.status_code, wrong.json()["reason"]) == (400, "INVALID_FIELD")


def test_nothing_is_lost_when_the_session_service_is_killed_before_it_has_arrived(
    telling: House, api: httpx.Client
) -> None:
    with Receiver(500, 200) as receiver:
        hook = api.post("/webhooks", json={"url": receiver.url}).raise_for_status().json()
        run = asked(api)
        receiver.wait()
        os.kill(telling.pid("session"), signal.SIGKILL)
        # After the first pause, or when the lease of the killed process has ended.
        got = receiver.wait(2, 120)
        said = [verify(hook["secret"], one.headers, one.body) for one in got]
        assert [one["data"]["run_id"] for one in said] == [run["run_id"]] * 2
        assert len({one.headers["webhook-id"] for one in got}) == 1
        assert delivered(api, hook, 60)["attempts"] == 2


def uploaded(api: httpx.Client, name: str, content: str | bytes) -> dict[str, Any]:
    """A document on its way in."""
    answer = api.post("/collections/notes/documents", files={"file": (name, content)})
    answer.raise_for_status()
    document: dict[str, Any] = answer.json()
    return document


def test_a_document_is_told_of_when_it_is_ready_and_when_it_fails(api: httpx.Client) -> None:
    documents = {"event_types": ["document.ready", "document.failed"]}
    with Receiver() as receiver:
        hook = api.post("/webhooks", json={"url": receiver.url, **documents}).raise_for_status().json()
        document = uploaded(api, "pier.md", "# The pier\n\nThe pier of Elmsund is long.\n")
        [got] = receiver.wait()
        said = verify(hook["secret"], got.headers, got.body)
        assert (said["type"], said["data"]) == (
            "document.ready",
            {
                "again": False,
                "collection_id": "notes",
                "document_id": document["id"],
                "error_reason": None,
                "filename": "pier.md",
                "state": "READY",
                "title": "The pier",
                "warnings": 0,
            },
        )
        assert api.get(f"/collections/notes/documents/{document['id']}").json()["state"] == "READY"
        broken = api.post("/collections/notes/documents", files={"file": ("a.pdf", b"%PDF-1.7 broken")})
        got = receiver.wait(2)[1]
        said = verify(hook["secret"], got.headers, got.body)
        assert (said["type"], said["data"]["filename"]) == ("document.failed", "a.pdf")
        assert said["data"]["error_reason"]
        del broken
        api.delete(f"/webhooks/{hook['id']}").raise_for_status()


def test_a_document_whose_text_is_mended_from_its_file_is_told_of_again(
    telling: House, api: httpx.Client
) -> None:
    document = uploaded(api, "buoy.md", "# The buoy\n\nThe buoy of Elmsund is red.\n")
    while api.get(f"/collections/notes/documents/{document['id']}").json()["state"] != "READY":
        time.sleep(0.1)
    with Receiver() as receiver:
        only = {"url": receiver.url, "event_types": ["document.ready"]}
        hook = api.post("/webhooks", json=only).raise_for_status().json()
        again = f"/collections/notes/documents/{document['id']}/reprocess"
        # What is the same is no news.
        assert api.post(again).raise_for_status().status_code == 202
        with closing(sqlite3.connect(telling.directory / "vector" / "record.sqlite3")) as record, record:
            of_it = "document_key = (SELECT key FROM documents WHERE document_id = ?)"
            record.execute(f"DELETE FROM texts WHERE {of_it}", (document["id"],))
        api.post(again).raise_for_status()
        [got] = receiver.wait()
        said = verify(hook["secret"], got.headers, got.body)
        assert (said["type"], said["data"]["document_id"]) == ("document.ready", document["id"])
        assert said["data"]["again"] is True
        api.delete(f"/webhooks/{hook['id']}").raise_for_status()
    text = api.get(f"/collections/notes/documents/{document['id']}/text").text
    assert "The buoy of Elmsund is red." in text


def test_a_document_is_told_of_once_whatever_is_killed_on_the_way(telling: House, api: httpx.Client) -> None:
    with Receiver(500, 200) as receiver:
        only = {"url": receiver.url, "event_types": ["document.ready"]}
        hook = api.post("/webhooks", json=only).raise_for_status().json()
        before = len(ready(api, 1))
        # Who carries it stands still, so that it is committed and told to nobody.
        telling.send("agents", signal.SIGSTOP)
        document = uploaded(api, "mole.md", "# The mole\n\nThe mole of Elmsund is short.\n")
        assert document["id"] in ready(api, before + 1)
        for name in ("vector", "session", "agents"):
            telling.send(name, signal.SIGKILL)
        receiver.wait(1, 90)
        # It is in the queue, and the first try has failed.
        for name in ("session", "agents"):
            telling.send(name, signal.SIGKILL)
        got = receiver.wait(2, 120)
        said = [verify(hook["secret"], one.headers, one.body) for one in got]
        assert [one["data"]["document_id"] for one in said] == [document["id"]] * 2
        assert len({one.headers["webhook-id"] for one in got}) == 1
        delivered(api, hook, 60)
        listed = api.get(f"/webhooks/{hook['id']}/deliveries").raise_for_status().json()["deliveries"]
        assert [one["state"] for one in listed] == ["DELIVERED"]


def test_the_command_line_makes_tries_and_removes_them(telling: House, tmp_path: Path) -> None:
    def told(*arguments: str) -> str:
        done = meld(telling, tmp_path, "webhooks", *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    with Receiver() as receiver:
        secret = told("add", receiver.url, "--label", "shell", "-e", "document.ready").strip()
        listed = json.loads(told("list", "--json"))["webhooks"]
        [hook] = [one for one in listed if one["label"] == "shell"]
        assert hook["event_types"] == ["document.ready"]
        sent = json.loads(told("test", hook["id"], "--json"))
        [got] = receiver.wait()
        assert verify(secret, got.headers, got.body)["type"] == "webhook.test"
        assert got.headers["webhook-id"] == sent["id"]
        assert sent["id"] in told("deliveries", hook["id"])
        assert "off (owner)" in told("disable", hook["id"])
        assert "shell" in told("show", hook["id"])
        told("delete", hook["id"], "--yes")
    gone = meld(telling, tmp_path, "webhooks", "show", hook["id"], "--json")
    assert (gone.returncode, json.loads(gone.stderr)["error"]["reason"]) == (1, "WEBHOOK_NOT_FOUND")


def test_logs_name_no_secret_and_no_address(telling: House, api: httpx.Client) -> None:
    with Receiver(200, path="/hook?token=hushhush") as receiver:
        hook = api.post("/webhooks", json={"url": receiver.url}).raise_for_status().json()
        asked(api)
        delivered(api, hook)
    logs = [path for path in Path(telling.directory).rglob("*.log*") if path.is_file()]
    assert logs
    for log in logs:
        text = log.read_text(errors="replace")
        assert "hushhush" not in text
        assert hook["secret"].removeprefix("whsec_") not in text
