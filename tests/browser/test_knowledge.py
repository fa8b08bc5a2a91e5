"""What the view Knowledge says of its lists, and of searches that overtake each other."""

from __future__ import annotations

import json
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.conftest import OpenPage, Serve
from tests.browser.scripted import Document

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]


def hit(document: Document) -> dict[str, Any]:
    """A passage that was found."""
    text = document.text.decode()
    return {
        "document_id": document.id, "collection": document.collection, "title": document.filename,
        "text": text, "byte_start": 0, "byte_end": len(document.text), "extraction_sha256": "",
        "score": 0.5, "lexical_score": 1.5, "vector_score": 0, "headings": [],
    }  # fmt: skip


def search(page: Page, words: str) -> None:
    page.get_by_label("Search this collection").fill(words)
    page.keyboard.press("Enter")


def test_hits_stay_when_another_document_goes(serve: Serve, open_page: OpenPage) -> None:
    gateway, url = serve(lambda gateway, run: None)
    tides, stones = gateway.put("tides.txt", "The tide is high."), gateway.put("stones.txt", "Granite.")
    page = open_page(url)
    found = {"hits": [hit(tides), hit(stones)], "degraded_reason": "MODEL_DOWN", "pending_vectors": 0}
    page.route("**/search", lambda route: route.fulfill(json=found))
    page.get_by_role("link", name="Knowledge").click()
    search(page, "tide")
    expect(page.locator(".hit-title")).to_have_text(["tides.txt", "stones.txt"])
    expect(page.locator(".results")).to_contain_text("Searched by words only (MODEL_DOWN).")
    with page.expect_request(lambda asked: "/collections?" in asked.url):
        page.locator("#view .document").filter(has_text="stones.txt").hover()
        page.get_by_role("button", name="Delete stones.txt").click()
        page.get_by_role("button", name="Delete", exact=True).click()
    expect(page.get_by_role("region", name="Collections")).to_contain_text("documents1")
    expect(page.locator(".hit-title")).to_have_text(["tides.txt"])


def test_an_older_search_does_not_replace_a_newer_one(serve: Serve, open_page: OpenPage) -> None:
    gateway, url = serve(lambda gateway, run: None)
    tides, stones = gateway.put("tides.txt", "The tide is high."), gateway.put("stones.txt", "Granite.")
    page = open_page(url)
    waiting: list[Route] = []

    def answer(route: Route) -> None:
        if json.loads(route.request.post_data or "{}")["query"] == "slow":
            waiting.append(route)
        else:
            route.fulfill(json={"hits": [hit(stones)], "degraded_reason": None, "pending_vectors": 0})

    page.route("**/search", answer)
    page.get_by_role("link", name="Knowledge").click()
    search(page, "slow")
    search(page, "fast")
    expect(page.locator(".hit-title")).to_have_text(["stones.txt"])
    with page.expect_response(lambda said: "slow" in (said.request.post_data or "")) as late:
        waiting[0].fulfill(json={"hits": [hit(tides)], "degraded_reason": None, "pending_vectors": 0})
    late.value.finished()
    page.evaluate("() => new Promise((drawn) => requestAnimationFrame(() => setTimeout(drawn, 200)))")
    expect(page.locator(".hit-title")).to_have_text(["stones.txt"])


def test_a_list_that_goes_on_says_so(serve: Serve, open_page: OpenPage) -> None:
    gateway, url = serve(lambda gateway, run: None)
    gateway.put("tides.txt", "The tide is high.")
    page = open_page(url)
    known = {"id": "documents", "name": "documents", "documents": 1, "chunks": 1, "vectors": 1}

    def answer(route: Route) -> None:
        route.fulfill(json={"collections": [known], "next_page_token": "more"})

    page.route("**/api/v1/collections?page_size=1000", answer)
    page.get_by_role("link", name="Knowledge").click()
    expect(page.locator("#view")).to_contain_text("Only the first 1,000 collections are shown.")


def test_an_address_becomes_a_document(serve: Serve, open_page: OpenPage) -> None:
    gateway, url = serve(lambda gateway, run: None)
    gateway.put("tides.txt", "The tide is high.")
    page = open_page(url)
    refused = {"status": 403, "reason": "ADDRESS_REFUSED", "detail": "nothing is fetched from there"}
    asked: list[dict[str, str]] = []

    def answer(route: Route) -> None:
        if route.request.method != "POST":
            route.fallback()
            return
        asked.append(json.loads(route.request.post_data or "{}"))
        if len(asked) == 1:
            route.fulfill(status=403, json=refused, content_type="application/problem+json")
            return
        made = gateway.put("lamps.html", "The lamp has 14 lenses.")
        route.fulfill(status=202, json={"id": made.id, "title": "Lamps", "state": "EMBEDDING"})

    page.route("**/documents", answer)
    page.get_by_role("link", name="Knowledge").click()
    address = page.get_by_label("Address of a page or file")
    address.fill("http://10.0.0.1/")
    page.get_by_role("button", name="Add from address").click()
    expect(page.get_by_text("Nothing is fetched from there")).to_be_visible()
    expect(address).to_have_value("http://10.0.0.1/")
    address.fill("https://example.org/lamps.html")
    address.press("Enter")
    expect(page.get_by_text("“Lamps” can be asked about.")).to_be_visible()
    expect(address).to_have_value("")
    expect(page.locator("#view .document")).to_have_count(2)
    assert asked == [{"url": "http://10.0.0.1/"}, {"url": "https://example.org/lamps.html"}]
