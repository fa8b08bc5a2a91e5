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


def test_the_page_has_nothing_inline() -> None:
    files = [file for file in PAGE.rglob("*") if file.is_file()]
    html = (PAGE / "index.html").read_text()
    assert " style=" not in html
    assert "<style" not in html
    assert " on" + "click=" not in html
    assert "http" not in html.replace("http-equiv", "")
    assert not [file.name for file in files if "innerHTML" in file.read_text()]


def test_lines_broken_for_paper_flow_and_no_character_is_lost(page: Page) -> None:
    broken = (
        "The first line of a printed paragraph that was broken at the width of its page and goes\n"
        "on here, and once more it is broken at the width of the page, so that it would look torn\n"
        "in a narrow window.\n\n"
        "1. An item of a list, long enough that it had to be broken at the width of the page as\n"
        "well.\n"
        "2. Another item.\n"
        "A heading\nof its own\n"
    )
    shown = page.evaluate(
        """async (text) => {
            const { brokenWidth, runs } = await import("/assets/flow.js");
            const width = brokenWidth(text, "application/pdf", text.length);
            return {
                runs: runs(text, width),
                table: brokenWidth(text, "text/csv", text.length),
                flowing: brokenWidth("word ".repeat(200) + "\\n" + "word ".repeat(300), "text/plain", 2500),
            };
        }""",
        broken,
    )
    assert "".join(run["text"] for run in shown["runs"]) == broken
    assert [run["text"].count("\n") for run in shown["runs"] if run["flows"]] == [3, 2]
    assert "2. Another item.\nA heading\nof its own\n" in [run["text"] for run in shown["runs"]]
    assert (shown["table"], shown["flowing"]) == (0, 0)


def test_line_breaks_of_quotes_vanish_from_answers_and_those_of_lists_stay(page: Page) -> None:
    shown = page.evaluate(
        """async (texts) => {
            const { unbroken } = await import("/assets/lines.js");
            return texts.map(unbroken);
        }""",
        [
            "Norwich lost the\nmatch, and\nRoberts left.",
            "Two things:\nfirst\n- one\n- two\n1. three",
            "| a | b |\n| 1 | 2 |",
            "```\na\nb\n```",
        ],
    )
    assert shown == [
        "Norwich lost the match, and Roberts left.",
        "Two things:\nfirst\n- one\n- two\n1. three",
        "| a | b |\n| 1 | 2 |",
        "```\na\nb\n```",
    ]
