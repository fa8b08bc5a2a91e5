"""Messages of any kind with everything or nothing in them."""

from __future__ import annotations

import random
from typing import Any

from google.protobuf import message_factory
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

_WHOLE = frozenset(
    (
        FieldDescriptor.TYPE_INT32,
        FieldDescriptor.TYPE_INT64,
        FieldDescriptor.TYPE_UINT32,
        FieldDescriptor.TYPE_UINT64,
    )
)


def filled(descriptor: Any, draw: random.Random, share: float, depth: int = 6) -> Message:
    """A message in which each field is set with this probability; of a oneof at most one is."""
    made = message_factory.GetMessageClass(descriptor)()
    # In any order: of a oneof the last one stays.
    for part in draw.sample(list(descriptor.fields), len(descriptor.fields)):
        if depth == 0 or draw.random() >= share:
            continue
        if part.message_type is not None and part.message_type.GetOptions().map_entry:
            kind = part.message_type.fields_by_name["value"]
            if kind.message_type is None:
                getattr(made, part.name)["a"] = _scalar(kind, draw)
            continue
        if part.is_repeated:
            for _ in range(draw.randint(1, 2)):
                if part.message_type is not None:
                    getattr(made, part.name).add().CopyFrom(_nested(part, draw, share, depth))
                else:
                    getattr(made, part.name).append(_scalar(part, draw))
        elif part.message_type is not None:
            getattr(made, part.name).CopyFrom(_nested(part, draw, share, depth))
        else:
            setattr(made, part.name, _scalar(part, draw))
    return made


def _nested(part: Any, draw: random.Random, share: float, depth: int) -> Message:
    name = part.message_type.full_name
    made: Any = message_factory.GetMessageClass(part.message_type)()
    if name == "google.protobuf.Struct":
        made.update({"word": "w", "number": 1.5, "list": [1, None, True]})
    elif name == "google.protobuf.Value":
        made.string_value = "v"
    elif name == "google.protobuf.Timestamp":
        made.FromSeconds(draw.randint(0, 2_000_000_000))
    elif name == "google.protobuf.Duration":
        made.FromMilliseconds(draw.randint(0, 100_000))
    elif name == "google.protobuf.Any":
        pass
    else:
        return filled(part.message_type, draw, share, depth - 1)
    return made


def _scalar(part: Any, draw: random.Random) -> Any:
    if part.enum_type is not None:
        return draw.choice([value.number for value in part.enum_type.values])
    if part.type == FieldDescriptor.TYPE_BOOL:
        return draw.random() < 0.5
    if part.type in _WHOLE:
        return draw.randint(1, 1000)
    if part.type in (FieldDescriptor.TYPE_DOUBLE, FieldDescriptor.TYPE_FLOAT):
        return draw.random()
    if part.type == FieldDescriptor.TYPE_BYTES:
        return b"b"
    return f"text {draw.randint(0, 99)}"
