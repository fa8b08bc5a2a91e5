"""A file name that is safe to show, store and send in a header."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

LENGTH_MAX: Final = 255
# Control, format (bidi overrides, zero width), surrogate, line and paragraph separator.
_DROPPED: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_DEVICE: Final = re.compile(r"(?i)(con|prn|aux|nul|com[1-9]|lpt[1-9])(\.|$)")


def clean(name: str) -> str:
    """The last part of a path, without control and bidi characters, at most 255 characters, extension kept.

    A Windows device name gets an underscore in front. Empty when nothing is left.
    """
    last = re.split(r"[/\\]", name[-4096:])[-1]
    kept = "".join(char for char in last if unicodedata.category(char) not in _DROPPED)
    # A drive letter is a path part too.
    kept = re.sub(r"^[A-Za-z]:", "", kept)
    kept = " ".join(kept.split()).rstrip(". ")
    if not kept.strip("."):
        return ""
    if _DEVICE.match(kept):
        kept = f"_{kept}"
    if len(kept) > LENGTH_MAX:
        stem, dot, extension = kept.rpartition(".")
        if not stem or len(extension) > 16:
            stem, dot, extension = kept, "", ""
        kept = stem[: LENGTH_MAX - len(dot) - len(extension)] + dot + extension
    return kept
