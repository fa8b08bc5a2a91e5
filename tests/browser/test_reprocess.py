"""Documents are read again from their files: in their list, in the reader, and where they were set aside."""

from __future__ import annotations

import json
import re

import httpx
import pytest
from playwright.sync_api import Route, expect

from tests.browser.accessibility import program, violations
from tests.browser.conftest import OpenPage
from tests.browser.test_evaluations import at_part
from tests.browser.test_views import opened
from tests.support.launched import House

pytestmark = [pytest.mark.browser, pytest.mark.e2e, pytest.mark.timeout(240)]

AGAIN = "Read beacon.txt again"
TEXT = "The beacon of Vik is lit when the fog comes in from the sea.\n"


@pytest.fixture(scope="module")
def vik(house: House) -> str:
    """A collection of a file and of a text that never was one; its name."""
    with httpx.Client(base_url=f"{house.base_url}/api/v1", timeout=60) as http:
        http.post("/collections", json={"name": "vik"}).raise_for_status()
        sent = http.post(
            "/collections/vik/documents",
            files={"file": ("beacon.txt", TEXT.encode())},
            headers={"Accept": "text/event-stream"},
        )
        sent.raise_for_status()
        line = json.dumps({"title": "Line", "text": "The well of Vik is dry."})
        http.post(
            "/collections/vik/documents/import",
            content=f"{line}\n",
            headers={"Content-Type": "application/x-ndjson"},
        ).raise_for_status()
    return "vik"


def test_a_document_is_read_again_from_its_list(open_page: OpenPage, house: House, vik: str) -> None:
    page = opened(open_page, house, "knowledge", vik, bypass_csp=True)
    again = page.get_by_role("button", name=AGAIN)
    expect(again).to_have_count(1)
    # Both stand on one line: the row is no higher than without.
    boxes = [page.get_by_role("button", name=name).bounding_box() for name in (AGAIN, "Delete beacon.txt")]
    assert boxes[0] is not None
    assert boxes[1] is not None
    assert boxes[0]["y"] == boxes[1]["y"]
    # What never was a file has none that could be read.
    expect(page.get_by_role("button", name="Read Line again")).to_have_count(0)
    expect(page.get_by_role("button", name="Delete Line")).to_have_count(1)
    assert violations(page, program()) == []
    with page.expect_response(re.compile("/reprocess$")) as answered:
        again.focus()
        page.keyboard.press("Enter")
    assert (answered.value.status, answered.value.json()["reprocessing"]) == (202, False)
    expect(page.locator("#library-note")).to_have_text(
        "Read “beacon.txt” again: 1 passage. Its text is what it was."
    )
    # Beside a conversation there is no room for it.
    page.goto(f"{house.base_url}/#view=ask")
    expect(page.get_by_role("button", name="Delete beacon.txt")).to_have_count(1)
    expect(page.get_by_role("button", name="Read beacon.txt again")).to_have_count(0)


def test_what_is_being_read_says_so_and_may_be_ended(open_page: OpenPage, house: House, vik: str) -> None:
    page = opened(open_page, house, "knowledge", vik)
    waiting: list[Route] = []

    def slow(route: Route) -> None:
        """The reading takes until it is ended, and then answers as the house does."""
        if route.request.method == "POST":
            waiting.append(route)
            return
        url = route.request.url.removesuffix("/reprocess")
        route.fulfill(json={**httpx.get(url).json(), "reprocessing": False})
        ended = {"status": 409, "title": "Conflict", "detail": "this ingest was cancelled"}
        problem = {**ended, "reason": "INGEST_CANCELLED"}
        waiting.pop().fulfill(status=409, json=problem, content_type="application/problem+json")

    page.route("**/reprocess", slow)
    page.get_by_role("button", name=AGAIN).click()
    row = page.locator("#view .document", has_text="beacon.txt")
    expect(row.locator(".progress-text")).to_have_text("Being read again, can be asked")
    # Its text of before can be read all the while.
    expect(row.get_by_role("button", name="beacon.txt", exact=True)).to_be_enabled()
    page.get_by_role("button", name="Stop reading beacon.txt").click()
    expect(row.locator(".progress-text")).to_contain_text("1 passage")
    # Who asked for that is not told of it as of a fault.
    expect(page.locator("#library-note")).to_have_text("Stopped: “beacon.txt” is what it was.")
    assert waiting == []


def test_why_a_reading_came_to_nothing_is_told_and_stays(open_page: OpenPage, house: House, vik: str) -> None:
    page = opened(open_page, house, "knowledge", vik)
    fault = {"reason": "PARSER_LIMIT", "message": "the parser needs more than 30 seconds"}

    def refused(route: Route) -> None:
        problem = {"status": 413, "title": "Too large", "detail": fault["message"], **fault}
        route.fulfill(status=413, json=problem, content_type="application/problem+json")

    def noted(route: Route) -> None:
        route.fulfill(json={**route.fetch().json(), "reprocess_error": fault})

    page.route("**/reprocess", refused)
    page.route(re.compile(r"/documents/[0-9a-f]{32}$"), noted)
    page.get_by_role("button", name="Read beacon.txt again").click()
    expect(page.locator("#library-note")).to_contain_text(fault["message"])
    row = page.locator("#view .document", has_text="beacon.txt")
    expect(row.locator(".progress-text")).to_have_text(f"Not read again: {fault['message']}")


def test_the_reader_reads_again_what_lacks_some_of_its_text(
    open_page: OpenPage, house: House, vik: str
) -> None:
    page = opened(open_page, house, "knowledge", vik)
    lacking = ["page 2: a picture, and no text recognition is installed"]

    def warned(route: Route) -> None:
        route.fulfill(json={**route.fetch().json(), "warnings": lacking})

    page.route(re.compile(r"/documents/[0-9a-f]{32}$"), warned)
    page.locator("#view .document").get_by_role("button", name="beacon.txt", exact=True).click()
    notice = page.locator("#reader-notice")
    expect(notice).to_contain_text(lacking[0])
    lacking.clear()
    with page.expect_response(re.compile("/reprocess$")) as answered:
        notice.get_by_role("button", name="Try again").click()
    assert answered.value.status == 202
    expect(notice).to_be_hidden()
    expect(page.locator("#reader")).to_contain_text(TEXT.strip())


def test_what_was_set_aside_is_read_again_from_its_file(open_page: OpenPage, house: House, vik: str) -> None:
    page = open_page(house.base_url)
    listing = f"{house.base_url}/api/v1/collections/{vik}/documents"
    (document,) = (one for one in httpx.get(listing).json()["documents"] if one["filename"] == "beacon.txt")
    damaged = {"reason": "DOCUMENT_DAMAGED", "message": "what is stored of this document is damaged"}
    aside = [{**document, "state": "FAILED", "error": damaged}]
    page.route("**/documents?state=FAILED*", lambda route: route.fulfill(json={"documents": aside}))
    at_part(page, house, vik, "queue")
    row = page.get_by_role("list", name="Not taken").locator(".row")
    expect(row).to_contain_text("DOCUMENT_DAMAGED")
    expect(row).not_to_contain_text("send it again")
    aside.clear()
    with page.expect_response(re.compile("/reprocess$")) as answered:
        row.get_by_role("button", name="Read beacon.txt again").click()
    assert answered.value.status == 202
    expect(page.locator(".collection-part [role=status]")).to_have_text("“beacon.txt” was read again.")
