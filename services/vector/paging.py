"""Page tokens: opaque, and of use only for the request that they were made for."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json

from services.vector.faults import invalid_page_token

_MAC_BYTES = 16


class PageTokens:
    """Signs the place where a page ended together with all that the page depends on."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def make(self, place: str | int, *request: object) -> str:
        """A token for the page after `place` of `request` (tenant, method, filters)."""
        body = json.dumps(place).encode()
        return base64.urlsafe_b64encode(self._mac(body, request) + body).decode()

    def read(self, token: str, *request: object) -> str | int:
        """The place. Raises InvalidArgumentError (INVALID_PAGE_TOKEN) for what was not made for `request`."""
        try:
            raw = base64.b64decode(token.encode(), altchars=b"-_", validate=True)
        except (binascii.Error, UnicodeEncodeError):
            raise invalid_page_token() from None
        mac, body = raw[:_MAC_BYTES], raw[_MAC_BYTES:]
        if not hmac.compare_digest(mac, self._mac(body, request)):
            raise invalid_page_token()
        place = json.loads(body)
        if not isinstance(place, (str, int)):
            raise invalid_page_token()
        return place

    def _mac(self, body: bytes, request: tuple[object, ...]) -> bytes:
        bound = json.dumps([*request], default=str).encode()
        return hmac.new(self._key, bound + b"\0" + body, hashlib.sha256).digest()[:_MAC_BYTES]
