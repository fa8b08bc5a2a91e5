"""Checks an agent's typed result before it leaves."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from meldrag.agents.v1 import results_pb2
from services.chassis.errors import InternalError

_CITATIONS = "citations"
# Where a verdict's reason stands, by the field of the verdict.
_REASONS = {"verdict": ("verdict_reason", "reason")}


def check(result: Message, numbers: Collection[int], *, agent_id: str) -> None:
    """Every citation is one of the run's, every verdict is given, and reasoned where nothing ran.

    numbers: of the run's verified citations. Raises InternalError (RESULT_INVALID) that names the field.
    """
    for path, cause in _faults(result, frozenset(numbers), "$"):
        raise InternalError(
            f"the result of {agent_id} is not valid: {path}: {cause}",
            reason="RESULT_INVALID",
            metadata={"agent_id": agent_id, "cause": f"{path}: {cause}"},
        )


def _faults(message: Message, numbers: frozenset[int], path: str) -> Iterator[tuple[str, str]]:
    for field in message.DESCRIPTOR.fields:
        value, place = getattr(message, field.name), f"{path}.{field.name}"
        if field.name == _CITATIONS and field.type == FieldDescriptor.TYPE_INT32:
            yield from ((place, f"there is no citation {n}") for n in value if n not in numbers)
        elif field.message_type is not None:
            yield from _inner(message, field, numbers, place)
        elif field.enum_type is not None:
            yield from _verdict(message, field, place)
        elif field.type in (FieldDescriptor.TYPE_DOUBLE, FieldDescriptor.TYPE_FLOAT):
            items = value if field.is_repeated else [value]
            yield from ((place, f"{item} is no number") for item in items if not math.isfinite(item))


def _inner(message: Message, field: Any, numbers: frozenset[int], place: str) -> Iterator[tuple[str, str]]:
    value = getattr(message, field.name)
    if field.message_type.GetOptions().map_entry or field.message_type.full_name.startswith("google."):
        return
    if field.is_repeated:
        for position, item in enumerate(value):
            yield from _faults(item, numbers, f"{place}[{position}]")
    elif message.HasField(field.name):
        yield from _faults(value, numbers, place)


def _verdict(message: Message, field: Any, place: str) -> Iterator[tuple[str, str]]:
    if field.is_repeated or field.has_presence:
        return
    value = getattr(message, field.name)
    if not value:
        yield place, "nothing is said"
    elif field.enum_type is results_pb2.Verdict.DESCRIPTOR and value == results_pb2.VERDICT_NOT_RUN:
        reasons = [name for name in _REASONS.get(field.name, ()) if name in message.DESCRIPTOR.fields_by_name]
        if reasons and not any(getattr(message, name) for name in reasons):
            yield place, "it does not say why nothing ran"
