"""What was done to users and keys, and by whom."""

from __future__ import annotations

from services.session import validation
from services.session.failures import invalid_page_token
from services.session.identity.model import AuditEntry
from services.session.identity.store import AuditStore
from services.session.model import Page
from services.session.page_tokens import PageTokens


class Audit:
    """Reads the log, which the store writes together with what it tells of."""

    def __init__(self, store: AuditStore) -> None:
        self._store = store

    async def list_entries(self, tenant: str, page_size: int, page_token: str) -> Page[AuditEntry]:
        """A page, newest first. Raises InvalidArgumentError (INVALID_FIELD, INVALID_PAGE_TOKEN)."""
        count = validation.page_size(page_size)
        tokens = PageTokens(await self._store.page_token_key(), tenant, "ListAuditEntries")
        place = tokens.place(page_token) or "0"
        if not place.isdecimal():
            raise invalid_page_token()
        found = await self._store.list_audit(tenant, int(place), count + 1)
        more = str(found[count - 1].place) if len(found) > count else ""
        return Page(found[:count], tokens.token(more))
