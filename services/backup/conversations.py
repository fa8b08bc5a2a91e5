"""Conversations that a restored house must have again, as canaries.Canary for documents."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from meldrag.session.v1 import session_pb2
from services.backup import counting
from services.backup.clients import repeated
from services.chassis.errors import NotFoundError

MOST = 3
_LOOKED_AT = 100
_CALL_SECONDS = 30.0
_PATIENCE_SECONDS = 30.0


@dataclass(frozen=True)
class Conversation:
    """A session and how it ends. last_sha256: of the text of its last message; "" where it has none."""

    session_id: str
    title: str
    messages: int
    last_sha256: str

    def to_json(self) -> dict[str, Any]:
        """For manifest.json."""
        return asdict(self)

    @classmethod
    def from_json(cls, said: Any) -> Conversation:
        """Out of manifest.json. Raises ValueError, KeyError or TypeError."""
        return cls(
            str(said["session_id"]), str(said["title"]), int(said["messages"]), str(said["last_sha256"])
        )


class Conversations:
    """Asks the session service (`stub`). All methods raise ServiceError."""

    def __init__(self, stub: Any, patience: float = _PATIENCE_SECONDS) -> None:
        self._stub = stub
        self._patience = patience

    def choose(self) -> tuple[Conversation, ...]:
        """Up to MOST of those that were written to last; those with messages first."""
        request = session_pb2.ListSessionsRequest(page_size=_LOOKED_AT)
        page = repeated(lambda: self._stub.ListSessions(request, timeout=_CALL_SECONDS), self._patience)
        lasting = [session for session in page.sessions if counting.lasts(session)]
        lasting.sort(key=lambda session: session.messages == 0)
        found = (self.ask(session.session_id) for session in lasting[:MOST])
        return tuple(conversation for conversation in found if conversation is not None)

    def ask(self, session_id: str) -> Conversation | None:
        """The session as it is now; None when it is not there."""
        named = session_pb2.GetSessionRequest(session_id=session_id)
        newest = session_pb2.ListMessagesRequest(session_id=session_id, page_size=1, newest=True)
        try:
            session = repeated(
                lambda: self._stub.GetSession(named, timeout=_CALL_SECONDS), self._patience
            ).session
            page = repeated(lambda: self._stub.ListMessages(newest, timeout=_CALL_SECONDS), self._patience)
        except NotFoundError:
            return None
        last = [hashlib.sha256(message.text.encode()).hexdigest() for message in page.messages]
        return Conversation(session_id, session.title, session.messages, "".join(last))

    def still_hold(self, conversations: Sequence[Conversation]) -> tuple[Conversation, ...]:
        """Those that are now as they were then."""
        return tuple(one for one in conversations if self.ask(one.session_id) == one)
