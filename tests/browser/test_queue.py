"""The queue of a collection on the page: what is under way, what comes next, what was not taken."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Route, expect

from tests.browser.accessibility import program, violations
from tests.browser.conftest import OpenPage
from tests.browser.test_evaluations import at_part
from tests.support.launched import House

pytestmark = [pytest.mark.browser, pytest.mark.e2e, pytest.mark.timeout(240)]

# Enough passages that a queue of them outlives a look at it.
LINES = 600
WORDS = "The tide at quay {number} rose slowly and fell slowly, and the pilot wrote it down in the log. " * 12


@pytest.fixture(scope="module")
def crowded(house: House) -> Iterator[str]:
    """A collection into which far more texts were sent than are embedded soon; its name."""
    lines = (
        json.dumps({"id": f"log-{number}", "title": f"Log {number}", "text": WORDS.format(number=number)})
        for number in range(LINES)
    )
    with httpx.Client(base_url=f"{house.base_url}/api/v1", timeout=120) as http:
        http.post("/collections", json={"name": "crowded"}).raise_for_status()
        taken = http.post(
            "/collections/crowded/documents/import",
            content="\n".join(lines),
            headers={"Content-Type": "application/x-ndjson"},
        )
        assert len(taken.text.splitlines()) == LINES + 1, taken.text[-300:]
        yield "crowded"
        http.delete("/collections/crowded").raise_for_status()


def test_who_waits_sees_the_place_and_may_take_it_back(
    open_page: OpenPage, house: House, crowded: str
) -> None:
    page = open_page(house.base_url, bypass_csp=True)
    at_part(page, house, crowded, "queue")
    rows = page.get_by_role("list", name="Under way").locator(".row")
    expect(rows).to_have_count(50)
    expect(rows.last).to_contain_text(
        re.compile(r"Embedding 0 of \d+, can be asked · [\d,]+ passages before it")
    )
    expect(page.locator(".collection-part")).to_contain_text("The newest 50 are shown.")

    # By keyboard: the last of those shown is taken back.
    name = rows.last.locator(".row-title").inner_text()
    cancel = page.get_by_role("button", name=f"Cancel {name}", exact=True)
    cancel.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name=f"Take it back: Cancel {name}")).to_be_focused()
    page.keyboard.press("Enter")
    said = page.locator(".collection-part [role=status]")
    expect(said).to_have_text(f"“{name}” was taken back. Nothing of it is left.")
    expect(said).to_be_focused()
    expect(cancel).to_have_count(0)
    listing = f"{house.base_url}/api/v1/collections/{crowded}/documents"
    gone = httpx.get(listing, params={"external_id": name.lower().replace(" ", "-")})
    assert gone.json()["documents"] == []

    for width, theme in ((1440, "dark"), (390, "light")):
        page.set_viewport_size({"width": width, "height": 844})
        page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]  # one of two
        assert page.evaluate("document.documentElement.scrollWidth") == width
        assert violations(page, program()) == [], (width, theme)


def test_what_was_not_taken_says_why(open_page: OpenPage, house: House) -> None:
    http = httpx.Client(base_url=f"{house.base_url}/api/v1", timeout=60)
    http.post("/collections", json={"name": "broken"}).raise_for_status()
    for name in ("torn.pdf", "bent.pdf"):
        refused = http.post(
            "/collections/broken/documents",
            files={"file": (name, f"%PDF-1.7 {name}".encode(), "application/pdf")},
        )
        assert refused.is_client_error
    listed = http.get("/collections/broken/documents?state=FAILED").json()["documents"]
    assert {document["filename"] for document in listed} == {"torn.pdf", "bent.pdf"}

    page = open_page(house.base_url)

    def interrupted(route: Route) -> None:
        """One of them may end otherwise, says the list; the house itself does not agree."""
        answer = route.fetch()
        told = answer.json()
        for document in told["documents"]:
            if document["filename"] == "bent.pdf":
                document["error"] = {"reason": "INTERRUPTED", "message": "the service ended three times"}
        route.fulfill(response=answer, json=told)

    page.route("**/documents?state=FAILED*", interrupted)
    at_part(page, house, "broken", "queue")
    expect(page.locator(".collection-part")).to_contain_text("Nothing is under way")
    rows = page.get_by_role("list", name="Not taken").locator(".row")
    torn, bent = rows.filter(has_text="torn.pdf"), rows.filter(has_text="bent.pdf")
    (why,) = (document["error"] for document in listed if document["filename"] == "torn.pdf")
    expect(torn).to_contain_text(why["message"])
    expect(torn).to_contain_text(why["reason"])
    expect(torn).to_contain_text("mend the file and send it again")
    expect(page.get_by_role("button", name="Try torn.pdf again")).to_have_count(0)
    page.get_by_role("button", name="Try bent.pdf again").click()
    expect(bent.locator(".failure-reason")).not_to_have_text("the service ended three times")

    page.get_by_role("button", name="Forget torn.pdf").click()
    page.get_by_role("button", name="Forget: Forget torn.pdf").click()
    expect(torn).to_have_count(0)
    left = http.get("/collections/broken/documents").json()["documents"]
    assert [document["filename"] for document in left] == ["bent.pdf"]
