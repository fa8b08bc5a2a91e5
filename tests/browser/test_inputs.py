"""Code, tables and letters that go with a question as inputs of its agent, with a scripted gateway."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage, Serve, reload
from tests.browser.scripted import Json, Run, ScriptedGateway
from tests.browser.test_attachments import PNG, attach
from tests.support.launched import House

pytestmark = pytest.mark.browser

SLOW = "def slow(items):\n    return [item for item in items if item in list(items)]\n"
GIVEN = [{"path": "slow.py", "content": SLOW}]
UNREAD = "is no picture, no recording and no text in UTF-8. Remove"
FENCED = f"""What is wrong?

```python
{SLOW}```

and

```
print(1)
```
```js
let a = 1
```
"""
CODE = [
    {"path": "code.py", "content": SLOW},
    {"path": "code2.py", "content": "print(1)\n"},
    {"path": "code.js", "content": "let a = 1\n"},
]
WORKFLOW = {
    "id": "fix", "title": "Fix a defect", "description": "Debug and repair.", "built_in": True,
    "steps": [{"step_id": "mend", "agent_id": "code_repair", "title": "Mend",
               "bindings": [{"source": "inputs.files", "target": "inputs.files"}]}],
}  # fmt: skip


def answering(gateway: ScriptedGateway, run: Run) -> None:
    agent = run.request.get("agent", "executor")
    gateway.succeed(run, gateway.result(run, "Done.", [], agent="research" if agent == "auto" else agent))


def ask(page: Page, question: str = "What is wrong?", turns: int = 1) -> None:
    page.fill("#question", question)
    page.keyboard.press("Enter")
    expect(page.locator(".turn")).to_have_count(turns)
    expect(page.locator(".turn").last).to_have_attribute("data-outcome", "SUCCEEDED")


def asked(gateway: ScriptedGateway) -> Json:
    return list(gateway.runs.values())[-1].request


@pytest.mark.parametrize(
    ("agents", "file", "taken"),
    [
        ("code_repair", ("slow.py", SLOW), ("code_repair", {"files": GIVEN})),
        ("ceo", ("ferries.csv", "ferry,price\n"), ("ceo", {"csv": "ferry,price\n"})),
        ("coaching", ("letter.txt", "Dear Ann,\n"), ("coaching", {"text": "Dear Ann,\n"})),
        # A table may be part of a project, where somebody says so.
        ("code_repair", ("a.csv", "a\n"), ("code_repair", {"files": [{"path": "a.csv", "content": "a\n"}]})),
        ("auto research coaching code_repair", ("slow.py", SLOW), ("code_repair", {"files": GIVEN})),
        ("auto research code_repair coaching", ("a.md", "Dear Ann"), ("coaching", {"text": "Dear Ann"})),
        ("auto research code_repair ceo", ("a.csv", "a\n"), ("ceo", {"csv": "a\n"})),
    ],
)
def test_an_attached_text_is_the_input_that_the_agent_reads(
    open_page: OpenPage,
    serve: Serve,
    agents: str,
    file: tuple[str, str],
    taken: tuple[str, Json],
) -> None:
    name, content = file
    gateway, url = serve(answering)
    chosen, *gateway.routes = agents.split()
    page = open_page(url)
    page.select_option("#agent", chosen)
    attach(page, (name, "", content.encode()))
    expect(page.locator(".chip")).to_have_text(f"{name}{len(content)} bytes")
    ask(page)
    assert (asked(gateway)["agent"], asked(gateway)["inputs"]) == taken
    # It went with the question alone, and the conversation shows it.
    assert gateway.files == {}
    expect(page.locator(".chip")).to_have_count(0)
    given = page.locator(".asked-files .given")
    given.locator("summary").press("Enter")
    expect(given.get_by_role("region", name=f"Text of {name}")).to_have_text(content)


def test_code_in_the_question_becomes_files_where_the_agent_works_on_files(
    open_page: OpenPage, serve: Serve
) -> None:
    gateway, url = serve(answering)
    page = open_page(url)
    page.select_option("#agent", "code_repair")
    ask(page, FENCED)
    assert asked(gateway)["inputs"] == {"files": CODE}
    expect(page.locator(".given summary")).to_contain_text(["code.py", "code2.py", "code.js"])
    # What is attached is meant.
    attach(page, ("slow.py", "", SLOW.encode()))
    ask(page, FENCED, turns=2)
    assert asked(gateway)["inputs"] == {"files": GIVEN}
    page.select_option("#agent", "research")
    ask(page, FENCED, turns=3)
    assert "inputs" not in asked(gateway)
    page.select_option("#agent", "auto")
    ask(page, FENCED, turns=4)
    assert asked(gateway)["agent"] == "auto"
    assert "inputs" not in asked(gateway)
    gateway.routes = ["code_repair"]
    ask(page, FENCED, turns=5)
    assert (asked(gateway)["agent"], asked(gateway)["inputs"]) == ("code_repair", {"files": CODE})


@pytest.mark.parametrize(
    ("agent", "files", "said"),
    [
        ("auto", [("a.pdf", b"%PDF\xe2\xe3")], f"a.pdf {UNREAD}"),
        ("code_repair", [("a.bin", b"a\0b")], f"a.bin {UNREAD}"),
        ("code_repair", [("a.py", b"a" * 400_001)], "a.py has more than 400,000 bytes"),
        ("code_repair", [("a.py", b"a" * 900_001)], "a.py is too large"),
        ("code_repair", [(f"{n}.py", b"a" * 350_000) for n in range(3)], "Together the files have"),
        ("code_repair", [("a.py", b"a"), ("A.py", b"b")], "There are two files named A.py"),
        ("code_repair", [(f"{n}.py", b"a") for n in range(201)], "At most 200 files"),
        ("ceo", [("a.csv", b"a"), ("b.csv", b"b")], "Decisions takes one table by itself. Remove b.csv"),
        ("coaching", [("a.py", b"a")], "Coaching does not take a.py. Choose Code repair, or remove"),
        ("research", [("a.txt", b"a")], "Research does not take a.txt. Choose Coaching or Code repair"),
        ("auto", [("a.py", b"a")], "No agent that fits the question takes a.py. Choose Code repair"),
    ],
)  # fmt: skip
def test_texts_that_nobody_takes_are_told_and_the_question_stays(
    open_page: OpenPage, serve: Serve, agent: str, files: list[tuple[str, bytes]], said: str
) -> None:
    gateway, url = serve(answering)
    page = open_page(url)
    page.select_option("#agent", agent)
    attach(page, *((name, "", data) for name, data in files))
    expect(page.locator(".chip:is([data-phase=taken], [data-phase=failed])")).to_have_count(len(files))
    page.fill("#question", "What is wrong?")
    page.keyboard.press("Enter")
    expect(page.locator("#ask-note")).to_contain_text(said)
    expect(page.locator("#announcer")).to_contain_text(said)
    expect(page.locator("#question")).to_have_value("What is wrong?")
    expect(page.locator(".chip")).to_have_count(len(files))
    # Reading a text again would end as it did.
    expect(page.get_by_role("button", name="Send")).to_have_count(0)
    assert gateway.runs == {}


def test_when_the_agent_cannot_be_chosen_the_question_stays(open_page: OpenPage, serve: Serve) -> None:
    gateway, url = serve(answering)
    gateway.refusals.append(
        ("POST /api/v1/agents/route", 503, "AGENTS_UNAVAILABLE", "the agents do not answer")
    )
    gateway.routes = ["code_repair"]
    page = open_page(url)
    page.fill("#question", FENCED)
    page.keyboard.press("Enter")
    expect(page.locator("#ask-note")).to_have_text("the agents do not answer")
    page.keyboard.press("Enter")
    expect(page.locator(".turn")).to_have_attribute("data-outcome", "SUCCEEDED")
    assert asked(gateway)["inputs"] == {"files": CODE}


def test_a_workflow_takes_code_from_the_question_and_from_its_form(open_page: OpenPage, serve: Serve) -> None:
    gateway, url = serve(answering)
    gateway.workflows = [WORKFLOW]
    page = open_page(url)
    page.select_option("#agent", label="Fix a defect")
    attach(page, ("slow.py", "", SLOW.encode()))
    ask(page)
    assert (asked(gateway)["workflow"], asked(gateway)["inputs"]) == ("fix", {"files": GIVEN})
    page.goto(f"{url}/#view=workflows")
    form = page.locator(".run-form")
    form.get_by_label("What the workflow shall do").fill("Mend it.")
    code = form.get_by_label("Code")
    code.set_input_files([{"name": "slow.py", "mimeType": "", "buffer": b"\xff\xfe"}])
    form.get_by_role("button", name="Run").click()
    expect(form.get_by_role("status")).to_contain_text(
        "slow.py is no picture, no recording and no text in UTF-8."
    )
    assert len(gateway.runs) == 1
    code.set_input_files([{"name": "slow.py", "mimeType": "", "buffer": SLOW.encode()}])
    form.get_by_role("button", name="Run").click()
    expect(page.locator("#view .turn")).to_have_attribute("data-outcome", "SUCCEEDED")
    assert asked(gateway)["inputs"] == {"files": GIVEN}


def test_a_new_conversation_begins_without_what_was_attached(open_page: OpenPage, serve: Serve) -> None:
    gateway, url = serve(answering)
    page = open_page(url)
    attach(page, ("pier.png", "image/png", PNG), ("slow.py", "", SLOW.encode()))
    expect(page.locator(".chip[data-phase=taken]")).to_have_count(2)
    with page.expect_response("**/attachments/att_*"):
        page.locator("[data-new-conversation]:visible").click()
    expect(page.locator(".chip")).to_have_count(0)
    expect(page.locator("#attachments")).to_be_hidden()
    assert gateway.files == {}


def test_a_finished_answer_is_asked_for_again_with_all_that_went_with_it(
    open_page: OpenPage, serve: Serve
) -> None:
    gateway, url = serve(answering)
    page = open_page(url)
    page.select_option("#agent", "code_repair")
    attach(page, ("slow.py", "", SLOW.encode()))
    ask(page)
    again = page.get_by_role("button", name="Ask again")
    page.select_option("#agent", "research")
    again.press("Enter")
    expect(page.locator(".turn")).to_have_count(2)
    expect(page.locator(".turn").last).to_have_attribute("data-outcome", "SUCCEEDED")
    first, second = (run.request for run in gateway.runs.values())
    assert first == second
    expect(page.locator(".turn").last.locator(".given summary")).to_contain_text("slow.py")
    # One is enough.
    expect(again).to_have_count(1)
    # What went with a recorded question is not known.
    reload(page)
    expect(page.locator(".turn")).to_have_count(2)
    expect(page.get_by_role("button", name="Copy the answer")).to_have_count(2)
    expect(again).to_have_count(0)
    ask(page, "How high is the tide?", turns=3)
    reload(page)
    again.click()
    expect(page.locator(".turn")).to_have_count(4)
    expect(page.locator(".turn").last).to_have_attribute("data-outcome", "SUCCEEDED")
    assert (asked(gateway)["agent"], asked(gateway)["message"]) == ("research", "How high is the tide?")
    assert "inputs" not in asked(gateway)


@pytest.mark.e2e
@pytest.mark.timeout(240)
@pytest.mark.parametrize("fenced", [False, True])
@pytest.mark.parametrize("agent", ["code_analyzer", "auto"])
def test_the_house_reads_the_code(open_page: OpenPage, house: House, agent: str, fenced: bool) -> None:
    page = open_page(house.base_url)
    page.select_option("#agent", agent)
    question = "Review this code for smells and defects."
    if not fenced:
        attach(page, ("slow.py", "", SLOW.encode()))
    page.fill("#question", f"{question}\n\n```python\n{SLOW}```" if fenced else question)
    page.keyboard.press("Enter")
    turn = page.locator(".turn")
    expect(turn).to_have_attribute("data-outcome", "SUCCEEDED", timeout=60_000)
    expect(turn.locator(".steps summary")).to_contain_text("Code analyzer")
    expect(turn.locator(".answer")).not_to_contain_text("There is no code among the inputs")
    expect(turn).to_contain_text("code.py" if fenced else "slow.py")
