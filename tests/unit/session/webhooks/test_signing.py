"""Signatures are those of Standard Webhooks."""

from __future__ import annotations

import base64

import pytest

from services.session.webhooks import signing
from tests.unit.session.webhooks.verification import verify

# The example of the specification's libraries.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
MESSAGE = "msg_p5jXN8AQM9LWM0D4loKWxJek"
TIME = 1614265330
BODY = b'{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_the_example_of_the_specification() -> None:
    assert signing.signature(SECRET, MESSAGE, TIME, BODY) == SIGNATURE


def test_the_snippet_of_the_page_believes_what_was_signed_and_nothing_else() -> None:
    headers = signing.headers((SECRET,), MESSAGE, TIME, BODY)
    assert verify(SECRET, headers, BODY, now=TIME + 299) == {"test": 2432232314}
    for changed, body, now in (
        ({}, BODY + b" ", TIME),
        ({}, BODY, TIME + 301),
        ({}, BODY, TIME - 301),
        ({"webhook-id": "msg_other"}, BODY, TIME),
        ({"webhook-timestamp": str(TIME + 1)}, BODY, TIME),
        ({"webhook-signature": "v1,AAAA"}, BODY, TIME),
        ({"webhook-signature": SIGNATURE.replace("v1", "v2")}, BODY, TIME),
    ):
        with pytest.raises(ValueError, match=r"message|signature"):
            verify(SECRET, headers | changed, body, now=now)


def test_two_secrets_sign_side_by_side() -> None:
    first, second = signing.new_secret(), signing.new_secret()
    headers = signing.headers((first, second), MESSAGE, TIME, BODY)
    for secret in (first, second):
        assert verify(secret, headers, BODY, now=TIME) == {"test": 2432232314}
    with pytest.raises(ValueError, match="signature"):
        verify(signing.new_secret(), headers, BODY, now=TIME)


def test_new_secrets_are_secrets_of_their_own() -> None:
    first, second = signing.new_secret(), signing.new_secret()
    assert first != second
    assert len(base64.b64decode(first.removeprefix("whsec_"))) == 32
    signing.check(first)
    for wrong in ("", "whsec_", "whsec_QUJD", first.removeprefix("whsec_"), first + "!"):
        with pytest.raises(ValueError, match=r".*"):
            signing.check(wrong)
