"""What is there, counted through the lists that every caller sees: not what who took it says of it.

The lists show what the caller may see: not what belongs to people, where they log in.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from meldrag.session.v1 import session_pb2
from meldrag.vector.v1 import vector_pb2
from services.backup.clients import repeated

# A session that has less left when it is copied may be gone before a restore has counted it.
EXPIRING_SECONDS = 1_200.0

_MOST = 100_000
_PAGE = 500
_CALL_SECONDS = 30.0
_PATIENCE_SECONDS = 30.0

_DOCUMENTS = ("documents", "chunks", "vectors")


class TooManyError(Exception):
    """There is more than this program counts."""


def documents(stub: Any) -> Counter[str]:
    """Collections, documents, chunks and vectors of the vector service. Raises ServiceError, TooManyError."""
    counted: Counter[str] = Counter()
    for collection in _listed(stub.ListCollections, vector_pb2.ListCollectionsRequest, "collections"):
        counted["collections"] += 1
        for kind in _DOCUMENTS:
            counted[kind] += getattr(collection, kind)
    return counted


def sessions(stub: Any) -> Counter[str]:
    """Sessions and messages of the session service. Raises ServiceError, TooManyError."""
    return _sessions(stub)[0]


def listed(vector: Any, session: Any) -> tuple[Counter[str], Counter[str] | None]:
    """What the lists of both services show, by kind, without that of which there is too much to be counted;
    and those of the sessions that expire within EXPIRING_SECONDS, None where there are too many to tell.

    Raises ServiceError.
    """
    counted: Counter[str] = Counter()
    expiring: Counter[str] | None = None
    with suppress(TooManyError):
        counted.update(documents(vector))
    with suppress(TooManyError):
        kept, expiring = _sessions(session)
        counted.update(kept)
    return counted, expiring


def lasts(session: Any) -> bool:
    """It has more than EXPIRING_SECONDS left."""
    soon = datetime.now(UTC) + timedelta(seconds=EXPIRING_SECONDS)
    return not session.HasField("expire_time") or session.expire_time.ToDatetime(UTC) > soon


def _sessions(stub: Any) -> tuple[Counter[str], Counter[str]]:
    """All, and those that expire soon."""
    counted, expiring = Counter(sessions=0, messages=0), Counter(sessions=0, messages=0)
    for session in _listed(stub.ListSessions, session_pb2.ListSessionsRequest, "sessions"):
        for counter in (counted,) if lasts(session) else (counted, expiring):
            counter["sessions"] += 1
            counter["messages"] += session.messages
    return counted, expiring


def _listed(method: Any, requests: Any, field: str) -> Iterator[Any]:
    token, seen = "", 0
    while True:
        request = requests(page_size=_PAGE, page_token=token)
        page = repeated(
            lambda request=request: method(request, timeout=_CALL_SECONDS),  # type: ignore[misc]
            _PATIENCE_SECONDS,
        )
        items = getattr(page, field)
        seen += len(items)
        if seen > _MOST:
            raise TooManyError
        yield from items
        token = page.next_page_token
        if not token:
            return
