"""A model's view of code: opinions, kept apart from what tools found, each tied to a line that exists."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from meldrag.agents.v1 import results_pb2
from services.agents.code.static.analysis import Analysis

MAX_OPINIONS = 50
_MAX_FACTS = 100

TASK = (
    "Review the code for the request below. Tools have looked at it already; their findings stand in the "
    "data and "
    "are facts. Do not repeat them. Say what a tool cannot see: intent, names, structure, missing cases, "
    "risks. "
    "Each opinion is about one line of one of the files: give its path and its number as they stand in the "
    "data, "
    "what you think and why it matters, and how sure you are from 0 to 1. In `review` judge the whole in a "
    "few "
    "sentences. The request: "
)


def shown(files: Mapping[str, str], analysis: Analysis) -> dict[str, str]:
    """What the model is shown: the findings, then the files with the numbers of their lines."""
    facts = "\n".join(
        f"{f.path}:{f.line}: {f.severity}: {f.message} ({f.tool} {f.rule})"
        for f in analysis.findings[:_MAX_FACTS]
    )
    return {"findings of the tools": facts or "none"} | {
        path: "\n".join(f"{i}\t{line}" for i, line in enumerate(text.splitlines(), 1))
        for path, text in files.items()
    }


def anchored(
    opinions: Iterable[results_pb2.CodeOpinion], files: Mapping[str, str]
) -> tuple[list[results_pb2.CodeOpinion], int]:
    """The opinions about lines that exist and hold something, at most 50, and how many were dropped."""
    kept: list[results_pb2.CodeOpinion] = []
    dropped = 0
    for opinion in opinions:
        lines = files.get(opinion.path, "").splitlines()
        there = 1 <= opinion.line <= len(lines) and bool(lines[opinion.line - 1].strip())
        if there and opinion.statement.strip() and len(kept) < MAX_OPINIONS:
            sure = min(1.0, max(0.0, opinion.confidence))
            kept.append(
                results_pb2.CodeOpinion(
                    path=opinion.path, line=opinion.line, statement=opinion.statement, confidence=sure
                )
            )
        else:
            dropped += 1
    return kept, dropped
