"""Secrets of webhooks are derived where there is a key, and are nowhere to be found then."""

from __future__ import annotations

import base64

import pytest

from services.session.webhooks import secret_making, signing
from services.session.webhooks.secret_making import KeyLostError, SecretMaker, _hkdf

KEY = b"w7Jt-29ds.Kq/Zp4vNn+LrXe83mBhYcU"


def test_with_a_key_the_store_has_a_seed_and_no_secret() -> None:
    maker = SecretMaker(KEY)
    made = maker.make("whk_1")
    signing.check(made.shown)
    secret_making.check(made.kept)
    assert made.kept.startswith("seed_")
    assert base64.b64decode(made.shown.removeprefix("whsec_")).hex() not in made.kept
    # Whoever has the key reads it, after a restart and in another replica.
    assert SecretMaker(KEY).read("whk_1", made.kept) == made.shown
    assert made.shown not in repr(made)
    assert made.kept not in repr(made)


def test_a_seed_is_of_one_webhook_and_each_is_another() -> None:
    maker = SecretMaker(KEY)
    made = [maker.make("whk_1") for _ in range(50)]
    assert len({one.shown for one in made}) == 50
    assert maker.read("whk_2", made[0].kept) != made[0].shown


@pytest.mark.parametrize("other", [b"", b"short", b"another key that is long enough for it"])
def test_another_key_reads_nothing(other: bytes) -> None:
    kept = SecretMaker(KEY).make("whk_1").kept
    with pytest.raises(KeyLostError):
        SecretMaker(other).read("whk_1", kept)


def test_what_was_kept_as_it_is_stays_of_use() -> None:
    plain = SecretMaker().make("whk_1")
    assert plain.kept == plain.shown
    assert SecretMaker(KEY).read("whk_1", plain.kept) == plain.shown


@pytest.mark.parametrize(
    "wrong", ["", "whsec_QUJD", "seed_", f"seed_{'0' * 16}_{'0' * 63}", f"seed_{'g' * 16}_{'0' * 64}"]
)
def test_what_is_neither_secret_nor_seed_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        secret_making.check(wrong)


def test_deriving_is_as_rfc_5869_has_it() -> None:
    """Test case 1 of its appendix A, of which a block is the beginning."""
    made = _hkdf(b"\x0b" * 22, bytes(range(13)), bytes.fromhex("f0f1f2f3f4f5f6f7f8f9"))
    assert made.hex() == "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf"
