"""Splits a request into its parts and reads how urgent it is."""

from __future__ import annotations

import re

from services.agents.answering import sentences

# Words that join two demands, when a verb of demand follows.
_JOINT = re.compile(
    r"(?:;|,?\s+(?:and\s+then|then|and\s+also|and\s+afterwards|after\s+that|as\s+well\s+as|and|also|plus),?)\s+"
    r"(?=(?:please\s+)?(?:write|find|fix|run|make|create|draw|plan|list|send|check|review|explain|summari[sz]e|tell"
    r"|show|transcribe|translate|compare|decide|generate|test|debug|repair|analy[sz]e|measure|profile|search|look"
    r"|teach|prepare|describe|read|extract|convert|update|deploy|what|why|how|who|when|where|which|is|are|does)\b)",
    re.IGNORECASE,
)
_HIGH = re.compile(
    r"\b(urgent(?:ly)?|asap|as soon as possible|immediately|right now|emergency|critical|at once"
    r"|production is down|today|deadline)\b|!!",
    re.IGNORECASE,
)
_LOW = re.compile(
    r"\b(whenever|some ?day|no (?:hurry|rush)|low priority|when you have time|eventually|nice to have"
    r"|not urgent)\b",
    re.IGNORECASE,
)
_MAX_PARTS = 8
_MIN_WORDS = 2


def split(request: str) -> list[str]:
    """The parts of a request, one when it is simple; at most eight, the last with all the rest.

    A new part begins at a sentence and where a joining word is followed by a verb of demand.
    """
    parts: list[str] = []
    for start, end in sentences.spans(request):
        for piece in _JOINT.split(request[start:end]):
            text = piece.strip(" ,;\n\t")
            if len(text.split()) < _MIN_WORDS and parts:
                parts[-1] = f"{parts[-1]} {text}"
            elif text:
                parts.append(text)
    if len(parts) > _MAX_PARTS:
        parts[_MAX_PARTS - 1 :] = [" ".join(parts[_MAX_PARTS - 1 :])]
    return parts or [request.strip()]


def priority(request: str) -> str:
    """ "low", "normal" or "high", by the words that say so."""
    if _LOW.search(request):
        return "low"
    return "high" if _HIGH.search(request) else "normal"
