"""Search in what was said: the sessions of a tenant are read, last changed first, until enough is found."""

from __future__ import annotations

import time

from services.chassis import context
from services.session import validation
from services.session.failures import invalid_field
from services.session.matching import Wanted
from services.session.model import Found, Page, Read
from services.session.page_tokens import PageTokens
from services.session.store import ConversationStore

# Of a page. With sessions as large as they may be, they are still below gRPC's 4 MiB.
_MATCHES = 100
# What the store gives in one go. It serves nobody else meanwhile, nor does this process while it looks.
_PORTION_BYTES = 512 * 1024
# What a call reads at most.
_PORTIONS = 64
# Seconds for which it reads at most, and what of the caller's time that may take.
_SECONDS = 1.0
_SHARE = 0.5


class Searching:
    """Finds sessions by what was said in them."""

    def __init__(
        self, store: ConversationStore, *, portion_bytes: int = _PORTION_BYTES, portions: int = _PORTIONS
    ) -> None:
        self._store = store
        self._portion_bytes = portion_bytes
        self._portions = portions

    async def search(self, tenant: str, query: str, page_size: int, page_token: str) -> Page[Found]:
        """Sessions that have the query in a message or in the title, last changed first.

        Fewer than asked for, or none, with a next page where reading took too long. Raises
        InvalidArgumentError (INVALID_FIELD, INVALID_PAGE_TOKEN) and what the store raises.
        """
        wanted = Wanted(validation.search_query(query))
        if not wanted:
            raise invalid_field("query", "", "must have a word, or something between quotes")
        count = min(validation.page_size(page_size), _MATCHES)
        tokens = PageTokens(await self._store.page_token_key(), tenant, "SearchSessions", query)
        place = tokens.place(page_token)
        end = time.monotonic() + min(_SECONDS, context.remaining() * _SHARE)
        found: list[Found] = []
        for _ in range(self._portions):
            page = await self._store.read_sessions(tenant, place, self._portion_bytes)
            place = page.next_place
            for read in page.items:
                if match := _match(read, wanted):
                    found.append(match)
                    if not read.whole:
                        # What is left of it is older than what was found.
                        place = read.place
                    if len(found) == count:
                        return Page(tuple(found), tokens.token(read.place))
            if not place or time.monotonic() > end:
                break
        return Page(tuple(found), tokens.token(place))


def _match(read: Read, wanted: Wanted) -> Found | None:
    """What was read of a session, where a message has all that is wanted, the newest, or else the title."""
    for message in read.messages:
        if wanted.found_in(message.content.text):
            return Found(read.session, message, wanted.excerpt(message.content.text))
    title = read.session.topic.title
    if read.whole and wanted.found_in(title):
        return Found(read.session, None, wanted.excerpt(title))
    return None
