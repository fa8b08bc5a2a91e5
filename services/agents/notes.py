"""What agents keep in a session."""

from __future__ import annotations

import json
from collections.abc import Callable

from services.agents.ports import Conversations, JsonObject

# Runs that a note remembers to have changed it: those that may be repeated while others come.
_REMEMBERED = 8


class RunNotes:
    """Is Notes, for a run of a session. A note names the last runs that changed it, so one that does it again
    changes nothing.
    """

    def __init__(self, conversations: Conversations, session_id: str, run_id: str) -> None:
        self._conversations = conversations
        self._session_id = session_id
        self._run_id = run_id

    async def change(self, name: str, change: Callable[[JsonObject], JsonObject]) -> JsonObject:
        """See Notes."""
        text = await self._conversations.note(self._session_id, name)
        kept = json.loads(text) if text else {"runs": [], "value": {}}
        before: JsonObject = kept["value"]
        if self._run_id in kept["runs"]:
            return before
        after = change(before)
        if after != before:
            runs = [*kept["runs"], self._run_id][-_REMEMBERED:]
            said = json.dumps({"runs": runs, "value": after}, ensure_ascii=False, separators=(",", ":"))
            await self._conversations.keep_note(self._session_id, name, said)
        return after
