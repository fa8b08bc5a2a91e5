"""JSON and JSON lines as readable lines: ``path.to.key: value``.

Each element of an outermost array, and each line of JSON lines, is a record: a group of lines with a blank
line after it, placed at its line of the file where it is one line there. Numbers stand as they were written.
An array of plain values is one line. Half of a character that is written as two becomes U+FFFD.
"""

import json
import re
from collections.abc import Iterator
from typing import BinaryIO, Final

from services.vector.extraction.decoding import decode, normalise
from services.vector.extraction.errors import DocumentUnreadableError
from services.vector.extraction.model import BlockKind
from services.vector.extraction.writer import TextWriter, one_line

_INLINE_MAX: Final = 2000
_LINE: Final = re.compile(r"[^\n]*(?:\n|$)")
_LONE: Final = re.compile("[\ud800-\udfff]")


class _Object(list[tuple[str, object]]):
    """An object's pairs in order; a key may come twice."""


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_Object, parse_int=str, parse_float=str, parse_constant=str
)


def read(source: BinaryIO, writer: TextWriter) -> None:
    text = normalise(decode(source.read()))
    placed = False
    for record, number in _records(text):
        first = True
        line = 0 if writer.coarse else number
        if placed and not line:
            # Records further on say nothing of their lines.
            writer.place("")
            placed = False
        for path, value in _leaves(record):
            shown = one_line(value)
            if shown:
                if line:
                    # Each of its lines here is of that one there; without a place they would be counted on.
                    writer.place("", line=line)
                    placed = True
                shown = _LONE.sub("\ufffd", f"{path}: {shown}" if path else shown)
                writer.line(BlockKind.LIST, shown, apart=first)
                first = False


def _records(text: str) -> Iterator[tuple[object, int]]:
    """Each record and the line that it stands on, 0 for one of several lines."""
    try:
        value = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        if not error.msg.startswith("Extra data"):
            raise _broken(error) from error
    except RecursionError as error:
        raise DocumentUnreadableError.because("nested too deeply") from error
    else:
        if isinstance(value, list) and not isinstance(value, _Object):
            yield from zip(value, _lines(text, len(value)), strict=True)
        else:
            yield value, 0
        return
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                yield _DECODER.decode(line), number
            except json.JSONDecodeError as error:
                raise _broken(error, number - 1) from error
            except RecursionError as error:
                raise DocumentUnreadableError.because("nested too deeply") from error


def _lines(text: str, count: int) -> list[int]:
    """The line of each element of an array, which is the whole text; 0 for all unless each has a line to
    itself, and the array has more than one.
    """
    found: list[int] = []
    begin = text.index("[") + 1
    if text.find("\n", begin) < 0:
        return [0] * count
    first = text.count("\n", 0, begin) + 1
    for number, line in enumerate(_LINE.finditer(text, begin, text.rindex("]")), start=first):
        element = line[0].strip().removesuffix(",")
        if element:
            try:
                _DECODER.decode(element)
            except (json.JSONDecodeError, RecursionError):
                return [0] * count
            found.append(number)
    return found if len(found) == count else [0] * count


def _broken(error: json.JSONDecodeError, lines_before: int = 0) -> DocumentUnreadableError:
    return DocumentUnreadableError.because(
        f"not JSON: {error.msg} at line {lines_before + error.lineno}, column {error.colno}"
    )


def _leaves(record: object) -> Iterator[tuple[str, str]]:
    """Path and text of every value, in order. The stack is ours, so depth cannot exhaust Python's."""
    stack: list[Iterator[tuple[str, object]]] = [iter([("", record)])]
    while stack:
        entry = next(stack[-1], None)
        if entry is None:
            stack.pop()
            continue
        path, value = entry
        if isinstance(value, _Object):
            stack.append(iter([(f"{path}.{key}" if path else key, inner) for key, inner in value]))
        elif isinstance(value, list):
            inline = _inline(value)
            if inline is not None:
                yield path, inline
            else:
                stack.append(iter([(f"{path}[{place}]", inner) for place, inner in enumerate(value)]))
        else:
            yield path, _scalar(value)


def _inline(values: list[object]) -> str | None:
    """Plain values on one line, or None when one of them is no plain value or the line would be long."""
    if any(isinstance(value, list) for value in values):
        return None
    line = "; ".join(_scalar(value) for value in values)
    return line if len(line) <= _INLINE_MAX else None


def _scalar(value: object) -> str:
    if isinstance(value, str):
        return value
    return (
        {None: "null", True: "true", False: "false"}[value] if isinstance(value, bool | None) else str(value)
    )
