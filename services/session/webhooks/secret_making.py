"""The secrets of webhooks, made from a seed that is kept and a key that is not.

Where the house has a JWT_SECRET_KEY, a secret is derived from it (HKDF, RFC 5869, with SHA-256), and only the
seed goes into the store and into snapshots: neither the store nor the key alone gives the secret. A seed
names the key that it belongs to, so that nothing is signed with a secret that no receiver has. Without a key,
on one machine where nobody logs in, the secret itself is kept; so are those that were made before.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass, field

from services.session.webhooks import signing

MIN_KEY_BYTES = 32

_KEY_LABEL = b"meldrag webhook key"
_SECRET_LABEL = b"meldrag webhook secret "
_SEED = re.compile(r"seed_([0-9a-f]{16})_([0-9a-f]{64})")
_SEED_BYTES = 32


class KeyLostError(Exception):
    """A secret was made with another key than this house has."""


@dataclass(frozen=True, slots=True)
class Made:
    """A new secret: as its owner is told it, and as it is kept."""

    shown: str = field(repr=False)
    kept: str = field(repr=False)


class SecretMaker:
    """Makes and reads secrets. key: JWT_SECRET_KEY; one below 32 bytes is as none."""

    def __init__(self, key: bytes = b"") -> None:
        self._key = key if len(key) >= MIN_KEY_BYTES else b""
        self._name = hmac.digest(self._key, _KEY_LABEL, hashlib.sha256).hex()[:16] if self._key else ""

    def make(self, webhook_id: str) -> Made:
        """A secret that cannot be guessed."""
        if not self._key:
            plain = signing.new_secret()
            return Made(plain, plain)
        kept = f"seed_{self._name}_{secrets.token_hex(_SEED_BYTES)}"
        return Made(self.read(webhook_id, kept), kept)

    def read(self, webhook_id: str, kept: str) -> str:
        """The secret of a webhook. Raises KeyLostError."""
        found = _SEED.fullmatch(kept)
        if found is None:
            return kept
        if not self._name or found[1] != self._name:
            raise KeyLostError
        derived = _hkdf(self._key, bytes.fromhex(found[2]), _SECRET_LABEL + webhook_id.encode())
        return signing.shown(derived)


def check(kept: str) -> None:
    """Raises ValueError for what is no secret, nor a seed of one."""
    if _SEED.fullmatch(kept) is None:
        signing.check(kept)


def _hkdf(key: bytes, salt: bytes, label: bytes) -> bytes:
    """32 bytes: one block of what RFC 5869 calls expanding is as many."""
    extracted = hmac.digest(salt, key, hashlib.sha256)
    return hmac.digest(extracted, label + b"\x01", hashlib.sha256)
