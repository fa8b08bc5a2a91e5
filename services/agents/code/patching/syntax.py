"""Mends files that Python cannot read, where one small change does it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping

_OPENERS = {"(": ")", "[": "]", "{": "}"}
_HEADS = re.compile(r"\s*(?:if|elif|else|for|while|def|class|try|except|finally|with)\b")
_MAX_ROUNDS = 3


def readable(text: str) -> bool:
    """Whether Python can read the text."""
    return _fault(text) is None


def mended(files: Mapping[str, str]) -> dict[str, str] | None:
    """New contents of the files that cannot be read; None where no small change makes one readable."""
    found: dict[str, str] = {}
    for path, text in files.items():
        if path.endswith(".py") and not readable(text):
            new = _mend(text)
            if new is None:
                return None
            found[path] = new
    return found or None


def _mend(text: str) -> str | None:
    """A change a round: each has to move the first fault further down, the last has to leave none."""
    for _ in range(_MAX_ROUNDS):
        fault = _fault(text)
        if fault is None:
            return text
        further = [(place, new) for new in _changes(text, fault) if (place := _fault(new)) != fault]
        clean = next((new for place, new in further if place is None), None)
        if clean is not None:
            return clean
        further = [(place, new) for place, new in further if place is not None and place > fault + 1]
        if not further:
            return None
        text = max(further, key=lambda pair: pair[0] or 0)[1]
    return text if readable(text) else None


def _fault(text: str) -> int | None:
    """The line of the first fault; None when there is none."""
    try:
        compile(text, "file", "exec", ast.PyCF_ONLY_AST, dont_inherit=True)
    except SyntaxError as error:
        return error.lineno or 1
    except (ValueError, RecursionError, MemoryError):
        return 1
    return None


def _changes(text: str, line: int) -> Iterator[str]:
    lines = text.split("\n")
    for at in (line - 1, line - 2, line):
        if 0 <= at < len(lines):
            for new in _of_line(lines[at], lines[at - 1] if at else ""):
                yield "\n".join([*lines[:at], new, *lines[at + 1 :]])
    yield text + "\n" + " " * 4 + "pass\n"


def _of_line(line: str, before: str) -> Iterator[str]:
    code, gap, comment = line.partition("  #")
    tail = gap + comment
    bare = code.rstrip()
    if _HEADS.match(bare) and not bare.endswith(":"):
        yield f"{bare}:{tail}"
        for bracket in _OPENERS.values():
            yield f"{bare}{bracket}:{tail}"
    for opener, closer in _OPENERS.items():
        if bare.count(opener) > bare.count(closer):
            yield f"{bare}{closer}{tail}"
            yield f"{bare.removesuffix(':')}{closer}:{tail}"
        elif bare.count(closer) > bare.count(opener):
            place = bare.rindex(closer)
            yield bare[:place] + bare[place + 1 :] + tail
    for quote in ('"', "'"):
        if bare.count(quote) % 2:
            yield f"{bare}{quote}{tail}"
            for closer in (")", "):", "]", ":"):
                if bare.endswith(closer):
                    yield f"{bare[: -len(closer)]}{quote}{closer}{tail}"
    if re.match(r"\s*(?:if|elif|while)\b", bare):
        yield re.sub(r"(?<![=!<>+\-*/%&|^:])=(?!=)", "==", bare) + tail
    yield re.sub(r"\belse if\b", "elif", bare) + tail
    yield re.sub(r"^(\s*)print\s+(.+)$", r"\1print(\2)", bare) + tail
    yield re.sub(r"(\w+)\+\+", r"\1 += 1", bare) + tail
    yield bare.replace("&&", "and").replace("||", "or") + tail
    yield bare.removesuffix(";").replace(" then:", ":") + tail
    stripped = line.lstrip()
    indent = len(before) - len(before.lstrip())
    for blanks in (indent, indent + 4, max(indent - 4, 0), max(indent - 8, 0)):
        yield " " * blanks + stripped
