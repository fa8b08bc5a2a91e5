"""Server-sent events, as the gateway writes them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Event:
    """name: what happened. data: its JSON object. id: from where a stream can be followed again, or empty."""

    name: str
    data: dict[str, Any]
    id: str = ""


def parse(lines: Iterable[str]) -> Iterator[Event]:
    """The events in lines without their ends. Comments are passed over; an unfinished event is none.

    Raises ValueError for data that is no JSON object.
    """
    name, identity, data = "", "", list[str]()
    for line in lines:
        if line:
            field, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if field == "event":
                name = value
            elif field == "id":
                identity = value
            elif field == "data":
                data.append(value)
            continue
        if data:
            members = json.loads("\n".join(data))
            if not isinstance(members, dict):
                raise ValueError("an event's data is no JSON object")
            yield Event(name or "message", members, identity)
        name, identity, data = "", "", []
