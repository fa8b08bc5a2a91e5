"""The limits of what is kept. Each function raises InvalidArgumentError with the reason INVALID_FIELD."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from services.chassis import filename
from services.session.failures import invalid_field
from services.session.model import (
    NewAttachment,
    NewItem,
    NewMessage,
    NewRun,
    Payload,
    RunEntry,
    RunEvent,
    RunUsage,
    Scalar,
    TopicChange,
)
from services.session.webhooks.model import Ending

# An id becomes a part of a key of the store; none of these characters means anything there.
_MAX_MODEL = 200
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
# A tenant, or a tenant and one of its people. It becomes a part of keys and of names of files.
SPACE = r"[A-Za-z0-9_-]{1,64}(?:\.[A-Za-z0-9_-]{1,64})?"
_SPACE = re.compile(SPACE)
_RUN_ID = re.compile(r"run_[A-Za-z0-9]{26}")
_KIND = re.compile(r"[a-z_]{1,32}")
_ITEM_NAME = re.compile(r"[a-z0-9_-]{1,64}")
_SHA256 = re.compile(r"[0-9A-Fa-f]{64}")
_COLLECTION_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")

MAX_TITLE_CHARACTERS = 200
MAX_COLLECTIONS = 100
MAX_METADATA_BYTES = 16_384
MAX_REQUEST_ID_CHARACTERS = 128
MAX_MESSAGES = 16
MAX_TEXT_BYTES = 1_000_000
MAX_ATTRIBUTES_BYTES = 1_000_000
# A gRPC message has 4 MiB; the answer to an append carries all of it back.
MAX_APPEND_BYTES = 3_000_000
MAX_OWNER_CHARACTERS = 200
MAX_EVENTS = 1_000
MAX_ENTRIES = 1_000
MAX_PAYLOAD_BYTES = 1_000_000
MAX_MEDIA_TYPE_CHARACTERS = 200
MAX_ITEM_BYTES = 500_000
MAX_ITEMS = 1_000
MAX_PAGE = 1_000
DEFAULT_PAGE = 100
MAX_QUERY_CHARACTERS = 500


def identifier(field: str, value: str) -> str:
    """An id as this system makes them: 1 to 64 letters, digits, "_" and "-"."""
    if not _ID.fullmatch(value):
        raise invalid_field(field, value, 'must be 1 to 64 letters, digits, "_" or "-"')
    return value


def space(field: str, value: str) -> str:
    """The name of what belongs to one person, see Principal.space: an id, or two with a dot between."""
    if not _SPACE.fullmatch(value):
        raise invalid_field(field, value, "must be an id, or two with a dot between")
    return value


def optional_identifier(field: str, value: str) -> str:
    """An id or nothing."""
    return identifier(field, value) if value else value


def request_id(value: str) -> str:
    """A name for a request: 1 to 128 printable characters."""
    if not 0 < len(value) <= MAX_REQUEST_ID_CHARACTERS or not value.isprintable():
        raise invalid_field("request_id", value, "must be 1 to 128 printable characters")
    return value


def page_size(value: int) -> int:
    """How many entries a page has: what was asked for, 100 for 0."""
    if not 0 <= value <= MAX_PAGE:
        raise invalid_field("page_size", value, f"must be 0 to {MAX_PAGE}")
    return value or DEFAULT_PAGE


def search_query(value: str) -> str:
    """What is searched for: 1 to 500 characters. No error repeats it: what somebody looks for is theirs."""
    if not value.strip():
        raise invalid_field("query", "", "must say what to look for")
    if len(value) > MAX_QUERY_CHARACTERS:
        raise invalid_field("query", len(value), f"must have at most {MAX_QUERY_CHARACTERS} characters")
    return value


def topic_change(change: TopicChange) -> TopicChange:
    """What may be said of a session; what is absent passes."""
    if change.title is not None:
        _title(change.title)
    if change.collection_ids is not None:
        _collection_ids(change.collection_ids)
    if change.metadata is not None:
        _metadata(change.metadata)
    return change


def _title(value: str) -> None:
    if len(value) > MAX_TITLE_CHARACTERS:
        raise invalid_field("title", value, f"must have at most {MAX_TITLE_CHARACTERS} characters")
    if "\0" in value:
        raise invalid_field("title", value, "must not contain NUL")


def _collection_ids(values: Sequence[str]) -> None:
    if len(values) > MAX_COLLECTIONS:
        raise invalid_field("collection_ids", len(values), f"must be at most {MAX_COLLECTIONS}")
    for value in values:
        if not _COLLECTION_ID.fullmatch(value):
            raise invalid_field("collection_ids", value, "must be ids of collections")
    if len(set(values)) < len(values):
        raise invalid_field("collection_ids", "", "must name each collection once")


def _metadata(value: Mapping[str, Scalar]) -> None:
    for key, item in value.items():
        if isinstance(item, float) and not math.isfinite(item):
            raise invalid_field("metadata", key, "must hold finite numbers")
    if len(json.dumps(value, ensure_ascii=False).encode()) > MAX_METADATA_BYTES:
        raise invalid_field("metadata", "", f"must have at most {MAX_METADATA_BYTES} bytes as JSON")


def messages(values: Sequence[NewMessage]) -> Sequence[NewMessage]:
    """Messages of one append."""
    if not 1 <= len(values) <= MAX_MESSAGES:
        raise invalid_field("messages", len(values), f"must be 1 to {MAX_MESSAGES}")
    total = 0
    for place, value in enumerate(values):
        field = f"messages[{place}]"
        text = len(value.text.encode())
        if text > MAX_TEXT_BYTES:
            raise invalid_field(f"{field}.text", text, f"must have at most {MAX_TEXT_BYTES} bytes")
        if len(value.attributes) > MAX_ATTRIBUTES_BYTES:
            raise invalid_field(
                f"{field}.attributes",
                len(value.attributes),
                f"must have at most {MAX_ATTRIBUTES_BYTES} bytes",
            )
        optional_identifier(f"{field}.agent_id", value.agent_id)
        optional_identifier(f"{field}.run_id", value.run_id)
        total += text + len(value.attributes)
    if total > MAX_APPEND_BYTES:
        raise invalid_field("messages", total, f"must have at most {MAX_APPEND_BYTES} bytes together")
    return values


def run_id(field: str, value: str) -> str:
    """The id of a run: "run_" and 26 letters or digits."""
    if not _RUN_ID.fullmatch(value):
        raise invalid_field(field, value, 'must be "run_" and 26 letters or digits')
    return value


def new_run(run: NewRun) -> NewRun:
    """The opening of a run."""
    run_id("run.run_id", run.run_id)
    optional_identifier("run.session_id", run.session_id)
    identifier("run.agent_id", run.agent_id)
    owner("run.owner", run.owner)
    if run.parent_run_id:
        run_id("run.parent_run_id", run.parent_run_id)
    if run.request is not None and len(run.request.value) > MAX_PAYLOAD_BYTES:
        raise invalid_field(
            "run.request", len(run.request.value), f"must have at most {MAX_PAYLOAD_BYTES} bytes"
        )
    return run


def owner(field: str, value: str) -> str:
    """Who works on a run; may be empty."""
    if len(value) > MAX_OWNER_CHARACTERS or not value.isprintable():
        raise invalid_field(field, value, f"must be at most {MAX_OWNER_CHARACTERS} printable characters")
    return value


def events(values: Sequence[RunEvent]) -> Sequence[RunEvent]:
    """Events of one append."""
    if len(values) > MAX_EVENTS:
        raise invalid_field("events", len(values), f"must be at most {MAX_EVENTS}")
    _consecutive("events.sequence", (value.sequence for value in values))
    _payloads("events", (value.payload for value in values))
    return values


def entries(values: Sequence[RunEntry]) -> Sequence[RunEntry]:
    """Entries of a journal of one append."""
    if len(values) > MAX_ENTRIES:
        raise invalid_field("entries", len(values), f"must be at most {MAX_ENTRIES}")
    _consecutive("entries.position", (value.position for value in values))
    _payloads("entries", (value.payload for value in values))
    return values


def ending(value: Ending) -> Ending:
    """What webhooks are told of the end of a run."""
    for field, number in (("input_tokens", value.input_tokens), ("output_tokens", value.output_tokens)):
        if not 0 <= number < 1 << 53:
            raise invalid_field(f"summary.{field}", number, "must be a number of tokens")
    for field, text in (("answer_mode", value.answer_mode), ("error_reason", value.error_reason)):
        if text and not _ID.fullmatch(text):
            raise invalid_field(f"summary.{field}", text, "must be a name")
    return value


def usage(value: RunUsage) -> RunUsage:
    """What a run has used."""
    for field, number in (("input_tokens", value.input_tokens), ("output_tokens", value.output_tokens)):
        if not 0 <= number < 1 << 53:
            raise invalid_field(f"usage.{field}", number, "must be a number of tokens")
    if len(value.model) > _MAX_MODEL or not value.model.isprintable():
        raise invalid_field("usage.model", value.model, f"must be at most {_MAX_MODEL} printable characters")
    if value.cost_usd is not None and not 0 <= value.cost_usd < math.inf:
        raise invalid_field("usage.cost_usd", value.cost_usd, "must be an amount of US dollars")
    return value


def item_kind(field: str, value: str) -> str:
    """The kind of a thing: 1 to 32 of a-z and "_"."""
    if not _KIND.fullmatch(value):
        raise invalid_field(field, value, 'must be 1 to 32 of a-z and "_"')
    return value


def item_name(field: str, value: str) -> str:
    """The name of a thing: 1 to 64 of a-z, 0-9, "-" and "_"."""
    if not _ITEM_NAME.fullmatch(value):
        raise invalid_field(field, value, 'must be 1 to 64 of a-z, 0-9, "-" and "_"')
    return value


def new_item(item: NewItem) -> NewItem:
    """A thing to keep."""
    item_kind("item.kind", item.kind)
    item_name("item.name", item.name)
    size = len(item.payload.value)
    if size > MAX_ITEM_BYTES:
        raise invalid_field("item.payload", size, f"must have at most {MAX_ITEM_BYTES} bytes")
    return item


def new_attachment(given: NewAttachment) -> NewAttachment:
    """A file to keep, under a name that is safe to show."""
    optional_identifier("header.session_id", given.session_id)
    optional_identifier("header.run_id", given.run_id)
    if len(given.media_type) > MAX_MEDIA_TYPE_CHARACTERS or not given.media_type.isprintable():
        raise invalid_field(
            "header.media_type",
            given.media_type,
            f"must be at most {MAX_MEDIA_TYPE_CHARACTERS} printable characters",
        )
    if given.size < 0:
        raise invalid_field("header.bytes", given.size, "must be 0 or more")
    if given.sha256 and not _SHA256.fullmatch(given.sha256):
        raise invalid_field("header.sha256", given.sha256, "must be 64 hexadecimal digits")
    cleaned = filename.clean(given.filename)
    if not cleaned:
        raise invalid_field("header.filename", given.filename, "must name the file")
    return replace(given, filename=cleaned, sha256=given.sha256.lower())


def _payloads(field: str, values: Iterable[Payload]) -> None:
    for place, value in enumerate(values):
        if len(value.value) > MAX_PAYLOAD_BYTES:
            raise invalid_field(
                f"{field}[{place}].payload", len(value.value), f"must have at most {MAX_PAYLOAD_BYTES} bytes"
            )


def _consecutive(field: str, places: Iterable[int]) -> None:
    expected: int | None = None
    for place in places:
        if place < 1 or (expected is not None and place != expected):
            raise invalid_field(field, place, "must be consecutive and begin at 1 or later")
        expected = place + 1
