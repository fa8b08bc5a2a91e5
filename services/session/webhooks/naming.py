"""What labels, event types and events of webhooks may be. Raises InvalidArgumentError (INVALID_FIELD)."""

from __future__ import annotations

from collections.abc import Iterable

from services.session import validation
from services.session.failures import invalid_field
from services.session.webhooks.model import DOCUMENT_TYPES, EVENT_TYPES, DocumentEvent

MAX_LABEL_CHARACTERS = 100
# A title or the name of a file, as the vector service takes them at most.
MAX_NAME_CHARACTERS = 1_000


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


def document_event(event: DocumentEvent) -> None:
    """Something that may have happened to a document."""
    if event.event_type not in DOCUMENT_TYPES:
        raise invalid_field("events.event_type", event.event_type, f"must be of {', '.join(DOCUMENT_TYPES)}")
    validation.identifier("events.document_id", event.document_id)
    for field, value in (
        ("collection_id", event.collection_id),
        ("title", event.title),
        ("filename", event.filename),
        ("error_reason", event.error_reason),
    ):
        if len(value) > MAX_NAME_CHARACTERS:
            raise invalid_field(
                f"events.{field}", value, f"must have at most {MAX_NAME_CHARACTERS} characters"
            )
