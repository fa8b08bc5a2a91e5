"""Retry-After headers; the rest of the adapter is tested against a real HTTP server."""

from __future__ import annotations

import pytest

from services.agents.adapters.openai_model import retry_after


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7.0),
        ("1.5", 1.5),
        ("-3", 0.0),
        ("Thu, 01 Jan 1970 00:02:00 GMT", 60.0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
        ("", None),
        ("soon", None),
        ("nan", None),
        ("inf", None),
    ],
)
def test_seconds_or_a_date(header: str, seconds: float | None) -> None:
    assert retry_after(header, now=60.0) == seconds
