"""Requests are told apart by their content."""

from __future__ import annotations

import pytest

from services.chassis.errors import InvalidArgumentError
from services.session.requests import fingerprint, once


def test_a_fingerprint_depends_on_every_border_between_parts() -> None:
    lists = [("ab", "c"), ("a", "bc"), ("abc",), ("abc", ""), ("", "abc"), (), ("",)]
    assert len({fingerprint(parts) for parts in lists}) == len(lists)
    assert fingerprint(("a", "é")) == fingerprint((b"a", "é".encode()))


def test_a_request_without_an_id_is_not_remembered() -> None:
    assert once("", ("a",)) is None
    request = once("x" * 128, ("a",))
    assert request is not None
    assert request.fingerprint == fingerprint(("a",))


@pytest.mark.parametrize("request_id", ["x" * 129, "a\0", "a\n", "\u200b", "\ud800"])
def test_a_malformed_id_is_refused(request_id: str) -> None:
    with pytest.raises(InvalidArgumentError) as refused:
        once(request_id, ())
    assert refused.value.metadata["field"] == "request_id"
