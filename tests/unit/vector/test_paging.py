"""Page tokens."""

from __future__ import annotations

import pytest

from services.chassis.errors import InvalidArgumentError
from services.vector.paging import PageTokens

TOKENS = PageTokens(b"k" * 32)


@pytest.mark.parametrize("place", ["books", "", "ü-\u0000", 0, 7, 2**62])
def test_a_token_gives_its_place_back(place: str | int) -> None:
    assert TOKENS.read(TOKENS.make(place, "list", "tenant"), "list", "tenant") == place


@pytest.mark.parametrize("token", ["", "x", "====", "é", "AAAA" * 20, TOKENS.make(1, "list", "tenant")[:-4]])
def test_what_was_not_made_here_is_refused(token: str) -> None:
    with pytest.raises(InvalidArgumentError) as error:
        TOKENS.read(token, "list", "tenant")
    assert error.value.reason == "INVALID_PAGE_TOKEN"


@pytest.mark.parametrize(
    "request_", [("list", "other"), ("other", "tenant"), ("list",), ("list", "tenant", 1)]
)
def test_a_token_is_good_for_its_own_request_only(request_: tuple[object, ...]) -> None:
    with pytest.raises(InvalidArgumentError):
        TOKENS.read(TOKENS.make(1, "list", "tenant"), *request_)
    with pytest.raises(InvalidArgumentError):
        PageTokens(b"x" * 32).read(TOKENS.make(1, "list", "tenant"), "list", "tenant")
