"""A conversation that is open stays so until somebody leaves it; the list of all has each of them once."""

from __future__ import annotations

import threading
import time
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.conftest import OpenPage, Serve, arrived
from tests.browser.scripted import Run, ScriptedGateway

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]


def script(gateway: ScriptedGateway, run: Run) -> None:
    gateway.succeed(run, gateway.result(run, "It reaches 4.2 metres.", []))


def ask(page: Page, question: str) -> None:
    page.fill("#question", question)
    page.keyboard.press("Enter")
    expect(page.locator(".turn").last).to_have_attribute("data-outcome", "SUCCEEDED")


def place(page: Page) -> dict[str, list[str]]:
    """What the address says."""
    return parse_qs(urlsplit(page.url).fragment)


def test_the_skip_link_leaves_view_and_conversation_open(serve: Serve, open_page: OpenPage) -> None:
    _, url = serve(script)
    page = open_page(url)
    ask(page, "How high is the tide?")
    page.get_by_role("link", name="Conversations").click()
    expect(page.get_by_role("heading", level=1, name="Conversations")).to_be_visible()
    before = place(page)
    assert before["view"] == ["conversations"]
    assert before["session"]
    page.locator(".skip").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#view")).to_be_focused()
    expect(page.get_by_role("heading", level=1, name="Conversations")).to_be_visible()
    assert place(page) == before

    page.get_by_role("link", name="Ask", exact=True).click()
    page.locator(".skip").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#main")).to_be_focused()
    expect(page.locator(".turn")).to_have_count(1)
    assert place(page) == {"session": before["session"]}


def test_a_deleted_conversation_is_not_asked_in_again(serve: Serve, open_page: OpenPage) -> None:
    gateway, url = serve(script)
    page = open_page(url)
    ask(page, "How high is the tide?")
    [deleted] = gateway.sessions
    page.get_by_role("link", name="Conversations").click()
    page.get_by_role("button", name="Delete How high is the tide?").click()
    page.get_by_role("button", name="Delete: Delete How high is the tide?").click()
    expect(page.locator("#view .row")).to_have_count(0)
    expect(page.locator("#conversations")).to_have_text("None yet")
    page.get_by_role("link", name="Ask", exact=True).click()
    expect(page.locator(".turn")).to_have_count(0)
    ask(page, "And the neap tide?")
    [other] = gateway.sessions
    assert other != deleted
    assert [run.request["session_id"] for run in gateway.runs.values()] == [deleted, other]


def test_a_page_of_conversations_is_added_once(serve: Serve, open_page: OpenPage) -> None:
    _, url = serve(script)
    page = open_page(url)

    def answer(route: Route) -> None:
        token = parse_qs(urlsplit(route.request.url).query).get("page_token", ["0"])[0]
        first = 2 * int(token)
        said = [{"id": f"ses_{number}", "title": f"Tide {number}"} for number in (first, first + 1)]
        following = str(int(token) + 1) if token != "3" else None
        route.fulfill(json={"sessions": said, "next_page_token": following})

    page.route("**/api/v1/sessions?page_size=100*", answer)
    page.get_by_role("link", name="Conversations").click()
    rows = page.locator("#view .row-title")
    expect(rows).to_have_text(["Tide 0", "Tide 1"])
    page.get_by_role("button", name="Show more").evaluate("more => { more.click(); more.click(); }")
    expect(rows).to_have_text([f"Tide {number}" for number in range(4)])
    page.get_by_role("button", name="Show more").click()
    expect(rows).to_have_text([f"Tide {number}" for number in range(6)])


def test_another_agent_is_not_asked_while_one_answers(serve: Serve, open_page: OpenPage) -> None:
    go_on = threading.Event()

    def one_by_one(gateway: ScriptedGateway, run: Run) -> None:
        if len(gateway.runs) == 2:
            go_on.wait(20)
        gateway.succeed(run, gateway.result(run, "It reaches 4.2 metres.", []))

    gateway, url = serve(one_by_one)
    page = open_page(url)
    ask(page, "How high is the tide?")
    page.fill("#question", "And the neap tide?")
    page.keyboard.press("Enter")
    expect(page.locator(".turn")).to_have_count(2)
    first = page.locator(".turn").first
    first.get_by_label("Ask another agent").select_option(label="Coaching")
    first.get_by_role("button", name="Ask Coaching").click()
    expect(first.locator(".again")).to_contain_text("Another question is being answered.")
    expect(page.locator(".turn")).to_have_count(2)
    go_on.set()
    expect(page.locator(".turn").last).to_have_attribute("data-outcome", "SUCCEEDED")
    first.get_by_role("button", name="Ask Coaching").click()
    expect(page.locator(".turn")).to_have_count(3)
    expect(first.locator(".again")).not_to_contain_text("Another question")
    expect(page.locator(".turn").last).to_have_attribute("data-outcome", "SUCCEEDED")
    assert list(gateway.runs.values())[-1].request["agent"] == "coaching"


def held(page: Page, address: str) -> list[Route]:
    """The page is opened again, and its first request to this address waits; that one."""
    where, waiting = page.url, list[Route]()
    page.goto("about:blank")
    page.route(address, lambda route: route.continue_() if waiting else waiting.append(route))
    page.goto(where)
    arrived(page)
    end = time.monotonic() + 20
    while not waiting:
        assert time.monotonic() < end
        page.wait_for_timeout(20)
    return waiting


def test_a_question_that_comes_before_the_page_is_whole_is_not_lost(
    serve: Serve, open_page: OpenPage
) -> None:
    answer = threading.Event()

    def answering(gateway: ScriptedGateway, run: Run) -> None:
        answer.wait(20)
        script(gateway, run)

    _, url = serve(answering)
    page = open_page(url)
    (listing,) = held(page, "**/sessions?*")
    beginning: list[Route] = []
    page.route("**/sessions", lambda route: beginning.append(route))  # noqa: PLW0108 # it gets an attribute
    page.fill("#question", "How high is the tide?")
    with page.expect_request("**/sessions"):
        page.keyboard.press("Enter")
    with page.expect_response("**/sessions?*"):
        listing.continue_()
    # What follows the list has been done by then.
    page.wait_for_timeout(200)
    expect(page.locator(".turn .question")).to_have_text("How high is the tide?")
    beginning.pop().continue_()
    answer.set()
    expect(page.locator(".turn")).to_have_attribute("data-outcome", "SUCCEEDED")
    expect(page.locator(".answer")).to_contain_text("It reaches 4.2 metres.")


def test_a_question_in_a_conversation_that_is_still_opened_comes_behind_it(
    serve: Serve, open_page: OpenPage
) -> None:
    _, url = serve(script)
    page = open_page(url)
    ask(page, "How high is the tide?")
    (listing,) = held(page, "**/sessions?*")
    page.fill("#question", "And when?")
    page.keyboard.press("Enter")
    listing.continue_()
    expect(page.locator(".turn .question")).to_have_text(["How high is the tide?", "And when?"])
    expect(page.locator(".turn").last).to_have_attribute("data-outcome", "SUCCEEDED")


def match(number: int, *, said: bool = True) -> dict[str, object]:
    """A conversation that is found, by what was said or by its title."""
    snippet = [
        {"text": "The ", "matched": False},
        {"text": "tide", "matched": True},
        {"text": f" of {number} <b>", "matched": False},
    ]
    message = {"id": "m", "sequence": 2, "role": "ASSISTANT", "agent": "research", "created": None}
    session = {"id": f"ses_{number}", "title": f"Talk {number}", "messages": 4, "updated": None}
    return {"session": session, "message": message if said else None, "snippet": snippet}


def test_what_was_said_is_found_as_it_is_typed_and_further_back_when_asked(
    serve: Serve, open_page: OpenPage
) -> None:
    _, url = serve(script)
    page = open_page(url)
    asked: list[tuple[str, str]] = []
    go_on = threading.Event()

    def answer(route: Route) -> None:
        token = parse_qs(urlsplit(route.request.url).query).get("page_token", [""])[0]
        query = route.request.post_data_json["query"]
        asked.append((query, token))
        if not token:
            # Nothing was found by then; it goes on by itself.
            route.fulfill(json={"matches": [], "next_page_token": "1"})
        elif token == "1":
            found = [match(number, said=number > 0) for number in range(20)]
            route.fulfill(json={"matches": found, "next_page_token": "2"})
        else:
            go_on.wait(10)
            route.fulfill(json={"matches": [match(20)], "next_page_token": None})

    page.route("**/api/v1/sessions/search*", answer)
    page.get_by_role("link", name="Conversations").click()
    search = page.get_by_label("Search conversations")
    search.press_sequentially("tide")
    rows, note = page.locator("#view .row"), page.locator("#view .rule[role=status]")
    expect(note).to_have_text("20 conversations found so far.")
    assert [one for one in asked if one[0] == "tide"] == [("tide", ""), ("tide", "1")]
    expect(rows.first.locator(".row-title")).to_have_text("The tide of 0 <b>")
    expect(rows.nth(1).locator(".row-title")).to_have_text("Talk 1")
    expect(rows.nth(1).locator(".said")).to_have_text("The tide of 1 <b>")
    expect(rows.nth(1).locator("mark")).to_have_text("tide")
    expect(rows.nth(1)).to_contain_text("Research answered")
    # A screen reader hears the text beside the title.
    expect(rows.nth(1).locator(".row-title")).to_have_accessible_description("The tide of 1 <b>")
    more = page.get_by_role("button", name="Show more")
    more.click()
    expect(more).to_be_hidden()
    go_on.set()
    expect(note).to_have_text("21 conversations found.")
    expect(rows).to_have_count(21)


def test_nothing_found_and_words_that_change_are_told(serve: Serve, open_page: OpenPage) -> None:
    _, url = serve(script)
    page = open_page(url)
    asked: list[str] = []

    def answer(route: Route) -> None:
        query = route.request.post_data_json["query"]
        asked.append(query)
        if query == '"':
            detail = "query must have a word, or something between quotes"
            route.fulfill(status=400, content_type="application/problem+json", json={"detail": detail})
        else:
            # Of what is rare there is always more to search, and never a match.
            found = {"ti": [match(99)], "tide": [match(1)]}.get(query, [])
            route.fulfill(json={"matches": found, "next_page_token": "1" if query == "rare" else None})

    page.route("**/api/v1/sessions/search*", answer)
    page.get_by_role("link", name="Conversations").click()
    search = page.get_by_label("Search conversations")
    rows, note = page.locator("#view .row"), page.locator("#view .rule[role=status]")
    search.fill("quay")
    expect(note).to_have_text("Nothing found.")
    expect(page.locator("#view .rows")).to_contain_text("Nothing was said with all of it")
    search.fill('"')
    expect(page.locator("#view .rows [role=alert]")).to_contain_text("something between quotes")
    search.fill("rare")
    expect(note).to_have_text("Nothing found so far.")
    expect(page.get_by_role("button", name="Show more")).to_be_visible()
    assert asked.count("rare") == 20
    search.fill("")
    expect(page.locator("#view .rows")).to_contain_text("No conversation yet")
    expect(note).to_have_text("")
    # What is typed on while an answer comes takes its place.
    search.evaluate(
        """search => {
            for (const words of ["ti", "tide"]) {
                search.value = words;
                search.dispatchEvent(new Event("input"));
            }
        }"""
    )
    expect(rows.locator(".said")).to_have_text(["The tide of 1 <b>"])


def test_what_was_found_is_opened_where_it_was_said(serve: Serve, open_page: OpenPage) -> None:
    gateway, url = serve(script)
    page = open_page(url)
    session = gateway.name("ses")
    gateway.sessions[session] = {"id": session, "title": "Long", "updated": "2026-11-01T12:00:00Z"}
    gateway.messages[session] = [
        {"sequence": number, "role": "ASSISTANT" if number % 2 else "USER", "text": f"Words {number}. " * 40}
        for number in range(10, 60)
    ]
    found = match(1)
    found["session"] = gateway.sessions[session]
    said = {"id": "m", "sequence": 31, "role": "ASSISTANT", "agent": "research", "created": None}

    def answer(route: Route) -> None:
        route.fulfill(json={"matches": [{**found, "message": said}], "next_page_token": None})

    page.route("**/api/v1/sessions/search*", answer)
    for sequence, heading, note in ((31, "Words 30. ", False), (3, "Words 10. ", True)):
        said["sequence"] = sequence
        page.get_by_role("link", name="Conversations").click()
        page.get_by_label("Search conversations").fill("words")
        expect(page.locator("#view .said")).to_have_count(1)
        page.locator("#view .row-title").press("Enter")
        turn = page.locator(".turn", has_text=heading)
        expect(turn).to_be_focused()
        expect(turn.locator(".question")).to_be_in_viewport()
        expect(page.locator(".turn.found")).to_have_count(1)
        expect(page.locator("#turns > .rule")).to_have_count(int(note))
        assert place(page) == {"session": [session]}
    # The next question goes to that conversation.
    page.keyboard.press("/")
    expect(page.locator("#question")).to_be_focused()
