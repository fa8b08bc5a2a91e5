"""A program is told of the end of a run, through the door and whatever is killed."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

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
        yield client


def asked(api: httpx.Client) -> dict[str, Any]:
    """A run that has ended."""
    question = {"agent": "research", "message": "How deep is the harbour?", "collections": ["notes"]}
    run: dict[str, Any] = api.post("/runs", json=question).raise_for_status().json()
    return run


def delivered(api: httpx.Client, hook: dict[str, Any], seconds: float = 30) -> dict[str, Any]:
    """The newest message of a webhook, when it has arrived."""
    end = time.monotonic() + seconds
    while True:
        listed = api.get(f"/webhooks/{hook['id']}/deliveries").raise_for_status().json()
        if listed["deliveries"] and listed["deliveries"][0]["state"] == "DELIVERED":
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
