"""Texts by bytes and streams by events: the page's own modules, run in the browser that will run them."""

from __future__ import annotations

import json
import random

import pytest
from playwright.sync_api import Page

from tests.browser.conftest import OpenPage, Serve
from tests.browser.scripted import PAGE

pytestmark = pytest.mark.browser

_ALPHABET = "ab \n\n.é–“ßﬁ漢字🌊👩‍🚀\u0301\ufeff\u200d"


@pytest.fixture
def page(open_page: OpenPage, serve: Serve) -> Page:
    _, url = serve(lambda gateway, run: None)
    return open_page(url)


def test_slices_are_the_bytes_of_the_text(page: Page) -> None:
    chance = random.Random(7)
    cases = []
    for _ in range(200):
        text = "".join(chance.choice(_ALPHABET) for _ in range(chance.randrange(1, 60)))
        begin = chance.randrange(len(text))
        end = chance.randrange(begin, len(text)) + 1
        start = len(text[:begin].encode())
        cases.append([text, start, start + len(text[begin:end].encode()), text[begin:end]])
    wrong = page.evaluate(
        """async (cases) => {
            const { ByteText } = await import("/assets/bytes.js");
            return cases.filter(([text, start, end, quote]) => {
                const known = ByteText.of(text);
                return known.slice(start, end) !== quote || !known.holds(start, end, quote);
            });
        }""",
        cases,
    )
    assert wrong == []


def test_a_quote_that_is_shifted_or_changed_does_not_hold(page: Page) -> None:
    text = "Café — 🌊 at the quay"
    start = len("Café — ".encode())
    held = page.evaluate(
        """async ([text, claims]) => {
            const { ByteText } = await import("/assets/bytes.js");
            return claims.map(([start, end, quote]) => ByteText.of(text).holds(start, end, quote));
        }""",
        [
            text,
            [
                [start, start + 4, "🌊"],
                [start + 1, start + 5, "🌊"],
                [start, start + 3, "🌊"],
                [7, 9, "🌊"],
                [start, start + 4, "🌋"],
                [start, 10_000, "🌊 at the quay"],
                [-1, 4, "Caf"],
                [5, 5, ""],
            ],
        ],
    )
    assert held == [True] + [False] * 7


def test_blocks_join_to_the_text_and_cut_no_character(page: Page) -> None:
    chance = random.Random(11)
    texts = ["", "x", "🌊" * 40_000, "word " * 20_000, "line\n" * 20_000, "\n" * 50_000]
    texts += ["".join(chance.choice(_ALPHABET) for _ in range(60_000)) for _ in range(3)]
    found = page.evaluate(
        """async (texts) => {
            const { ByteText } = await import("/assets/bytes.js");
            return texts.map((text) => {
                const known = ByteText.of(text);
                const blocks = known.blocks();
                const joined = blocks.map(({ start, end }) => known.slice(start, end)).join("");
                const longest = Math.max(0, ...blocks.map(({ start, end }) => end - start));
                return { same: joined === text, longest };
            });
        }""",
        texts,
    )
    assert all(item["same"] for item in found)
    assert max(item["longest"] for item in found) <= 32_768


def test_events_are_whole_wherever_the_stream_is_cut(page: Page) -> None:
    stream = (
        ": still here\n\n"
        'id: 1\r\nevent: text\r\ndata: {"text":"a\\nb é 🌊"}\r\n\r\n'
        'id: 2\nevent: text\ndata: {"text":\ndata: "two lines"}\n\n'
        'event: error\ndata: {"status":503}\n\n'
        "event: nothing\n\n"
    )
    expected = [
        {"id": "1", "name": "text", "data": {"text": "a\nb é 🌊"}},
        {"id": "2", "name": "text", "data": {"text": "two lines"}},
        {"id": "2", "name": "error", "data": {"status": 503}},
    ]
    different = page.evaluate(
        """async ([stream, expected]) => {
            const { EventParser } = await import("/assets/events.js");
            const wrong = [];
            for (let first = 0; first <= stream.length; first += 1) {
                for (const step of [1, 7, stream.length]) {
                    const parser = new EventParser();
                    const events = parser.push(stream.slice(0, first));
                    for (let at = first; at < stream.length; at += step) {
                        events.push(...parser.push(stream.slice(at, at + step)));
                    }
                    const same = JSON.stringify(events) === JSON.stringify(expected);
                    if (!same) wrong.push([first, step, events]);
                }
            }
            return wrong.slice(0, 3);
        }""",
        [stream, expected],
    )
    assert json.dumps(different) == "[]"


def test_the_page_is_small_complete_and_has_nothing_inline() -> None:
    files = [file for file in PAGE.iterdir() if file.is_file()]
    html = (PAGE / "index.html").read_text()
    modules = {file.name for file in files if file.suffix == ".js"}
    assert sum(file.stat().st_size for file in files) < 150_000
    assert {
        name for name in modules if f'href="/assets/{name}"' in html or f'src="/assets/{name}"' in html
    } == modules
    assert " style=" not in html
    assert "<style" not in html
    assert " on" + "click=" not in html
    assert "http" not in html.replace("http-equiv", "")
    assert not [file.name for file in files if "innerHTML" in file.read_text()]
