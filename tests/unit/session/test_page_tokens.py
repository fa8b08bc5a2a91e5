"""Page tokens hold a place and belong to one request."""

from __future__ import annotations

import pytest

from services.chassis.errors import InvalidArgumentError
from services.session.page_tokens import PageTokens

KEY = b"k" * 32


def test_a_place_goes_through_a_token() -> None:
    tokens = PageTokens(KEY, "local", "ListRuns", "ses_1")
    for place in ("1", "1732273000000000"):
        assert tokens.place(tokens.token(place)) == place
    assert tokens.token("") == ""
    assert tokens.place("") == ""


def test_a_token_of_another_request_tenant_or_key_is_refused() -> None:
    token = PageTokens(KEY, "local", "ListRuns", "ses_1").token("5")
    for other in (
        PageTokens(b"x" * 32, "local", "ListRuns", "ses_1"),
        PageTokens(KEY, "other", "ListRuns", "ses_1"),
        PageTokens(KEY, "local", "ListSessions", "ses_1"),
        PageTokens(KEY, "local", "ListRuns", "ses_2"),
        PageTokens(KEY, "local", "ListRuns", "ses_", "1"),
    ):
        with pytest.raises(InvalidArgumentError) as refused:
            other.place(token)
        assert refused.value.reason == "INVALID_PAGE_TOKEN"


@pytest.mark.parametrize("token", ["5", "AAAA", "é", "====", "a b", "A" * 22, "//\n", "A" * 1_000_000])
def test_what_is_no_token_is_refused(token: str) -> None:
    with pytest.raises(InvalidArgumentError):
        PageTokens(KEY, "local", "ListRuns").place(token)


def test_no_character_of_a_token_can_be_changed() -> None:
    tokens = PageTokens(KEY, "local", "ListRuns")
    token = tokens.token("1732273000000000")
    for place, character in enumerate(token):
        for other in "Aa0_":
            if other != character:
                changed = token[:place] + other + token[place + 1 :]
                try:
                    found = tokens.place(changed)
                except InvalidArgumentError:
                    continue
                # The last character's spare bits mean nothing, so its place is the same.
                assert (found, place) == ("1732273000000000", len(token) - 1)
