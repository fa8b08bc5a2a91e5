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
    page.get_by_label("Search titles").evaluate(
        """search => {
            for (const words of ["t", "ti", "tide"]) {
                search.value = words;
                search.dispatchEvent(new Event("input"));
            }
        }"""
    )
    expect(rows).to_have_text([f"Tide {number}" for number in range(8)])
    expect(page.locator("#view .rule[role=status]")).to_have_text("8 conversations found.")


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
