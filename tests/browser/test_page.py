"""The page and the whole house behind it: from a dropped file to the passage that an answer stands on."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import OpenPage, reload
from tests.browser.waiting import until
from tests.support.launched import House

pytestmark = [pytest.mark.browser, pytest.mark.e2e, pytest.mark.timeout(240)]

TIDES = """# The tide at Hallgrim Bay

The spring tide at Hallgrim reaches 4.2 metres above the lowest mark — café level, 🌊 and all.
It comes two days after the new and the full moon, never on the day itself.

During the equinox storms of 1999 the water stood at 4.9 metres, the highest level ever written down.
The old quay was flooded for three hours.
"""
QUAY = """# Quay maintenance

The old quay was rebuilt in 2001 after the flood. Its edge now lies at 5.3 metres.
The rebuilding took fourteen months and used granite from the northern quarry.
"""
QUESTION = "How high is the spring tide at Hallgrim?"
HOSTILE = [
    "<script>window.hit = 1</script>",
    "<img src=x onerror='window.hit = 2'>",
    "<svg onload='window.hit = 3'></svg>",
    "<a href='javascript:window.hit=4'>open</a>",
    "<iframe srcdoc='<script>parent.hit=5</script>'></iframe>",
    "[open](javascript:window.hit=6)",
    "![picture](http://127.0.0.1:9/pixel.png)",
    "</p><style>body{display:none}</style>",
    "<math><mtext><img src=x onerror='window.hit=7'></mtext></math>",
    "&lt;script&gt;window.hit = 8&lt;/script&gt;",
]
# As long as embedding may take on a machine that does other work too.
READY = 60_000


@pytest.fixture
def collection(house: House, request: pytest.FixtureRequest) -> str:
    """A collection of the test's own."""
    name = request.node.name.removeprefix("test_")[:60].strip("_")
    answer = httpx.post(f"{house.base_url}/api/v1/collections", json={"name": name}, timeout=30)
    answer.raise_for_status()
    return name


@pytest.fixture
def opened(house: House, collection: str, open_page: OpenPage) -> Any:
    """Opens the page at the test's collection."""

    def open_one(**options: Any) -> Page:
        page = open_page(house.base_url, **options)
        page.evaluate("name => localStorage.setItem('meld.collection', name)", collection)
        reload(page)
        expect(page.locator("#collection")).to_have_value(collection)
        return page

    return open_one


def drop(page: Page, files: dict[str, str]) -> None:
    """Drops files onto the page as a mouse would."""
    transfer = page.evaluate_handle(
        """(files) => {
            const transfer = new DataTransfer();
            for (const [name, text] of Object.entries(files)) transfer.items.add(new File([text], name));
            return transfer;
        }""",
        files,
    )
    page.dispatch_event("#main", "dragover", {"dataTransfer": transfer})
    expect(page.locator("#drop-veil")).to_be_visible()
    page.dispatch_event("#main", "drop", {"dataTransfer": transfer})
    expect(page.locator("#drop-veil")).to_be_hidden()


def wait_ready(page: Page, documents: int) -> None:
    expect(page.locator(".document[data-state=READY]")).to_have_count(documents, timeout=READY)


def ask(page: Page, question: str) -> Locator:
    """Asks and waits for the whole answer; gives its turn."""
    page.fill("#question", question)
    page.keyboard.press("Enter")
    turn = page.locator(".turn").last
    expect(turn).to_have_attribute("data-outcome", "SUCCEEDED", timeout=READY)
    return turn


def lit(page: Page) -> str:
    """The passage that is marked and in sight."""
    expect(page.locator("mark.lit").first).to_be_in_viewport()
    return "".join(page.locator("mark.lit").all_text_contents())


def citations(page: Page, house: House) -> list[dict[str, Any]]:
    """What the house has on record for the last answer."""
    session = page.evaluate("new URLSearchParams(location.hash.slice(1)).get('session')")
    answer = httpx.get(f"{house.base_url}/api/v1/sessions/{session}/messages?newest=true", timeout=30)
    found: list[dict[str, Any]] = answer.json()["messages"][-1]["attributes"]["citations"]
    return found


def test_from_a_dropped_file_to_the_marked_passage(opened: Any, house: House, collection: str) -> None:
    page = opened()
    expect(page.get_by_role("heading", name="Ask your own documents")).to_be_visible()
    drop(page, {"tides.md": TIDES, "quay.md": QUAY})
    wait_ready(page, 2)
    turn = ask(page, QUESTION)
    expect(turn.locator(".answer")).to_contain_text("4.2 metres")
    expect(turn.locator(".source .mark-verified").first).to_have_text("Verified")
    known = citations(page, house)
    assert known
    for citation in known:
        turn.locator(f".source [data-citation='{citation['number']}']").click()
        expect(page.locator("#reader-title")).to_have_text(citation["title"])
        assert lit(page) == citation["quote"]
        where = f"{house.base_url}/api/v1/collections/{collection}/documents/{citation['document_id']}/text"
        stored = httpx.get(where, timeout=30).content
        assert stored[citation["byte_start"] : citation["byte_end"]].decode() == lit(page)
        assert page.locator("#reader-text").text_content() == stored.decode()
    expect(page.locator("#reader-facts .mark-verified")).to_have_text("Verified")
    page.get_by_role("button", name="Close the document").click()
    turn.locator(".cite").first.click()
    assert lit(page) in {citation["quote"] for citation in known}


def test_a_reload_shows_the_conversation_again(opened: Any) -> None:
    page = opened()
    drop(page, {"tides.md": TIDES})
    wait_ready(page, 1)
    text = ask(page, QUESTION).locator(".answer").text_content()
    sources = page.locator(".source").count()
    reload(page)
    expect(page.locator(".question")).to_have_text([QUESTION])
    expect(page.locator(".answer")).to_have_text(text or "")
    expect(page.locator(".source")).to_have_count(sources)
    page.locator(".cite").first.click()
    assert lit(page)


def test_hostile_text_stays_text(opened: Any) -> None:
    page = opened()
    lines = [
        f"Sample {number} of the hostile markup collection is {text} and ends.\n"
        for number, text in enumerate(HOSTILE)
    ]
    drop(page, {"hostile <img src=x onerror=window.hit=9>.txt": "\n".join(lines)})
    wait_ready(page, 1)
    for number in (0, 1, 6):
        ask(page, f"What is sample {number} of the hostile markup collection?")
    shown = page.locator("#turns").text_content() or ""
    assert sum(text in shown for text in HOSTILE) >= 1
    page.locator(".document .title").click()
    expect(page.locator("#reader-text")).to_contain_text("Sample 9")
    text = page.locator("#reader-text").text_content() or ""
    assert all(sample in text for sample in HOSTILE)
    assert page.evaluate("window.hit") is None
    foreign = (
        "#turns :is(script, img, svg[onload], iframe, a, style, math), .reader-text :is(*:not(div):not(mark))"
    )
    expect(page.locator(foreign)).to_have_count(0)
    expect(page.locator("body")).to_be_visible()


def test_on_a_phone(opened: Any) -> None:
    page = opened(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    expect(page.locator("#library")).to_be_hidden()
    page.get_by_role("button", name="Menu").tap()
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Add files").tap()
    chooser.value.set_files([{"name": "tides.md", "mimeType": "text/markdown", "buffer": TIDES.encode()}])
    wait_ready(page, 1)
    page.get_by_role("button", name="Close", exact=True).tap()
    turn = ask(page, QUESTION)
    turn.locator(".cite").first.tap()
    assert lit(page)
    # It slides in.
    until(
        page,
        """() => {
        const box = document.getElementById("reader").getBoundingClientRect()
        return [box.x, box.y, box.width, box.height].join() === "0,0,390,844"
    }""",
    )
    page.get_by_role("button", name="Close the document").tap()
    expect(page.locator("#question")).to_be_in_viewport()
    assert page.evaluate("document.documentElement.scrollWidth") == 390


def test_with_the_keyboard_alone(opened: Any) -> None:
    page = opened()
    page.set_input_files(
        "#picker", [{"name": "tides.md", "mimeType": "text/markdown", "buffer": TIDES.encode()}]
    )
    wait_ready(page, 1)

    def tab_to(target: str) -> None:
        for _ in range(60):
            if page.evaluate("selector => document.activeElement?.matches(selector) ?? false", target):
                outline = "getComputedStyle(document.activeElement).outlineStyle"
                assert target == "#question" or page.evaluate(outline) == "solid"
                return
            page.keyboard.press("Tab")
        raise AssertionError(f"{target} is not reached by Tab")

    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("/")
    page.keyboard.type("How high is the spring tide")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("at Hallgrim?")
    page.keyboard.press("Enter")
    expect(page.locator(".turn")).to_have_attribute("data-outcome", "SUCCEEDED", timeout=READY)
    expect(page.locator(".question")).to_have_text(
        "How high is the spring tide\nat Hallgrim?", use_inner_text=True
    )
    page.evaluate("document.activeElement.blur()")
    tab_to(".cite")
    page.keyboard.press("Enter")
    assert lit(page)
    expect(page.locator("#reader-title")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator("#reader")).to_be_hidden()
    tab_to(".cite")
    page.evaluate("document.activeElement.blur()")
    tab_to("button[aria-label='Delete tides.md'], button[aria-label^='Delete ']")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Delete", exact=True)).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator(".document")).to_have_count(0)
    expect(page.locator("#library-note")).to_contain_text("Nothing of it is left.")


def test_a_deleted_document_is_gone_from_search_and_from_the_reader(opened: Any) -> None:
    page = opened()
    drop(page, {"tides.md": TIDES})
    wait_ready(page, 1)
    turn = ask(page, QUESTION)
    expect(turn.locator(".source .mark-verified").first).to_have_text("Verified")
    page.get_by_role("button", name="Delete ").click()
    page.get_by_role("button", name="Delete", exact=True).click()
    expect(page.locator("#library-note")).to_contain_text("Nothing of it is left.")
    unverified = "Cannot be verified any more: the document is gone"
    expect(turn.locator(".source .mark-verified").first).to_have_text(unverified)
    turn.locator(".cite").first.click()
    expect(page.locator("#reader-notice")).to_have_text("This document is no longer there.")
    expect(page.locator("#reader-facts .mark-verified")).to_have_text(unverified)
    expect(page.locator("#reader mark")).to_have_count(0)
    page.keyboard.press("Escape")
    expect(ask(page, QUESTION).locator(".steps summary")).to_contain_text("no answer found")
