"""What stands on a page of a PDF beside its text: values of a form, text that was typed onto it, notes.

None of it is content of the page (ISO 32000-2, 12.5 and 12.7). A value is said with the name of its field, a
note with its author. What nobody is shown is left out: what is hidden, passwords, boxes without a tick.
"""

import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pypdf.errors import PyPdfError
from pypdf.generic import NullObject

from services.vector.extraction.writer import one_line

# Of one page.
_NOTES_MAX: Final = 2_000
_CHARS_MAX: Final = 20_000
_CHOICES_MAX: Final = 500
_ANCESTORS_MAX: Final = 16
# Letters and digits; what has fewer stands in a page by chance.
_TELLING_MIN: Final = 12
# Characters of a page among which a note is sought.
_SOUGHT_MAX: Final = 200_000
_HIDDEN: Final = 1 << 1
_PRINTED: Final = 1 << 2
_NOT_VIEWED: Final = 1 << 5
_PASSWORD: Final = 1 << 13
_PUSHED: Final = 1 << 16
_NOTES: Final = frozenset(
    {
        "/Caret", "/Circle", "/FreeText", "/Highlight", "/Ink", "/Line", "/PolyLine", "/Polygon", "/Square",
        "/Squiggly", "/Stamp", "/StrikeOut", "/Text", "/Underline",
    }
)  # fmt: skip
# "f1_02[0]", as XFA counts what has the same name.
_COUNTED: Final = re.compile(r"\[\d+\]$")
_BROKEN: Final = (PyPdfError, KeyError, ValueError, TypeError, AttributeError, IndexError, OverflowError)


@dataclass(frozen=True, slots=True)
class _Note:
    """A line of text, the part of it that a page may say already, and where it stands."""

    line: str
    telling: str
    top: int
    left: int


def notes_of(page: Any, text: str) -> tuple[list[str], bool]:
    """A line for each, from the top down, and whether these are all. What `text`, that of the page, says
    already is not said again.
    """
    notes: list[_Note] = []
    try:
        held = _held(page, "/Annots")
    except _BROKEN:
        return [], False
    entries = list(held) if isinstance(held, list) else []
    whole = len(entries) <= _NOTES_MAX
    for entry in entries[:_NOTES_MAX]:
        try:
            note = _note(entry.get_object())
        except _BROKEN:
            whole = False
        else:
            whole = whole and (note is None or len(note.line) <= _CHARS_MAX)
            notes += [] if note is None else [note]
    return _new(sorted(notes, key=lambda note: (-note.top, note.left)), text), whole


def _new(notes: Sequence[_Note], text: str) -> list[str]:
    if not notes:
        return []
    text = text[:_SOUGHT_MAX]
    page, known = _key(text), {_key(line) for line in text.split("\n")}
    lines: list[str] = []
    for note in notes:
        key = _key(note.telling)
        if key in known or (len(key) >= _TELLING_MIN and key in page):
            continue
        known.add(key)
        lines.append(note.line[:_CHARS_MAX])
    return lines


def _key(text: str) -> str:
    """Letters and digits only: lines break elsewhere in a page. The signs, where there is nothing else."""
    return "".join(char for char in text.lower() if char.isalnum()) or "".join(text.split())


def _note(note: Any) -> _Note | None:
    """None for what says nothing or is not shown."""
    if not isinstance(note, Mapping) or _is_hidden(int(_held(note, "/F") or 0)):
        return None
    kind = _held(note, "/Subtype")
    if kind == "/Widget":
        fields = _lineage(note)
        name, text = _name(fields), _value(fields)
        line = telling = f"{name}: {text}" if name else text
    elif kind in _NOTES and "/StateModel" not in note:
        text = telling = _text(_held(note, "/Contents"))
        # Whoever types onto a page writes it.
        author = "" if kind == "/FreeText" else _text(_held(note, "/T"))
        line = f"{author}: {text}" if author else text
    else:
        return None
    return _Note(line, telling, *_corner(note)) if text else None


def _is_hidden(flags: int) -> bool:
    return bool(flags & _HIDDEN) or flags & (_NOT_VIEWED | _PRINTED) == _NOT_VIEWED


def _corner(note: Mapping[str, Any]) -> tuple[int, int]:
    """Top and left in whole points, so that fields of one row are level; below all others without a place."""
    sides = _held(note, "/Rect")
    if not isinstance(sides, list) or len(sides) != 4:
        return -sys.maxsize, 0
    x, y, other_x, other_y = (float(side.get_object()) for side in sides)
    return round(max(y, other_y)), round(min(x, other_x))


def _lineage(widget: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The widget, its field and the fields that hold that one, from which it inherits."""
    fields = [widget]
    while len(fields) < _ANCESTORS_MAX:
        parent = _held(fields[-1], "/Parent")
        if not isinstance(parent, Mapping) or any(parent is field for field in fields):
            break
        fields.append(parent)
    return fields


def _name(fields: Sequence[Mapping[str, Any]]) -> str:
    """The name for people, or else the qualified name without the containers of XFA."""
    named = [(field, name) for field in fields if (name := _text(_held(field, "/T")))]
    if not named:
        return _text(_held(fields[0], "/TU"))
    shown = _text(_held(named[0][0], "/TU"))
    holders = [name for _, name in named[:0:-1] if not _COUNTED.search(name)]
    return shown or ".".join([*holders, _COUNTED.sub("", named[0][1])])


def _value(fields: Sequence[Mapping[str, Any]]) -> str:
    kind, flags = _inherited(fields, "/FT"), int(_inherited(fields, "/Ff") or 0)
    value = _inherited(fields, "/V")
    if kind == "/Btn":
        return "" if flags & _PUSHED else _state(fields, value)
    if kind == "/Ch":
        choices = _choices(fields)
        chosen = list(value)[:_CHOICES_MAX] if isinstance(value, list) else [value]
        texts = [_text(choice) for choice in chosen]
        return ", ".join(choices.get(text, text) for text in texts if text)
    return "" if kind != "/Tx" or flags & _PASSWORD else _text(value)


def _state(fields: Sequence[Mapping[str, Any]], value: Any) -> str:
    """That of a box or of one button of several; some files name it by its number among the options."""
    state = str(_held(fields[0], "/AS") or value or "/Off").removeprefix("/")
    options = _inherited(fields, "/Opt")
    if isinstance(options, list) and state.isdecimal() and int(state) < len(options):
        return _text(options[int(state)])
    return "" if state == "Off" else one_line(state)


def _choices(fields: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """What a choice is exported as -> how it is shown, where the two are told apart."""
    options = _inherited(fields, "/Opt")
    pairs = [option.get_object() for option in (options if isinstance(options, list) else [])[:_CHOICES_MAX]]
    return {_text(pair[0]): _text(pair[1]) for pair in pairs if isinstance(pair, list) and len(pair) == 2}


def _inherited(fields: Sequence[Mapping[str, Any]], key: str) -> Any:
    return next((held for field in fields if (held := _held(field, key)) is not None), None)


def _held(entries: Mapping[str, Any], key: str) -> Any:
    """The object itself where the entry refers to it; None is also what a PDF calls null."""
    entry = entries.get(key)
    held = None if entry is None else entry.get_object()
    return None if isinstance(held, NullObject) else held


def _text(value: Any) -> str:
    """A string or a stream as one line; nothing for what is neither."""
    value = value.get_object() if hasattr(value, "get_object") else value
    if hasattr(value, "get_data"):
        value = value.get_data()
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    return one_line(value) if isinstance(value, str) else ""
