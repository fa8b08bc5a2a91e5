"""Tokens come back as what they were made for; others are refused. Attacks are in the contract tests."""

from __future__ import annotations

from dataclasses import replace

import jwt
import pytest

from services.chassis.errors import FailedPreconditionError, UnauthenticatedError
from services.session.identity import tokens
from services.session.identity.model import Family
from services.session.identity.tokens import TokenMaker

SECRET = b"w7Jt-29ds.Kq/Zp4vNn+LrXe83mBhYcU"
NOW = 2_000_000_000
FAMILY = Family("home", "f" * 26, "usr_1", 3, "", b"seed", 1, NOW * 1_000_000 + 123)


def maker(now: float = NOW, secret: bytes = SECRET) -> TokenMaker:
    return TokenMaker(secret, lambda: now)


@pytest.fixture(autouse=True)
def _now(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyJWT's clock is the machine's; what it compares with that is kept out of these tests."""
    decode = jwt.decode

    def at_any_time(*args: object, options: dict[str, object], **rest: object) -> object:
        return decode(*args, options={**options, "verify_nbf": False, "verify_iat": False}, **rest)  # type: ignore[arg-type]

    monkeypatch.setattr(jwt, "decode", at_any_time)


def test_the_tokens_of_a_family_are_always_the_same_ones() -> None:
    first = maker().tokens(FAMILY)
    assert maker(NOW + 5).tokens(FAMILY) == first
    assert first.expire_time == (NOW + 600) * 1_000_000
    for other in (
        replace(FAMILY, number=2),
        replace(FAMILY, family_id="g" * 26),
        replace(FAMILY, tenant="other"),
    ):
        assert maker().tokens(other).refresh != first.refresh
        assert maker().tokens(other).access != first.access
    # Neither the store without the secret, nor the secret without the store, makes one.
    assert maker().tokens(replace(FAMILY, seed=b"other")).refresh != first.refresh
    assert maker(secret=b"k" * 32).tokens(FAMILY).refresh != first.refresh


def test_an_access_token_says_what_it_was_made_for_until_it_ends() -> None:
    made = maker().tokens(FAMILY)
    read = maker().read_access(made.access)
    assert (read.tenant, read.user_id, read.family_id, read.version) == ("home", "usr_1", "f" * 26, 3)
    assert read.expire_time == made.expire_time
    maker(NOW + 599).read_access(made.access)
    with pytest.raises(UnauthenticatedError) as caught:
        maker(NOW + 600).read_access(made.access)
    assert caught.value.reason == "TOKEN_EXPIRED"
    assert maker(NOW + 600).read_access(made.access, ended=True) == read


def test_a_refresh_token_is_proven_by_its_family() -> None:
    made = maker().tokens(FAMILY)
    shown = maker().read_refresh(made.refresh)
    assert (shown.tenant, shown.family_id, shown.number) == ("home", "f" * 26, 1)
    maker().prove(shown, FAMILY)
    for wrong, family in (
        (replace(shown, number=2), FAMILY),
        (replace(shown, mac="0" * 64), FAMILY),
        (shown, replace(FAMILY, seed=b"another")),
    ):
        with pytest.raises(UnauthenticatedError):
            maker().prove(wrong, family)


@pytest.mark.parametrize("secret", [b"", b"x" * 31])
def test_without_a_good_secret_there_are_no_tokens(secret: bytes) -> None:
    weak = TokenMaker(secret)
    for call in (
        lambda: weak.tokens(FAMILY),
        lambda: weak.read_access("a.b.c"),
        lambda: weak.read_refresh("mrt_"),
        weak.check,
    ):
        with pytest.raises(FailedPreconditionError) as caught:
            call()
        assert caught.value.reason == "LOGIN_NOT_CONFIGURED"


def test_no_two_keys_are_the_same_and_each_says_where_it_belongs() -> None:
    made = [tokens.new_api_key("my-home_2") for _ in range(50)]
    assert len({text for text, _ in made}) == 50
    for text, shown in made:
        assert tokens.read_api_key(text) == shown
        assert shown.tenant == "my-home_2"
        assert text.startswith(tokens.api_key_prefix("my-home_2", shown.api_key_id))
        assert shown.sha256 not in text


@pytest.mark.parametrize("text", ["", "mrk_", "mrk_a-b_c", "mrk_{a}-0123456789abcdef_" + "0" * 52, "\n"])
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(UnauthenticatedError):
        tokens.read_api_key(text)
    # A line end after a good one, neither.
    with pytest.raises(UnauthenticatedError):
        tokens.read_api_key(tokens.new_api_key("home")[0] + "\n")


def test_nothing_that_is_shown_in_a_log_has_a_secret() -> None:
    made = maker().tokens(FAMILY)
    assert made.access not in repr(made)
    assert made.refresh not in repr(made)
    assert "seed" not in repr(FAMILY)
