"""What labels and event types of webhooks may be. Raises InvalidArgumentError (INVALID_FIELD)."""

from __future__ import annotations

from collections.abc import Iterable

from services.session.failures import invalid_field
from services.session.webhooks.model import EVENT_TYPES

MAX_LABEL_CHARACTERS = 100


def label(field: str, value: str) -> str:
    """What a webhook is called; may be empty."""
    if len(value) > MAX_LABEL_CHARACTERS or not value.isprintable():
        raise invalid_field(field, value, f"must have at most {MAX_LABEL_CHARACTERS} printable characters")
    return value


def event_types(values: Iterable[str]) -> tuple[str, ...]:
    """Event types that there are, sorted, each once."""
    kept = tuple(sorted(set(values)))
    for value in kept:
        if value not in EVENT_TYPES:
            raise invalid_field("event_types", value, f"must be of {', '.join(EVENT_TYPES)}")
    return kept
