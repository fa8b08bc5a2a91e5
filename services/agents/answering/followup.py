"""What to search for when a question leans on the one before."""

from __future__ import annotations

from collections.abc import Sequence

from services.agents.answering import terms
from services.agents.model import Turn

_MAX_QUERY = 8_000
_SHORT = 3
_REFERRING = 8


def search_query(question: str, turns: Sequence[Turn]) -> str:
    """The question, behind the user's last turn when it is a follow-up.

    A follow-up has at most 3 content words, or refers back ("it", "that", "those") and has at most 8. The
    result has at most 8,000 characters.
    """
    before = next((turn.text for turn in reversed(turns) if turn.from_user), "")
    count = len(terms.content_words(question))
    refers = not terms.REFERRING_WORDS.isdisjoint(terms.words(question))
    if before and (count <= _SHORT or (refers and count <= _REFERRING)):
        return f"{before[: _MAX_QUERY // 2]}\n{question}"[:_MAX_QUERY]
    return question[:_MAX_QUERY]
