"""What a request carries besides prose."""

from __future__ import annotations

import pytest

from services.agents.routing.signs import SIZES, read


@pytest.mark.parametrize(
    ("request_text", "signs", "prose"),
    [
        ("Who built it?", {"question"}, "Who built it?"),
        ("photo.JPG what is it", {"picture file"}, "photo.JPG (picture file) what is it"),
        ("```\nx = 1\n```\nreview", {"code"}, "this code review"),
        ("def f(x):\n    return x\n\nwrite tests", {"code", "inline code"}, "this code write tests"),
        ("a,ms\nb,3\nc,4\nmean?", {"rows", "question"}, "rows rows rows mean?"),
        ("12:01:02 ERROR pool is full\nwhy", {"log", "error name"}, "error log why"),
        ('{"steps": [{"id": "a"}]} run it', {"json"}, "json run it"),
        (
            "--- a/x.py\n+++ b/x.py\n@@ -1 +1 @@\n-a\n+b\nis it right",
            {"diff", "source file"},
            "is it right diff",
        ),
        ("- wash\n- dry", {"list of items"}, "- wash - dry"),
        ("why a ValueError", {"error name"}, "why a ValueError"),
        ("chart: Mon 4, Tue 9, Wed 2", {"numbers"}, "chart: Mon 4, Tue 9, Wed 2"),
    ],
)
def test_signs_are_found_and_named(request_text: str, signs: set[str], prose: str) -> None:
    reading = read(request_text)
    assert set(reading.signs) - SIZES == signs
    assert reading.prose == prose


def test_a_traceback_is_one_sign() -> None:
    text = 'Traceback (most recent call last):\n  File "a.py", line 1, in f\n    g()\nKeyError: 4\nwhat is it'
    reading = read(text)
    assert {"traceback", "error name"} <= reading.signs
    assert reading.prose == "error traceback what is it"


def test_of_a_long_request_both_ends_are_read() -> None:
    prose = read(f"first {'word ' * 10_000} last").prose
    assert prose.startswith("first")
    assert prose.endswith("last")
    assert len(prose) < 5_000
