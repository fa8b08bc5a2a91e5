"""A newcomer's way, by mouse, by finger and by keyboard alone; and an answer whose gateway is killed."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import httpx
import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import DESKTOP, OpenPage, reload
from tests.browser.test_page import QUAY, QUESTION, READY, TIDES, citations, drop, lit, wait_ready
from tests.browser.waiting import until
from tests.support.launched import House, launched
from tests.support.model_server import Answer, ModelServer, Stall

pytestmark = [pytest.mark.browser, pytest.mark.e2e, pytest.mark.timeout(300)]

MOON = "# The moon\n\nThe full moon of March stands low over Hallgrim Bay.\n"
FILES = {"tides.md": TIDES, "quay.md": QUAY, "moon.md": MOON}
WRITTEN = "The spring tide reaches **4.2 metres** [1]."


@pytest.fixture(scope="module")
def modelled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[House, ModelServer]]:
    """A ready house with a model whose words a test writes."""
    with ModelServer() as server:
        settings = {"OPENAI_BASE_URL": server.base_url, "OPENAI_API_KEY": "k"}
        with launched(tmp_path_factory.mktemp("journey-house"), settings) as house:
            yield house, server


class Mouse:
    """A person at a wide screen."""

    options: ClassVar[dict[str, Any]] = {"viewport": DESKTOP}

    def __init__(self, page: Page) -> None:
        self.page = page

    def press(self, target: Locator) -> None:
        """Presses what is meant."""
        target.click()

    def menu(self) -> None:
        """Opens what stands beside the answer on a wide screen."""

    def leave_menu(self) -> None:
        """Goes back to the answer."""

    def add(self, files: dict[str, str]) -> None:
        """Gives files to the page."""
        drop(self.page, files)

    def ask(self, question: str) -> None:
        """Writes a question and sends it."""
        self.press(self.page.locator("#question"))
        self.page.keyboard.type(question)
        self.press(self.page.get_by_role("button", name="Ask", exact=True))

    def choose(self, files: dict[str, str]) -> None:
        """Gives files through the machine's own dialog."""
        with self.page.expect_file_chooser() as chooser:
            self.press(self.page.get_by_role("button", name="Add files"))
        given: Any = [
            {"name": name, "mimeType": "text/markdown", "buffer": text.encode()}
            for name, text in files.items()
        ]
        chooser.value.set_files(given)


class Finger(Mouse):
    """A person with a phone."""

    options: ClassVar[dict[str, Any]] = {
        "viewport": {"width": 390, "height": 844},
        "has_touch": True,
        "is_mobile": True,
    }

    def press(self, target: Locator) -> None:
        target.tap()

    def menu(self) -> None:
        self.press(self.page.get_by_role("button", name="Menu"))

    def leave_menu(self) -> None:
        self.press(self.page.get_by_role("button", name="Close", exact=True))

    def add(self, files: dict[str, str]) -> None:
        self.menu()
        self.choose(files)


class Keys(Mouse):
    """A person without a pointer."""

    def press(self, target: Locator) -> None:
        expect(target).to_be_visible()
        for _ in range(200):
            if target.evaluate("node => node === document.activeElement"):
                self.page.keyboard.press("Enter")
                return
            self.page.keyboard.press("Tab")
        raise AssertionError(f"{target} is not reached by Tab")

    def add(self, files: dict[str, str]) -> None:
        self.choose(files)

    def ask(self, question: str) -> None:
        self.page.evaluate("document.activeElement.blur()")
        self.page.keyboard.press("/")
        self.page.keyboard.type(question)
        self.page.keyboard.press("Enter")


def opened(open_page: OpenPage, house: House, collection: str, options: dict[str, Any]) -> Page:
    """The page at a new collection."""
    made = httpx.post(f"{house.base_url}/api/v1/collections", json={"name": collection}, timeout=30)
    made.raise_for_status()
    page = open_page(house.base_url, **options)
    page.evaluate("name => localStorage.setItem('meld.collection', name)", collection)
    reload(page)
    expect(page.locator("#collection")).to_have_value(collection)
    return page


@pytest.mark.parametrize("person", [Mouse, Finger, Keys])
def test_from_three_files_to_a_conversation_to_keep(
    modelled: tuple[House, ModelServer], open_page: OpenPage, person: type[Mouse]
) -> None:
    house, model = modelled
    model.add(Stall("The spring"), Answer(WRITTEN))
    name = f"of-{person.__name__.lower()}"
    api = f"{house.base_url}/api/v1"
    page = opened(open_page, house, name, person.options)
    expect(page.get_by_role("heading", name="Ask your own documents")).to_be_visible()
    hand = person(page)

    hand.add(FILES)
    wait_ready(page, len(FILES))
    if person is Finger:
        hand.leave_menu()

    hand.ask(QUESTION)
    turn = page.locator(".turn").last
    expect(turn.locator(".answer")).to_have_text("The spring", timeout=READY)
    hand.press(page.get_by_role("button", name="Stop"))
    expect(turn.locator(".stopped")).to_contain_text("Stopped.")

    hand.press(turn.get_by_role("button", name="Ask again"))
    expect(turn).to_have_attribute("data-outcome", "SUCCEEDED", timeout=READY)
    expect(turn.locator(".answer strong")).to_have_text("4.2 metres")
    expect(turn.locator(".source .mark-verified").first).to_have_text("Verified")

    hand.press(turn.locator(".steps summary"))
    expect(turn.locator(".step", has_text="Answered").locator(".step-time")).to_be_visible()
    expect(turn.locator(".step", has_text="120 tokens read, 12 written")).to_be_visible()

    hand.press(turn.locator(".cite").first)
    [known] = citations(page, house)
    assert lit(page) == known["quote"]
    text = httpx.get(f"{api}/collections/{name}/documents/{known['document_id']}/text", timeout=30).content
    assert text[known["byte_start"] : known["byte_end"]].decode() == known["quote"]
    expect(page.locator("#reader-facts .mark-verified")).to_have_text("Verified")
    hand.press(page.get_by_role("button", name="Close the document"))
    expect(page.locator("#reader")).to_be_hidden()

    background = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(background)
    hand.menu()
    for _ in range(3):
        hand.press(page.locator("#theme"))
        if page.locator("html[data-theme=dark]").count():
            break
    until(page, f"light => {background} !== light", arg=light)

    hand.press(page.locator("[data-view=conversations]"))
    link = page.get_by_role("link", name=f"Export {QUESTION} as Markdown").first
    expect(link).to_be_visible()
    with page.expect_download() as download:
        hand.press(link)
    kept = Path(download.value.path()).read_text()
    assert QUESTION in kept
    assert WRITTEN in kept
    assert known["quote"].split("\n")[0] in kept


def test_an_answer_goes_on_without_a_gap_when_its_gateway_is_killed(
    modelled: tuple[House, ModelServer], open_page: OpenPage
) -> None:
    house, model = modelled
    words = " ".join(f"word{number}" for number in range(300))
    model.add(Answer(f"It reaches 4.2 metres [1] and {words}.", delay=0.06))
    api = f"{house.base_url}/api/v1"
    page = opened(open_page, house, "killed", Mouse.options)
    file = {"file": ("tides.md", TIDES.encode(), "text/markdown")}
    httpx.post(f"{api}/collections/killed/documents", files=file, timeout=60).raise_for_status()
    page.evaluate(
        """() => {
            window.seen = new Set();
            new MutationObserver(() => {
                const text = document.querySelector(".answer")?.textContent.trim();
                const said = document.querySelector(".connection:not([hidden])")?.textContent;
                for (const one of [text, said]) if (one) window.seen.add(one);
            }).observe(document, { subtree: true, childList: true, characterData: true, attributes: true });
        }"""
    )
    page.fill("#question", QUESTION)
    page.keyboard.press("Enter")
    expect(page.locator(".answer")).to_contain_text("word20 ", timeout=READY)
    run = page.evaluate("new URLSearchParams(location.hash.slice(1)).get('run')")

    house.send("gateway", signal.SIGKILL)

    expect(page.locator(".turn")).to_have_attribute("data-outcome", "SUCCEEDED", timeout=2 * READY)
    expect(page.locator(".connection")).to_be_hidden()
    house.wait_ready(60)
    record = httpx.get(f"{api}/runs/{run}", timeout=30).json()
    assert record["state"] == "SUCCEEDED"
    assert page.locator(".answer").evaluate("node => node.textContent").strip() == record["text"]
    seen = page.evaluate("[...window.seen]")
    lost = "Connection lost. Trying again…"
    assert lost in seen
    # It came back to an answer that was still being written.
    assert any(text != lost and text != record["text"] for text in seen[seen.index(lost) + 1 :])
    # It grew, and never had a gap or anything twice.
    assert [text for text in seen if text != lost and not record["text"].startswith(text)] == []
    pieces = httpx.get(f"{api}/runs/{run}/events", timeout=30).text.splitlines()
    events = [json.loads(piece.removeprefix("data: ")) for piece in pieces if piece.startswith("data: ")]
    assert [event["sequence"] for event in events] == list(range(1, len(events) + 1))
    shown = ""
    for event in events:
        if event["type"] == "text":
            shown = event["text"]["text"] if event["text"]["reset"] else shown + event["text"]["text"]
    assert shown == record["text"]
