"""Pictures and recordings go through the page; what was read and heard in them is found and cited."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator

import httpx
import numpy as np
import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import OpenPage, reload
from tests.browser.test_attachments import attach
from tests.support.launched import House, launched
from tests.support.model_server import Answer, Heard, ModelServer
from tests.support.pictures import page as printed
from tests.support.pictures import photo, saved
from tests.unit.agents.hearing.sounds import vowels, written

pytestmark = [
    pytest.mark.browser,
    pytest.mark.e2e,
    pytest.mark.timeout(300),
    pytest.mark.skipif(shutil.which("tesseract") is None, reason="tesseract is not installed"),
]

RATE = 16_000
# As long as decoding, reading and embedding may take on a machine that does other work too.
LONG = 90_000
UNKNOWING = Answer("I cannot tell from the documents.")
HEARD = Heard(
    "Welcome. The lighthouse of Varnholm was sold to Ann Berg.",
    [(0.0, 1.5, "Welcome."), (1.5, 2.9, "The lighthouse of Varnholm was sold to Ann Berg.")],
)


def talk(form: str) -> bytes:
    """Three seconds of what sounds like a voice."""
    return written(np.clip(vowels(3, RATE), -1, 1), RATE, form)


@pytest.fixture(scope="module")
def listening_house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[House, ModelServer]]:
    """A house with models, and those: what writes answers knows nothing, what hears needs to be told."""
    with ModelServer(forever=UNKNOWING) as models:
        settings = {"OPENAI_BASE_URL": models.base_url, "OPENAI_TRANSCRIPTION_MODEL": "whisper-1"}
        with launched(tmp_path_factory.mktemp("listening-house"), settings) as house:
            yield house, models


def ask(page: Page, question: str) -> Locator:
    turns = page.locator(".turn").count()
    page.fill("#question", question)
    page.keyboard.press("Enter")
    # The question waits for its files.
    expect(page.locator(".turn")).to_have_count(turns + 1, timeout=LONG)
    turn = page.locator(".turn").last
    expect(turn).to_have_attribute("data-outcome", "SUCCEEDED", timeout=LONG)
    return turn


def places(page: Page, house: House) -> list[tuple[str, str]]:
    """The quotes and places of the last answer, as they are on record; each is verified."""
    session = page.evaluate("new URLSearchParams(location.hash.slice(1)).get('session')")
    url = f"{house.base_url}/api/v1/sessions/{session}/messages?newest=true"
    citations = httpx.get(url, timeout=30).json()["messages"][-1]["attributes"]["citations"]
    expect(page.locator(".turn").last.locator(".mark-verified[data-tone=good]")).to_have_count(len(citations))
    return [(citation["quote"], citation["location"]) for citation in citations]


def test_what_is_in_pictures_and_recordings_is_cited_with_its_region_and_time(
    listening_house: tuple[House, ModelServer], open_page: OpenPage
) -> None:
    house, models = listening_house
    page = open_page(house.base_url)
    scan = saved(printed("The quay of Varnholm", "was painted by Asta Lind."), dpi=(200, 200))
    attach(page, ("pier.jpg", "image/jpeg", saved(photo(), "JPEG")), ("scan.png", "image/png", scan))
    turn = ask(page, "What do they show?")
    expect(turn.locator(".asked-files img")).to_have_count(2)
    expect(turn.locator(".downloads a", has_text="scan.hocr")).to_have_count(1)
    expect(page.locator(".document[data-state=READY] .title", has_text="scan.png")).to_have_count(
        1, timeout=LONG
    )

    models.add(UNKNOWING, HEARD, HEARD)
    attach(page, ("talk.wav", "audio/wav", talk("WAV")), ("talk.mp3", "audio/mpeg", talk("MP3")))
    turn = ask(page, "What is said?")
    expect(turn.locator(".asked-files audio")).to_have_count(2)
    spectrograms = turn.locator(".files img")
    expect(spectrograms).to_have_count(2)
    assert spectrograms.first.evaluate("(image) => image.decode().then(() => image.naturalWidth)") > 100
    for name in ("talk.wav", "talk.mp3"):
        expect(page.locator(".document[data-state=READY] .title", has_text=name)).to_have_count(
            1, timeout=LONG
        )

    page.select_option("#agent", "research")
    ask(page, "Who painted the quay of Varnholm?")
    found = places(page, house)
    assert any(
        "Asta Lind" in quote and re.fullmatch(r"page 1, region \d+,\d+ \d+×\d+", place)
        for quote, place in found
    ), found
    ask(page, "To whom was the lighthouse of Varnholm sold?")
    found = places(page, house)
    assert any(
        "Ann Berg" in quote and re.fullmatch(r"\d\d:\d\d–\d\d:\d\d", place) for quote, place in found
    ), found
    # After a reload the pictures that were made are there again.
    reload(page)
    expect(page.locator(".files img")).to_have_count(2)
