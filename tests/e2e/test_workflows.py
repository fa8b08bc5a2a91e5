"""Workflows over the whole house: a plan that is approved after its service was killed, and answers that are
melded though the documents disagree."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.e2e.test_interrupted_runs import Watcher, soon
from tests.support.launched import House, launched

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

DOCUMENTS = {
    "north.md": "# Survey of the north\n\n"
    "The harbour of Brava is fourteen metres deep. The ferry to Brava leaves at nine.\n",
    "south.md": "# Survey of the south\n\n"
    "The harbour of Brava is 12 m deep. The lighthouse of Brava was built in 1884.\n",
}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with launched(tmp_path_factory.mktemp("house"), {}) as running:
        yield running


@pytest.fixture(scope="module")
def client(house: House) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"{house.base_url}/api/v1", timeout=120) as opened:
        opened.post("/collections", json={"name": "surveys"}).raise_for_status()
        for name, text in DOCUMENTS.items():
            sent = opened.post("/collections/surveys/documents", files={"file": (name, text)})
            identity = sent.raise_for_status().json()["id"]
            url = f"/collections/surveys/documents/{identity}"
            soon(lambda url=url: opened.get(url).json()["state"] == "READY")
        yield opened


def started(client: httpx.Client, **body: Any) -> str:
    answer = client.post("/workflows/runs", json={"collections": ["surveys"], "background": True, **body})
    assert answer.is_success, answer.text
    run_id: str = answer.json()["run_id"]
    return run_id


def steps(events: list[dict[str, Any]]) -> list[str]:
    """How the steps went: "decide SUCCEEDED"."""
    told = [event["step"] for event in events if event["type"] == "step"]
    return [f"{step['step_id']} {step['state']}" for step in told]


def test_a_plan_is_approved_after_its_service_was_killed_and_then_carried_out(
    house: House, client: httpx.Client
) -> None:
    objective = (
        "Find out how deep the harbour of Brava is, then find out from the documents when the ferry leaves."
    )
    run_id = started(client, workflow="plan", message=objective)
    watcher = Watcher(f"{house.base_url}/api/v1/runs/{run_id}/events")
    soon(lambda: "approve WAITING" in steps(watcher.events))
    (asked,) = [
        event["step"]["reason"]
        for event in watcher.events
        if event["type"] == "step" and event["step"]["state"] == "WAITING"
    ]
    assert asked.startswith("Shall this plan be carried out?")

    house.send("agents", signal.SIGKILL)

    decision = {"approved": True, "comment": "Go on."}
    soon(lambda: client.post(f"/runs/{run_id}/steps/approve/decision", json=decision).is_success)
    soon(lambda: client.get(f"/runs/{run_id}").json()["state"] != "RUNNING", 120)
    events = watcher.all()
    assert [event["sequence"] for event in events] == list(range(1, len(events) + 1))
    assert steps(events) == [
        *("decide RUNNING", "decide SUCCEEDED", "approve WAITING", "approve SUCCEEDED"),
        *("execute RUNNING", "execute SUCCEEDED"),
    ]
    record = client.get(f"/runs/{run_id}").json()
    assert "fourteen metres" in record["text"] or "12 m" in record["text"]
    (below,) = [each["run_id"] for each in record["result"]["steps"] if each["step_id"] == "execute"]
    planned = client.get(f"/runs/{below}").json()["result"]["steps"]
    assert [each["state"] for each in planned] == ["SUCCEEDED"] * len(planned)
    assert len(planned) == 2


def test_a_plan_that_is_rejected_is_not_carried_out(client: httpx.Client) -> None:
    run_id = started(client, workflow="plan", message="Find out how deep the harbour of Brava is.")
    decision = {"approved": False, "comment": "Too early."}
    soon(lambda: client.post(f"/runs/{run_id}/steps/approve/decision", json=decision).is_success)
    soon(lambda: client.get(f"/runs/{run_id}").json()["state"] != "RUNNING")
    result = client.get(f"/runs/{run_id}").json()["result"]
    states = {each["step_id"]: each["state"] for each in result["steps"]}
    assert (states["approve"], states["execute"]) == ("FAILED", "SKIPPED")
    assert any("execute" in undone or "Carry it out" in undone for undone in result["undone"])


def test_a_conflict_of_two_documents_is_named_with_both_citations(client: httpx.Client) -> None:
    asked = "How deep is the harbour of Brava?"
    body = {
        "message": asked,
        "steps": [
            {"step_id": "one", "agent_id": "research"},
            {"step_id": "other", "agent_id": "coaching"},
            {"step_id": "all", "after": ["one", "other"], "meld": {}},
        ],
        "collections": ["surveys"],
    }
    answer = client.post("/workflows/runs", json=body).raise_for_status().json()
    (conflict,) = answer["result"]["meld"]["conflicts"]
    numbers = [number for side in conflict["sides"] for number in side["citations"]]
    cited = {each["number"]: each for each in answer["citations"]}
    assert {cited[number]["title"] for number in numbers} == {"Survey of the north", "Survey of the south"}
    for side in conflict["sides"]:
        assert all(f"[{number}]" in answer["text"] for number in side["citations"])
    verified = client.post(
        "/citations/verify",
        json={
            "citations": [
                {
                    name: each[name]
                    for name in ("document_id", "extraction_sha256", "byte_start", "byte_end", "quote")
                }
                for each in cited.values()
            ]
        },
    ).json()["results"]
    assert all(verdict["verified"] for verdict in verified)


def test_a_workflow_is_kept_shown_as_a_picture_and_run_by_its_name(client: httpx.Client) -> None:
    steps_of = [
        {"step_id": "depth", "agent_id": "research", "message": "How deep is the harbour of Brava?"},
        {"step_id": "ferry", "agent_id": "research", "message": "When does the ferry to Brava leave?"},
        {"step_id": "all", "after": ["depth", "ferry"], "meld": {}},
    ]
    kept = client.post("/workflows", json={"id": "brava", "title": "Brava", "steps": steps_of})
    assert kept.status_code == 201, kept.text
    listed = [each["id"] for each in client.get("/workflows").json()["workflows"]]
    assert listed == ["fix", "investigate", "plan", "review", "brava"]
    drawn = client.get("/workflows/brava/picture")
    assert drawn.headers["content-type"].startswith("image/svg+xml")
    assert "melds the answers" in drawn.text
    answer = client.post(
        "/workflows/runs", json={"workflow": "brava", "message": "All of it.", "collections": ["surveys"]}
    )
    assert "at nine" in answer.raise_for_status().json()["text"]
    assert client.delete("/workflows/brava").status_code == 204
    assert client.get("/workflows/brava").json()["reason"] == "WORKFLOW_NOT_FOUND"
