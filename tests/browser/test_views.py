"""The views beside the conversation, in the whole house: what people find there, by mouse and by keyboard."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.browser.accessibility import program, violations
from tests.browser.conftest import DESKTOP, OpenPage, reload, watched
from tests.browser.scripted import PAGE
from tests.support.launched import House

pytestmark = [pytest.mark.browser, pytest.mark.e2e, pytest.mark.timeout(240)]

VIEWS = ("ask", "knowledge", "conversations", "workflows", "insights", "system", "account")
# What is in a view beside what it opens with.
PARTS = tuple(f"knowledge&item={part}" for part in ("queue", "evaluations", "model", "access"))
TITLES = ("Knowledge", "Conversations", "Workflows", "Insights", "System", "Account")
READY = 60_000
# Bytes of all scripts of the page together. 331,000 since code, tables and letters go with a question
# (inputs.js), and answers and code are copied (copy.js); 332,000 since conversations say how long they stay;
# 334,000 since documents come from addresses, and a question waits for the conversation that it belongs to;
# 341,000 since what was said is searched, page by page, and shown where it stands (said.js), and the reader
# leads to the file that a document was made of; 345,000 since documents are read again from their files, and
# say while they are, and why that came to nothing (changes.js, which deletes them as well).
ALL_SCRIPTS = 345_000
# Bytes of those that the first view loads. 160,000 since then: chips for texts and buttons that copy are
# there at once; how texts are read, and as which inputs, loads with the first of them.
FIRST_SCRIPTS = 160_000
TIDES = "# The tide\n\nThe spring tide at Hallgrim reaches 4.2 metres above the lowest mark.\n"


@pytest.fixture(scope="module")
def known(house: House) -> str:
    """A house that knows a document and was asked about it; the collection's name."""
    with httpx.Client(base_url=f"{house.base_url}/api/v1", timeout=60) as http:
        http.post("/collections", json={"name": "views"}).raise_for_status()
        stored = http.post(
            "/collections/views/documents", files={"file": ("tides.md", TIDES.encode(), "text/markdown")}
        )
        stored.raise_for_status()
        session = http.post("/sessions", json={"title": "The height of the tide"}).json()["id"]
        question = {"agent": "research", "message": "How high is the spring tide at Hallgrim?"}
        asked = {**question, "collections": ["views"], "session_id": session}
        http.post("/runs", json=asked).raise_for_status()
    return "views"


def opened(open_page: OpenPage, house: House, view: str, collection: str = "", **options: Any) -> Page:
    """The page at a view."""
    page = open_page(house.base_url, **options)
    page.evaluate("name => localStorage.setItem('meld.collection', name)", collection)
    page.goto(f"{house.base_url}/#view={view}")
    reload(page)
    expect(page.locator("#view h1")).to_be_visible()
    expect(page.locator("#view")).not_to_have_attribute("aria-busy", "true")
    return page


def test_the_first_view_loads_no_more_script_than_its_bound(open_page: OpenPage, house: House) -> None:
    page = open_page(house.base_url)
    loaded = page.evaluate(
        """() => performance.getEntriesByType("resource")
            .filter(({ name }) => name.endsWith(".js"))
            .map(({ name, decodedBodySize }) => [new URL(name).pathname, decodedBodySize])"""
    )
    assert {"/assets/app.js", "/assets/turn.js"} <= {name for name, _ in loaded}
    assert not [name for name, _ in loaded if "/views/" in name]
    assert 0 < sum(size for _, size in loaded) < FIRST_SCRIPTS
    # What is loaded later has a bound as well: whoever adds to it raises it, and says what for.
    assert sum(script.stat().st_size for script in PAGE.rglob("*.js")) < ALL_SCRIPTS


@pytest.mark.timeout(900)
def test_no_view_has_a_violation(browser: Browser, house: House, known: str) -> None:
    axe = program()
    context = browser.new_context(viewport=DESKTOP, color_scheme="light", bypass_csp=True)  # type: ignore[arg-type]
    page = watched(context.new_page())
    page.set_default_timeout(15_000)
    page.goto(house.base_url)
    page.evaluate("name => localStorage.setItem('meld.collection', name)", known)
    found: dict[str, list[str]] = {}
    for size in (DESKTOP, {"width": 390, "height": 844}):
        page.set_viewport_size(size)  # type: ignore[arg-type]  # as the others have it
        for view in VIEWS + PARTS:
            page.goto(f"{house.base_url}/#view={view}")
            reload(page)
            expect(page.locator("#view")).not_to_have_attribute("aria-busy", "true")
            expect(page.locator(".collection-part[aria-busy]")).to_have_count(0)
            found[f"{view} {size['width']}"] = violations(page, axe)
            page.emulate_media(color_scheme="dark")
            found[f"{view} {size['width']} dark"] = violations(page, axe, colours=True)
            page.emulate_media(color_scheme="light")
            assert page.evaluate("document.documentElement.scrollWidth") == size["width"], view
    page.locator("#help-open").evaluate("button => button.click()")
    expect(page.get_by_role("dialog", name="Keyboard")).to_be_visible()
    found["help"] = violations(page, axe)
    page.emulate_media(color_scheme="dark")
    found["help dark"] = violations(page, axe, colours=True)
    context.close()
    assert {view: faults for view, faults in found.items() if faults} == {}


def test_a_collection_whose_model_is_not_there_says_so_and_offers_the_way_out(
    open_page: OpenPage, house: House, known: str
) -> None:
    page = opened(open_page, house, "knowledge&item=model", known, bypass_csp=True)
    part = page.locator(".collection-part")
    # Nobody signs in here: everything is allowed, and there is nothing to go over to.
    expect(part).to_contain_text("This house is set to use no other.")
    notice = "The vectors are those of other files than the service has. Reembed the collection."

    def lost(route: Route) -> None:
        answer = route.fetch()
        told = {**answer.json(), "embedding_revision": "0123456789ab", "embedding_notice": notice}
        route.fulfill(response=answer, json=told)

    page.route(f"**/api/v1/collections/{known}", lost)
    reload(page)
    expect(part).to_contain_text(notice)
    expect(part.get_by_role("heading", level=3)).to_have_text(re.compile("cannot answer$"))
    expect(part).to_contain_text("Until then search is by words only.")
    options = part.get_by_role("combobox", name="Model", exact=True).locator("option")
    expect(options).to_have_text(["all-MiniLM-L6-v2, another revision, of new collections"])
    for width, theme in ((1440, "light"), (390, "dark")):
        page.set_viewport_size({"width": width, "height": 844})
        page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]  # one of two
        assert page.evaluate("document.documentElement.scrollWidth") == width
        assert violations(page, program()) == [], (width, theme)


def test_by_keyboard_to_every_view_and_back(open_page: OpenPage, house: House, known: str) -> None:
    page = open_page(house.base_url)
    page.evaluate("document.activeElement.blur()")
    for key, title in zip("kcwisu", TITLES, strict=True):
        page.keyboard.press("g")
        page.keyboard.press(key)
        expect(page.get_by_role("heading", level=1, name=title)).to_be_visible()
        expect(page.locator("#places [aria-current=page]")).to_have_text(title)
        expect(page.locator("#view")).to_be_focused()
    page.go_back()
    expect(page.get_by_role("heading", level=1, name="System")).to_be_visible()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keyboard")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.keyboard.press("/")
    expect(page.locator("#question")).to_be_focused()
    expect(page.locator("#main")).to_be_visible()


def test_single_letters_can_be_turned_off(open_page: OpenPage, house: House) -> None:
    page = opened(open_page, house, "account")
    page.get_by_label("Single letters are shortcuts").uncheck()
    page.locator("#view").focus()
    page.keyboard.press("g")
    page.keyboard.press("k")
    page.keyboard.press("?")
    expect(page.get_by_role("heading", level=1, name="Account")).to_be_visible()
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_conversations_are_found_named_exported_and_deleted(
    open_page: OpenPage, house: House, tmp_path: Path
) -> None:
    http = httpx.Client(base_url=f"{house.base_url}/api/v1", timeout=30)
    session = http.post("/sessions", json={"title": "About granite"}).json()["id"]
    page = opened(open_page, house, "conversations")
    page.get_by_label("Search conversations").fill("GRANITE")
    expect(page.locator(".row mark")).to_have_text("granite")
    page.get_by_role("button", name="Rename About granite").click()
    page.get_by_label("Title", exact=True).fill("About basalt")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Rename About basalt")).to_be_focused()
    assert http.get(f"/sessions/{session}").json()["title"] == "About basalt"

    for words, suffix in (("Markdown", "md"), ("JSON", "json")):
        with page.expect_download() as kept:
            page.get_by_label(f"Export About basalt as {words}").click()
        assert kept.value.suggested_filename == f"session-{session}.{suffix}"
        kept.value.save_as(tmp_path / suffix)
    assert (tmp_path / "md").read_text().startswith("# About basalt")
    assert json.loads((tmp_path / "json").read_text())["session"]["id"] == session

    page.get_by_label("Search conversations").fill("basalt")
    expect(page.locator(".row mark")).to_have_text("basalt")
    page.get_by_role("button", name="Delete About basalt").click()
    page.get_by_role("button", name="Keep").click()
    expect(page.get_by_role("button", name="Delete About basalt")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    expect(page.locator(".row")).to_have_count(0)
    assert http.get(f"/sessions/{session}").status_code == 404


def test_what_was_said_is_found_and_opened_by_keyboard(open_page: OpenPage, house: House, known: str) -> None:
    axe = program()
    page = opened(open_page, house, "conversations", bypass_csp=True)
    page.get_by_label("Search conversations").focus()
    page.keyboard.type('METRÉS "above the low')
    row = page.locator("#view .row")
    expect(row).to_have_count(1)
    expect(row.locator("mark")).to_have_text(["metres", "above the low"])
    expect(row).to_contain_text("Research answered")
    faults = violations(page, axe)
    page.emulate_media(color_scheme="dark")
    assert faults + violations(page, axe, colours=True) == []
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    turn = page.locator(".turn")
    expect(turn).to_be_focused()
    expect(turn.locator(".answer")).to_contain_text("4.2 metres above the lowest mark")
    assert violations(page, axe) == []


def test_knowledge_searches_with_scores_and_shows_receipts(open_page: OpenPage, house: House) -> None:
    http = httpx.Client(base_url=f"{house.base_url}/api/v1", timeout=60)
    http.post("/collections", json={"name": "receipts"})
    http.post(
        "/collections/receipts/documents", files={"file": ("tides.md", TIDES.encode(), "text/markdown")}
    )
    page = opened(open_page, house, "knowledge", "receipts")
    expect(page.locator("#view .document[data-state=READY]")).to_have_count(1, timeout=READY)
    page.get_by_label("Search this collection").fill("spring tide at Hallgrim")
    page.keyboard.press("Enter")
    hit = page.locator(".hit")
    expect(hit).to_have_count(1)
    expect(hit).to_contain_text("4.2 metres")
    found = http.post("/collections/receipts/search", json={"query": "spring tide at Hallgrim"}).json()[
        "hits"
    ][0]
    expect(hit.locator(".scores")).to_contain_text(f"{found['lexical_score']:.3f}")
    expect(hit.locator(".scores")).to_contain_text(f"{found['vector_score']:.3f}")
    hit.get_by_role("button").click()
    expect(page.locator("#reader mark.lit").first).to_be_in_viewport()
    page.keyboard.press("Escape")

    page.locator("#view .document").hover()
    page.get_by_role("button", name="Delete The tide").click()
    page.get_by_role("button", name="Delete", exact=True).click()
    receipt = page.get_by_role("region", name="Receipt of the deletion")
    expect(receipt).to_contain_text("Nothing of it is left.")
    expect(receipt).to_contain_text("entries of the keyword index")

    # The list goes back beside the conversation.
    page.get_by_role("link", name="Ask").click()
    expect(page.locator(".shelves #documents")).to_be_attached()


def test_insights_are_what_was_recorded(open_page: OpenPage, house: House, known: str) -> None:
    page = opened(open_page, house, "insights")
    page.get_by_role("button", name="24 hours").click()
    expect(page.get_by_role("button", name="24 hours")).to_have_attribute("aria-pressed", "true")
    told = httpx.get(f"{house.base_url}/api/v1/insights?period=24h", timeout=30).json()
    assert told["runs"] >= 1
    expect(page.locator(".tile").first).to_have_text(re.compile(rf"Runs{told['runs']}\b"))
    expect(page.get_by_role("region", name="Agents")).to_contain_text("Research")
    # This house has no model: nothing is counted where nothing was used.
    assert (told["model_runs"], told["cost_usd"]) == (0, None)
    expect(page.locator(".insights")).to_contain_text("No model was asked")
    with page.expect_download() as kept:
        page.get_by_label("Export as CSV").click()
    lines = Path(kept.value.path()).read_text().splitlines()
    assert (
        lines[0]
        == "run_id,agent,session_id,state,created,ended,seconds,input_tokens,output_tokens,model,cost_usd"
    )
    assert len(lines) - 1 == told["runs"]


def test_insights_without_runs_say_so(open_page: OpenPage, house: House) -> None:
    page = open_page(house.base_url)
    nothing = {"period": "7d", "runs": 0, "agents": [], "spans": [], "failures": [], "complete": True}
    page.route("**/api/v1/insights?*", lambda route: route.fulfill(json=nothing))
    page.goto(f"{house.base_url}/#view=insights")
    expect(page.locator("#view")).to_contain_text("Nothing was recorded in this time")
    expect(page.locator(".tile")).to_have_count(0)


def test_system_shows_services_versions_and_errors(open_page: OpenPage, house: House) -> None:
    httpx.get(f"{house.base_url}/api/v1/sessions/nobody", timeout=30)
    page = opened(open_page, house, "system")
    expect(page.locator(".service")).to_have_count(3)
    vector = page.locator(".service").filter(has=page.get_by_role("heading", name="Vector"))
    expect(vector).to_contain_text("Ready")
    told = httpx.get(f"{house.base_url}/api/v1/system", timeout=30).json()
    assert re.fullmatch("[0-9a-f]{64}", told["versions"]["contracts_sha256"])
    expect(page.get_by_role("region", name="Versions")).to_contain_text(told["versions"]["contracts_sha256"])
    expect(page.get_by_role("region", name="Errors")).to_contain_text("GET /api/v1/sessions/<session_id>")


def test_a_workflow_runs_before_ones_eyes(open_page: OpenPage, house: House, known: str) -> None:
    page = opened(open_page, house, "workflows", known)
    page.get_by_role("button", name="Investigate").click()
    graph = page.get_by_role("img", name=re.compile("4 steps"))
    expect(graph.locator(".node")).to_have_count(4)
    page.get_by_label("What the workflow shall do").fill("How high is the spring tide at Hallgrim?")
    page.get_by_role("button", name="Run", exact=True).click()
    # Whether a specialist is asked depends on the question.
    expect(graph.locator(":is([data-state=SUCCEEDED], [data-state=SKIPPED]).node")).to_have_count(
        4, timeout=READY
    )
    turn = page.locator("#view .turn")
    expect(turn).to_have_attribute("data-outcome", "SUCCEEDED", timeout=READY)
    expect(turn.locator(".meld")).to_contain_text("What the agents say")
    expect(turn.locator(".meld")).to_contain_text("4.2 metres")
    # Who looks elsewhere meanwhile finds it again.
    page.get_by_role("link", name="System").click()
    expect(page.locator(".service").first).to_be_visible()
    page.go_back()
    expect(page.locator("#view .turn")).to_have_attribute("data-outcome", "SUCCEEDED", timeout=READY)


def test_why_a_passage_was_taken(open_page: OpenPage, house: House, known: str) -> None:
    page = open_page(house.base_url)
    page.evaluate("name => localStorage.setItem('meld.collection', name)", known)
    reload(page)
    expect(page.locator("#collection")).to_have_value(known)
    page.fill("#question", "How high is the spring tide at Hallgrim?")
    page.keyboard.press("Enter")
    turn = page.locator(".turn").last
    expect(turn).to_have_attribute("data-outcome", "SUCCEEDED", timeout=READY)
    turn.locator(".cite").first.click()
    page.get_by_role("button", name="Why this passage").click()
    expect(page.locator("#reader-why")).to_contain_text("number 1 of")
    expect(page.locator("#reader-why")).to_contain_text("cosine")
    page.get_by_role("button", name="Why this passage").click()
    expect(page.locator("#reader-why")).to_be_hidden()

    page.keyboard.press("Escape")
    turn.get_by_label("Ask another agent").select_option(label="Coaching")
    turn.get_by_role("button", name="Ask Coaching").click()
    again = page.locator(".turn").nth(1)
    expect(again).to_have_attribute("data-outcome", "SUCCEEDED", timeout=READY)
    expect(again.locator("summary").first).to_contain_text("Coaching")
