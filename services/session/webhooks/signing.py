"""Signatures as Standard Webhooks has them, scheme v1: HMAC-SHA256 over "id.timestamp.body".

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Sequence

_PREFIX = "whsec_"
_SECRET_BYTES = 32


def new_secret() -> str:
    """A secret that cannot be guessed, as it is shown: "whsec_" and 32 bytes in base64."""
    return shown(secrets.token_bytes(_SECRET_BYTES))


def shown(key: bytes) -> str:
    """A secret as its owner is told it. key: 32 bytes."""
    return _PREFIX + base64.b64encode(key).decode()


def check(secret: str) -> None:
    """Raises ValueError for what is no secret."""
    if not secret.startswith(_PREFIX) or len(_key(secret)) != _SECRET_BYTES:
        raise ValueError("no secret")


def signature(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """The signature by one secret. timestamp: seconds since 1970. Raises ValueError for what is no secret."""
    signed = b"%s.%d.%s" % (message_id.encode(), timestamp, body)
    return "v1," + base64.b64encode(hmac.digest(_key(secret), signed, hashlib.sha256)).decode()


def headers(secrets_: Sequence[str], message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The headers of a message that is signed with each of the secrets."""
    signatures = (signature(secret, message_id, timestamp, body) for secret in secrets_)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(signatures),
    }


def _key(secret: str) -> bytes:
    return base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
