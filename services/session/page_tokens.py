"""Opaque page tokens: a place in a list, signed for one tenant and one request."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac

from services.session.failures import invalid_page_token
from services.session.requests import fingerprint

_SIGNATURE_BYTES = 16


class PageTokens:
    """Makes and reads the tokens of one list.

    key: secret that all replicas share. request: the tenant, the method and what
    filters the list; a token made for another request is refused.
    """

    def __init__(self, key: bytes, *request: str) -> None:
        self._key = key
        self._request = request

    def token(self, place: str) -> str:
        """A token for a place; "" for no place."""
        if not place:
            return ""
        return base64.urlsafe_b64encode(self._signature(place) + place.encode()).decode().rstrip("=")

    def place(self, token: str) -> str:
        """The place of a token; "" for no token. Raises InvalidArgumentError (INVALID_PAGE_TOKEN)."""
        if not token:
            return ""
        try:
            data = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
            signature, place = data[:_SIGNATURE_BYTES], data[_SIGNATURE_BYTES:].decode()
        except (binascii.Error, ValueError):
            raise invalid_page_token() from None
        if not hmac.compare_digest(signature, self._signature(place)):
            raise invalid_page_token()
        return place

    def _signature(self, place: str) -> bytes:
        message = fingerprint((*self._request, place))
        return hmac.digest(self._key, message, hashlib.sha256)[:_SIGNATURE_BYTES]
