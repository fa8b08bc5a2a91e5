"""What a request carries besides its prose: pasted code, tracebacks, tables, names of files.

These signs mean the same in every language. Shown to an embedding that was made for prose they lead it
astray, so that it is told their names instead.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

# What is asked stands at the beginning or at the end of what was pasted; an embedding reads 256 tokens.
_READ_CHARACTERS = 2_000

_KINDS = {
    "sound file": "wav mp3 flac ogg m4a aac opus wma aiff",
    "subtitle file": "srt vtt",
    "picture file": "png jpg jpeg gif bmp tif tiff webp heic svg",
    "document": "pdf docx doc odt rtf epub pptx txt md html",
    "mail file": "eml mbox msg",
    "table file": "csv tsv xlsx xls ods parquet",
    "source file": "py js ts tsx jsx go rs java c h cpp cc cs rb php kt swift scala sh sql lua vue",
    "log file": "log trace prof",
}
_EXTENSIONS: Mapping[str, str] = {
    extension: kind for kind, extensions in _KINDS.items() for extension in extensions.split()
}
_FILE = re.compile(rf"(?<![\w/-])[\w/-]++\.({'|'.join(sorted(_EXTENSIONS, key=len, reverse=True))})\b", re.I)

_DIFF = re.compile(r"^(?:\+\+\+|---) .*$|^@@ .*@@.*$|^[-+].*$", re.MULTILINE)
_DIFF_HEAD = re.compile(r"--- \S+\s+\+\+\+ \S+|^@@ .*@@", re.MULTILINE)
_FENCE = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)
_TRACEBACK = re.compile(
    r"Traceback \(most recent call last\):(?:\n[ \t]+.*)*"
    r"(?:\n\w[\w.]*(?:Error|Exception|Exit|Interrupt)\b.*)?"
    r"|^\s+at [\w.$<>]+\(.*\)$|^\s*File \".*\", line \d+.*$|^goroutine \d+ .*$",
    re.MULTILINE,
)
_LOG_LINE = re.compile(
    r"^.{0,12}\d{1,2}:\d\d(?::\d\d\S*)?\s+(?:WARN\w*|ERROR|INFO|DEBUG|FATAL|TRACE)\b.*$"
    r"|^(?:WARN\w*|ERROR|INFO|DEBUG|FATAL)\b.*$|^npm ERR!.*$",
    re.MULTILINE,
)
_ROW = re.compile(r"^[^,;\t\n]{1,40}(?:[,;\t][^,;\t\n ][^,;\t\n]{0,40})+$", re.MULTILINE)
_ROWS = 3
_JSON = re.compile(r"\{\s*\"\w+\"\s*:.*\}", re.DOTALL)
_CODE_LINE = re.compile(
    r"^\s*(?:def \w+\(.*|class \w+.*[:{]|(?:async )?function \w*\s*\(.*|func \w*.*\{|fn \w+.*|import [\w{*].*"
    r"|from \w[\w.]* import .*|#include.*|(?:public|private|static|const|let|var) .*[;{=].*|return\b.*"
    r"|(?:for|while|if|elif|else|try|except|with|switch)\b.*[:{]\s*.*|[\w.\[\]]+\s*[+*/-]?=\s*\S.*"
    r"|[\w.]+\(.*\);?|[{}\])]+;?|SELECT .* FROM .*|@\w+.*|#.*|raise \w.*|print\b.*)\s*$",
    re.MULTILINE,
)
_ITEM = re.compile(r"^\s*(?:\d{1,2}[.)]|[-*•])\s+\S", re.MULTILINE)

# Signs that are seen, and stay where they are.
_SEEN = {
    "inline code": re.compile(
        r"`[^`\n]+`|(?<![\w.])[\w.]++\([^()\n]*\)|\bdef \w+\(|\bfor \([^)\n]*\)|\bSELECT\b.*\bFROM\b"
        r"|\[\w+ for \w+ in [^\]\n]*\]"
    ),
    "error name": re.compile(
        r"\b(?:[A-Z][a-z]\w*(?:Error|Exception|Warning)|E[A-Z]{4,}|ORA-\d+|SIG(?:SEGV|ABRT|KILL|FPE|BUS|ILL)"
        r"|undefined reference|core dump(?:ed)?)\b"
        r"|\b(?:[Ee]rror|fatal|exception|panic)\s?(?:\[\w+\])?:|\bcannot (?:borrow|read propert)"
        r"|\bis not (?:a function|defined|iterable|subscriptable)\b"
    ),
    "name of code": re.compile(r"\b[a-z]+_[a-z_]+\b|\b[a-z]+[A-Z]\w+\b"),
    "numbers": re.compile(r"\b\d+(?:[.,]\d+)?(?:[,; ]+(?:\w+[: ]\s*)?\d+(?:[.,]\d+)?){2}"),
    "quotation": re.compile(r"[\"“„«][^\"”“»\n]{12,}[\"”“»]|(?<!\w)'[^'\n]{16,}'(?!\w)"),
    "question": re.compile(r"\?"),
}
_SHORT, _MIDDLE = 6, 16
# Signs that a request brings code, or what code wrote; and data.
CODE_SIGNS = frozenset(
    (
        "code",
        "inline code",
        "name of code",
        "source file",
        "diff",
        "error name",
        "traceback",
        "log",
        "log file",
    )
)
DATA_SIGNS = frozenset(("numbers", "rows", "json", "table file"))
SIZES = frozenset(("short", "middle", "long"))


@dataclass(frozen=True)
class Reading:
    """A request as it is routed. prose: its text, in which signs are named instead of shown."""

    prose: str
    signs: frozenset[str]


def read(request: str) -> Reading:
    """Finds the signs. Of a long request only the beginning and the end are read."""
    text = request
    if len(text) > 2 * _READ_CHARACTERS:
        text = f"{text[:_READ_CHARACTERS]}\n{text[-_READ_CHARACTERS:]}"
    signs = {sign for sign, pattern in _SEEN.items() if pattern.search(text)}
    signs |= {_EXTENSIONS[found[1].lower()] for found in _FILE.finditer(text)}
    if len(_ITEM.findall(text)) > 1:
        signs.add("list of items")
    text = _named(text, signs)
    length = len(text.split())
    signs.add("short" if length <= _SHORT else "middle" if length <= _MIDDLE else "long")
    return Reading(" ".join(text.split()), frozenset(signs))


def _named(text: str, signs: set[str]) -> str:
    """The text with names in place of what is no prose; adds the signs that it replaced."""

    def name(sign: str, words: str) -> Callable[[re.Match[str]], str]:
        def replace(_: re.Match[str]) -> str:
            signs.add(sign)
            return f" {words} "

        return replace

    if _DIFF_HEAD.search(text):
        signs.add("diff")
        text = f"{_DIFF.sub(' ', text)} diff"
    text = _FENCE.sub(name("code", "this code"), text)
    text = _TRACEBACK.sub(name("traceback", "error traceback"), text)
    text = _LOG_LINE.sub(name("log", "error log"), text)
    if len(_ROW.findall(text)) >= _ROWS:
        text = _ROW.sub(name("rows", "rows"), text)
    text = _JSON.sub(name("json", "json"), text)
    text = _FILE.sub(lambda found: f"{found[0]} ({_EXTENSIONS[found[1].lower()]})", text)
    if "\n" in text:
        text = _CODE_LINE.sub(name("code", "this code"), text)
    return re.sub(r"(?:\s*+this code){2,}", " this code", text)
