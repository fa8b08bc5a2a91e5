"""The reader leads to the file that a document was made of: a PDF at its page, nothing that acts as ours."""

from __future__ import annotations

import httpx
import pytest
from playwright.sync_api import Browser, Page, Response, expect

from tests.browser.accessibility import program, violations
from tests.browser.conftest import DESKTOP, OpenPage, reload, watched
from tests.browser.test_page import READY, ask
from tests.browser.test_views import opened
from tests.support.launched import House
from tests.unit.vector.extraction import samples

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

PDF = samples.pdf([["Of harbours and their rules."], ["The lighthouse of Orm burns whale oil at dusk."]])
PLAIN = "Über dem Kliff von Orm kreisen achtzehn Möwen.\n".encode()
PAGE = (
    b"<html><head><title>Pages</title></head><body><p>The ferry of Orm leaves at nine.</p>"
    b"<script>document.title = 'acted'</script></body></html>"
)
QUESTION = "What does the lighthouse of Orm burn at dusk?"


@pytest.fixture(scope="module")
def orm(house: House) -> str:
    """A collection of a PDF, a plain text, a page and a text that never was a file; its name."""
    with httpx.Client(base_url=f"{house.base_url}/api/v1", timeout=60) as http:
        http.post("/collections", json={"name": "orm"}).raise_for_status()
        for name, data in (("light.pdf", PDF), ("kliff.txt", PLAIN), ("ferry.html", PAGE)):
            events = {"Accept": "text/event-stream"}
            sent = http.post("/collections/orm/documents", files={"file": (name, data)}, headers=events)
            sent.raise_for_status()
        line = '{"title": "Line", "text": "The well of Orm is dry in August."}\n'
        http.post(
            "/collections/orm/documents/import",
            content=line.encode(),
            headers={"Content-Type": "application/x-ndjson"},
        ).raise_for_status()
    return "orm"


def found(page: Page, words: str) -> None:
    """Looks for words in Knowledge and opens the first passage."""
    page.get_by_label("Search this collection").fill(words)
    page.keyboard.press("Enter")
    page.locator(".hit").first.get_by_role("button").click()
    expect(page.locator("#reader mark.lit").first).to_be_in_viewport()


def followed(page: Page, answers: list[Response]) -> Page:
    """What the link opens by the keyboard alone."""
    page.context.on("response", lambda answer: answers.append(answer))  # noqa: PLW0108 # Playwright marks it
    link = page.locator("#reader").get_by_role("link", name="Original")
    page.locator("#reader-title").focus()
    for _ in range(4):
        page.keyboard.press("Tab")
        if link.evaluate("link => link === document.activeElement"):
            break
    expect(link).to_be_focused()
    with page.expect_popup() as opened_there:
        page.keyboard.press("Enter")
    return opened_there.value


def original_of(page: Page, answers: list[Response]) -> Response:
    for _ in range(100):
        for answer in answers:
            if answer.url.partition("#")[0].endswith("/original"):
                return answer
        page.wait_for_timeout(100)
    raise AssertionError("the original was never asked for")


def test_a_citation_of_a_pdf_leads_to_its_page(open_page: OpenPage, house: House, orm: str) -> None:
    page = open_page(house.base_url)
    page.evaluate("name => localStorage.setItem('meld.collection', name)", orm)
    reload(page)
    expect(page.locator("#collection")).to_have_value(orm)
    turn = ask(page, QUESTION)
    turn.locator(".source [data-citation='1']").click()
    expect(page.locator("#reader-facts")).to_contain_text("page 2", timeout=READY)
    link = page.locator("#reader").get_by_role("link", name="Original")
    href = link.get_attribute("href") or ""
    assert href.endswith("/original#page=2")
    assert "light.pdf" in (link.get_attribute("title") or "")
    answers: list[Response] = []
    followed(page, answers)
    answer = original_of(page, answers)
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/pdf"
    assert answer.headers["content-disposition"] == 'inline; filename="light.pdf"'
    assert httpx.get(answer.url.partition("#")[0], timeout=30).content == PDF


def test_a_plain_text_is_shown_in_its_letters(open_page: OpenPage, house: House, orm: str) -> None:
    page = opened(open_page, house, "knowledge", orm)
    found(page, "achtzehn Möwen")
    shown = followed(page, [])
    expect(shown.locator("body")).to_have_text(PLAIN.decode().strip())


def test_a_page_of_somebody_is_kept_and_does_not_act(open_page: OpenPage, house: House, orm: str) -> None:
    page = opened(open_page, house, "knowledge", orm)
    found(page, "ferry leaves at nine")
    answers: list[Response] = []
    followed(page, answers)
    answer = original_of(page, answers)
    assert answer.headers["content-disposition"] == 'attachment; filename="ferry.html"'
    assert "sandbox" in answer.headers["content-security-policy"]
    assert [one.title() for one in page.context.pages if "original" in one.url] == []


def test_what_never_was_a_file_has_no_link(open_page: OpenPage, house: House, orm: str) -> None:
    page = opened(open_page, house, "knowledge", orm)
    found(page, "well is dry in August")
    expect(page.locator("#reader-title")).to_have_text("Line")
    expect(page.locator("#reader").get_by_role("link")).to_have_count(0)


def test_a_document_of_the_list_has_the_link_and_no_violation(
    browser: Browser, house: House, orm: str
) -> None:
    axe = program()
    context = browser.new_context(viewport=DESKTOP, bypass_csp=True)  # type: ignore[arg-type]
    page = watched(context.new_page())
    page.set_default_timeout(15_000)
    page.goto(house.base_url)
    page.evaluate("name => localStorage.setItem('meld.collection', name)", orm)
    page.goto(f"{house.base_url}/#view=knowledge")
    reload(page)
    page.locator("#view .document").filter(has_text="light").get_by_role("button").first.click()
    link = page.locator("#reader").get_by_role("link", name="Original")
    # Not at a page: none was cited.
    expect(link).to_have_attribute(
        "href", f"/api/v1/collections/{orm}/documents/" + _id_of(house, orm) + "/original"
    )
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        assert violations(page, axe, colours=scheme == "dark") == []
    context.close()


def _id_of(house: House, collection: str) -> str:
    listed = httpx.get(f"{house.base_url}/api/v1/collections/{collection}/documents", timeout=30).json()
    return next(str(one["id"]) for one in listed["documents"] if one["filename"] == "light.pdf")
