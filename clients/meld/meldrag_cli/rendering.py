"""From the gateway's JSON to lines for people. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from meldrag_cli.terminal import line

_QUOTE = 240
_UNITS = ("B", "KB", "MB", "GB", "TB")


def sources(citations: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """A line for each citation: its number, where it stands, what stands there."""
    for citation in citations:
        quote = line(str(citation.get("quote") or ""), _QUOTE)
        yield f"[{citation.get('number')}] {place(citation)}: “{quote}”"


def place(found: Mapping[str, Any]) -> str:
    """Where a citation or a hit stands: the title, the place in the original, the bytes of the text."""
    parts = [line(str(found.get("title") or found.get("document_id") or "untitled"), 120)]
    if where := found.get("location"):
        parts.append(line(str(where), 120))
    elif page := found.get("page"):
        parts.append(f"page {page}")
    return f"{', '.join(parts)} (bytes {found.get('byte_start')}-{found.get('byte_end')})"


def answer_notes(result: Mapping[str, Any]) -> str:
    """How an answer came about, in one line."""
    usage = result.get("usage") or {}
    parts = [str(result.get("agent")), str(result.get("answer_mode"))]
    if usage.get("model"):
        parts.append(f"{usage['model']}, {usage.get('input_tokens')} + {usage.get('output_tokens')} tokens")
    if (cost := usage.get("cost_usd")) is not None:
        parts.append(f"{cost:.4f} USD")
    if (duration := usage.get("duration_seconds")) is not None:
        parts.append(seconds(duration))
    parts.append(str(result.get("run_id")))
    return " · ".join(parts)


def degradations(result: Mapping[str, Any]) -> Iterator[str]:
    """What an answer had to do without."""
    for lack in result.get("degraded") or ():
        yield f"without {lack.get('component')}: {line(str(lack.get('reason')))}"


def receipt(value: Mapping[str, Any]) -> Iterator[str]:
    """What a delete removed and what is left."""
    deleted = value["deleted"]
    what = f"{value['resource']}: {counted(deleted['documents'], 'document')} deleted"
    yield f"{what}, {counted(deleted['chunks'], 'passage')}"
    left = {name.replace("_", " "): count for name, count in value["left"].items() if count}
    if left:
        yield "left: " + ", ".join(f"{count} {name}" for name, count in left.items())
    else:
        yield "left: nothing"
    if value["state"] != "COMPLETE":
        yield f"hidden already, being removed ({value['state']}, {value['tombstone_id']})"


def counted(number: int, noun: str) -> str:
    """A number and its noun: "1 document", "2 documents", "3 queries"."""
    several = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{number} {noun if number == 1 else several}"


def size(number: int) -> str:
    """Bytes for people, in powers of 1000: "1.2 MB"."""
    value, unit = float(number), 0
    while value >= 999.95 and unit < len(_UNITS) - 1:
        value, unit = value / 1000, unit + 1
    return f"{number} B" if unit == 0 else f"{value:.1f} {_UNITS[unit]}"


def seconds(value: float) -> str:
    """A duration for people: "0.42 s", "2 min 5 s"."""
    if value < 60:
        return f"{value:.2f} s" if value < 10 else f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    return f"{minutes} min {rest} s"


def moment(value: str | None) -> str:
    """A time without its fraction; empty for none."""
    return "" if not value else value.partition(".")[0].removesuffix("Z").replace("T", " ") + "Z"
