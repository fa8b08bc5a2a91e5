"""Workflows on the page: chosen, followed step by step, and decided on, with a scripted gateway."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import OpenPage, Serve, reload
from tests.browser.scripted import Run, ScriptedGateway

pytestmark = pytest.mark.browser

WORKFLOWS = [
    {"id": "fix", "title": "Fix a defect", "description": "Debug, repair, test.", "built_in": True},
    {"workflow_id": "ours", "title": "", "description": "", "built_in": False},
]


def step(run: Run, step_id: str, state: str, reason: str = "", attempt: int = 1, **more: Any) -> None:
    said = {"step_id": step_id, "state": state, "run_id": "", "attempt": attempt, "reason": reason}
    run.tell("step", {**said, "decide_before": None, **more})


def approving(gateway: ScriptedGateway, run: Run) -> None:
    """A script with an approval; what was decided is how it goes on."""
    step(run, "find_cause", "SUCCEEDED")
    until = "2026-11-26T09:30:00.000Z"
    step(run, "ok", "WAITING", "Found: a. Shall it be mended?", decide_before=until)
    approved = gateway.wait_decision(run, "ok")
    step(run, "ok", "SUCCEEDED" if approved else "FAILED", "" if approved else "rejected")
    text = "Mended." if approved else "Left as it is."
    gateway.succeed(run, gateway.result(run, text, [], agent="executor"))


def test_without_a_list_of_workflows_there_is_no_group(open_page: OpenPage, serve: Serve) -> None:
    _, url = serve(lambda gateway, run: None)
    page = open_page(url)
    expect(page.locator("#agent option")).to_have_count(7)
    expect(page.locator("#agent optgroup")).to_have_count(0)


def test_a_workflow_is_asked_and_its_steps_are_followed(open_page: OpenPage, serve: Serve) -> None:
    more, go_on = threading.Event(), threading.Event()

    def script(gateway: ScriptedGateway, run: Run) -> None:
        step(run, "find_cause", "RUNNING")
        step(run, "measure", "RUNNING")
        more.wait(20)
        step(run, "measure", "FAILED", "no time is left")
        step(run, "find_cause", "RUNNING", attempt=2)
        go_on.wait(20)
        step(run, "find_cause", "SUCCEEDED", attempt=2)
        step(run, "mend", "SKIPPED", "its condition does not hold")
        gateway.succeed(run, gateway.result(run, "Nothing to mend.", [], agent="executor"))

    gateway, url = serve(script)
    gateway.workflows = WORKFLOWS
    page = open_page(url)
    expect(page.locator("#agent optgroup")).to_have_attribute("label", "Workflows")
    expect(page.locator("#agent optgroup option")).to_have_text(["Fix a defect", "ours"])
    page.select_option("#agent", label="Fix a defect")
    page.fill("#question", "Why does it fail?")
    page.keyboard.press("Enter")
    expect(page.locator(".steps summary")).to_have_text("Working on find cause, measure")
    expect(page.locator(".step")).to_have_text(["find causeat work", "measureat work"])
    more.set()
    expect(page.locator(".step")).to_have_text(["find causeat work, try 2", "measurefailed: no time is left"])
    # Who leaves and comes back sees the same.
    reload(page)
    expect(page.locator(".step")).to_have_text(["find causeat work, try 2", "measurefailed: no time is left"])
    go_on.set()
    expect(page.locator(".answer")).to_have_text("Nothing to mend.")
    expect(page.locator(".step")).to_have_text(
        [
            "find causedone, try 2",
            "measurefailed: no time is left",
            "mendskipped: its condition does not hold",
        ]
    )
    (run,) = gateway.runs.values()
    assert run.request["workflow"] == "fix"
    assert run.request["background"] is True
    assert "agent" not in run.request
    assert "POST /api/v1/workflows/runs" in gateway.requests
    # The choice is kept.
    expect(page.locator("#agent")).to_have_value("workflow:fix")


@pytest.mark.parametrize(("button", "answer"), [("Approve", "Mended."), ("Reject", "Left as it is.")])
def test_a_step_that_waits_is_decided_by_keyboard(
    open_page: OpenPage, serve: Serve, button: str, answer: str
) -> None:
    gateway, url = serve(approving)
    gateway.workflows = WORKFLOWS
    page = open_page(url, timezone_id="UTC")
    page.select_option("#agent", label="Fix a defect")
    page.fill("#question", "Mend it.")
    page.keyboard.press("Enter")
    approval = page.get_by_role("region", name="Decision")
    expect(approval).to_contain_text("Found: a. Shall it be mended?")
    expect(approval).to_contain_text("Waits until 09:30.")
    expect(page.locator("#announcer")).to_have_text("Your decision is needed: Found: a. Shall it be mended?")
    expect(page.locator(".steps summary")).to_have_text("Waiting for your decision")
    expect(page.locator(".step").last).to_have_text("okwaits for a decision")
    # Who is writing goes on writing.
    expect(page.locator("#question")).to_be_focused()
    for _ in range(12):
        page.keyboard.press("Shift+Tab")
        if page.evaluate("document.activeElement.textContent") == button:
            break
    page.keyboard.press("Enter")
    expect(page.locator(".answer")).to_have_text(answer)
    expect(page.locator(".approval")).to_have_count(0)
    expect(page.locator(".steps summary")).to_be_focused()
    (run,) = gateway.runs.values()
    assert gateway.decisions == {(run.run_id, "ok"): button == "Approve"}


def test_a_decision_that_is_refused_says_why_and_can_be_made_again(open_page: OpenPage, serve: Serve) -> None:
    gateway, url = serve(approving)
    gateway.workflows = WORKFLOWS
    gateway.refusals.append(("POST /api/v1/runs/", 503, "AGENTS_UNAVAILABLE", "the agents do not answer"))
    page = open_page(url)
    page.select_option("#agent", label="ours")
    page.fill("#question", "Mend it.")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Approve").click()
    expect(page.locator(".approval-said")).to_have_text("the agents do not answer")
    assert gateway.decisions == {}
    page.get_by_role("button", name="Approve").click()
    expect(page.locator(".answer")).to_have_text("Mended.")


def test_a_workflow_takes_no_pictures(open_page: OpenPage, serve: Serve) -> None:
    gateway, url = serve(approving)
    gateway.workflows = WORKFLOWS
    page = open_page(url)
    page.select_option("#agent", label="Fix a defect")
    file: Any = {"name": "a.png", "mimeType": "image/png", "buffer": b"data"}
    page.set_input_files("#attach-picker", [file])
    expect(page.locator(".chip[data-phase=taken]")).to_have_count(1)
    page.fill("#question", "Mend it.")
    page.keyboard.press("Enter")
    expect(page.locator("#ask-note")).to_contain_text("Fix a defect takes no pictures")
    assert gateway.runs == {}


def test_where_conversations_are_not_kept_only_the_workflows_own_events_count(
    open_page: OpenPage, serve: Serve
) -> None:
    go_on = threading.Event()

    def script(gateway: ScriptedGateway, run: Run) -> None:
        step(run, "find_cause", "RUNNING")
        run.tell("text", {"text": "Of the step. ", "reset": False, "step_id": "find_cause"})
        run.tell("text", {"text": "Of the workflow.", "reset": False})
        go_on.wait(20)
        gateway.succeed(run, gateway.result(run, "Of the workflow.", [], agent="executor"))

    gateway, url = serve(script)
    gateway.workflows = WORKFLOWS
    gateway.refusals.append(("POST /api/v1/sessions", 503, "SESSION_UNAVAILABLE", "no sessions"))
    page = open_page(url)
    page.select_option("#agent", label="Fix a defect")
    page.fill("#question", "Mend it.")
    page.keyboard.press("Enter")
    expect(page.locator(".answer")).to_have_text("Of the workflow.")
    go_on.set()
    expect(page.locator(".turn")).to_have_attribute("data-outcome", "SUCCEEDED")
    expect(page.locator(".notice")).to_contain_text("This conversation is not being kept")
    (run,) = gateway.runs.values()
    assert (run.request["workflow"], run.request["stream"]) == ("fix", True)


def test_a_decision_is_no_longer_asked_for_when_the_run_is_lost(open_page: OpenPage, serve: Serve) -> None:
    gone = threading.Event()

    def script(gateway: ScriptedGateway, run: Run) -> None:
        step(run, "ok", "WAITING", "Shall it be mended?")
        gone.wait(20)
        del gateway.runs[run.run_id]
        run.cut_connections()

    gateway, url = serve(script)
    gateway.workflows = WORKFLOWS
    page = open_page(url)
    page.select_option("#agent", label="ours")
    page.fill("#question", "Mend it.")
    page.keyboard.press("Enter")
    expect(page.locator(".approval")).to_have_count(1)
    gone.set()
    expect(page.locator(".failure")).to_contain_text("no run")
    expect(page.locator(".approval")).to_have_count(0)
