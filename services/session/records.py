"""The stored form of messages, events and entries of journals.

A record is a time of 8 bytes, a version of 1 byte, and fields, each with its
length in 4 bytes. A later release may add fields at the end; those that a
record lacks are empty.
"""

from __future__ import annotations

import json
import struct

from services.session.model import Message, NewMessage, Payload, Role, RunEntry, RunEvent, RunUsage

_VERSION = b"\x01"
_LENGTH = struct.Struct(">I")
# The store writes the time of a message itself, and can only write doubles.
# A double holds microseconds exactly until the year 2255.
_MESSAGE_TIME = struct.Struct(">d")
_EVENT_TIME = struct.Struct(">q")


def message_fields(message: NewMessage) -> bytes:
    """The record of a message but for its time, which the store puts in front."""
    return _joined(
        message.message_id.encode(),
        message.role.value.encode(),
        message.text.encode(),
        message.agent_id.encode(),
        message.run_id.encode(),
        message.attributes,
    )


def message(record: bytes, sequence: int) -> Message:
    """The message of a record at its place. Raises ValueError when the record is damaged."""
    message_id, role, text, agent_id, run_id, attributes = _split(record, 6)
    content = NewMessage(
        message_id.decode(),
        Role(role.decode()),
        text.decode(),
        agent_id.decode(),
        run_id.decode(),
        attributes,
    )
    return Message(content, sequence, int(_MESSAGE_TIME.unpack_from(record)[0]))


def event_record(event: RunEvent) -> bytes:
    """The record of an event; its sequence is its place."""
    return _EVENT_TIME.pack(event.event_time) + _joined(event.payload.type_url.encode(), event.payload.value)


def event(record: bytes, sequence: int) -> RunEvent:
    """The event of a record at its place. Raises ValueError when the record is damaged."""
    type_url, value = _split(record, 2)
    return RunEvent(sequence, Payload(type_url.decode(), value), _EVENT_TIME.unpack_from(record)[0])


def entry_record(entry: RunEntry) -> bytes:
    """The record of an entry of a journal; its position is its place. It has no time: eight zero bytes."""
    return _EVENT_TIME.pack(0) + _joined(entry.payload.type_url.encode(), entry.payload.value)


def entry(record: bytes, position: int) -> RunEntry:
    """The entry of a record at its place. Raises ValueError when the record is damaged."""
    type_url, value = _split(record, 2)
    return RunEntry(position, Payload(type_url.decode(), value))


def _joined(*fields: bytes) -> bytes:
    return _VERSION + b"".join(_LENGTH.pack(len(field)) + field for field in fields)


def _split(record: bytes, count: int) -> list[bytes]:
    if record[8:9] != _VERSION:
        raise ValueError("a record has an unknown version")
    fields, start = [], 9
    while start < len(record):
        (length,) = _LENGTH.unpack_from(record, start)
        start += _LENGTH.size + length
        fields.append(record[start - length : start])
    if start != len(record):
        raise ValueError("a record is cut short")
    return (fields + [b""] * count)[:count]


def usage_record(value: RunUsage) -> bytes:
    """As JSON; read back by `usage`."""
    return json.dumps([value.input_tokens, value.output_tokens, value.model, value.cost_usd]).encode()


def usage(stored: bytes) -> RunUsage:
    """What `usage_record` has written."""
    input_tokens, output_tokens, model, cost_usd = json.loads(stored)
    return RunUsage(int(input_tokens), int(output_tokens), model, cost_usd)
