"""Looks at files with every tool that knows their language, in the sandbox, and reads what the tools told."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from services.agents.code import programs, testimony
from services.agents.code.project import language
from services.agents.code.static import inside
from services.agents.code.static.findings import SEVERITIES, CodeFinding, checked, merged
from services.agents.ports import JsonObject, Sandboxed
from services.sandbox.model import Limits, Outcome

# A grammar or a set of tools is there for these.
KNOWN = ("Python", "JavaScript", "TypeScript", "Go", "Java", "Rust", "C")
MAX_FINDINGS = 500
MAX_FUNCTIONS = 2_000
MAX_CALLS = 1_500
# Below what a tool may give back.
MAX_BYTES = 800_000
_MAX_CUTS = 40
_LIMITS = Limits(seconds=45.0, cpu_seconds=45.0, memory_bytes=2 << 30)

_FINDING = {
    "tool": str,
    "rule": str,
    "severity": str,
    "path": str,
    "line": int,
    "column": int,
    "message": str,
    "topic": str,
}
_FUNCTION = {"name": str, "line": int, "end_line": int, "parameters": int, "complexity": int, "nesting": int}
_FILE = {
    "path": str,
    "language": str,
    "lines": int,
    "code_lines": int,
    "comment_lines": int,
    "blank_lines": int,
    "maintainability": float,
    "halstead_volume": float,
    "halstead_difficulty": float,
    "halstead_effort": float,
    "parsed": bool,
}
_CALL = {"caller": str, "callee": str, "path": str, "line": int, "reason": str}
_DUPLICATE = {"path": str, "line": int, "end_line": int, "other_path": str, "other_line": int, "lines": int}
_TOOL = {"tool": str, "seconds": float, "failed": str}


@dataclass(frozen=True)
class Analysis:
    """What the tools found. The lists hold plain JSON, keyed as the program inside wrote them.

    reason: why nothing was looked at; then the rest is empty. findings: the most severe first, at most 500;
    left_out: how many more there are. files: measures, with `functions`. calls, unresolved: who calls whom,
    and calls whose target is not known, with the reason. cycles: paths of modules that import each other.
    tools: which ran, how long, and why they failed. cut: what is longer than a result may be, in words.
    skipped: files of languages that no tool here knows.
    """

    reason: str = ""
    findings: tuple[CodeFinding, ...] = ()
    left_out: int = 0
    files: list[JsonObject] = field(default_factory=list)
    calls: list[JsonObject] = field(default_factory=list)
    unresolved: list[JsonObject] = field(default_factory=list)
    cycles: list[list[str]] = field(default_factory=list)
    duplicates: list[JsonObject] = field(default_factory=list)
    tools: list[JsonObject] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    cut: list[str] = field(default_factory=list)

    def to_json(self) -> JsonObject:
        """As plain JSON."""
        return {**asdict(self), "findings": [{**asdict(f), "also": list(f.also)} for f in self.findings]}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Analysis:
        """What `to_json` wrote down."""
        found = tuple(CodeFinding(**{**f, "also": tuple(f["also"])}) for f in value["findings"])
        return cls(**{**value, "findings": found})

    def count(self, severity: str) -> int:
        """Findings of a severity."""
        return sum(1 for finding in self.findings if finding.severity == severity)


async def analyse(sandbox: Sandboxed, files: Mapping[str, str]) -> Analysis:
    """The analysis of files by relative path.

    The tools read and do not execute; they run in the sandbox because a parser that is fed by strangers may
    fall over, hang or eat all memory. Raises FailedPreconditionError (TOOL_UNAVAILABLE) without a sandbox.
    """
    looked_at = {path: language(path) for path in files if language(path) in KNOWN}
    skipped = sorted(path for path in files if path not in looked_at)
    if not looked_at:
        given = ", ".join(sorted({language(path) or "unknown" for path in files})) or "none"
        return Analysis(
            reason=f"None of the files is in {', '.join(KNOWN)} (given: {given}).", skipped=skipped
        )
    # Nothing but code goes in, so that no tool can find a configuration.
    code = {path: files[path] for path in looked_at}
    outcome = await sandbox.run(programs.job(inside, "analysis", code, looked_at, _LIMITS))
    # A line may end a file that has none.
    lines = {path: len(files[path].splitlines()) + 1 for path in looked_at}
    return _read(outcome, lines, skipped)


def _read(outcome: Outcome, lines: Mapping[str, int], skipped: list[str]) -> Analysis:
    told = programs.result(outcome) or {}
    try:
        rows = checked(testimony.rows(told["findings"], _FINDING, 5_000), lines)
        files = [_file(file) for file in told["files"][: len(lines)] if file["path"] in lines]
        tools = testimony.rows(told["tools"], _TOOL, 20)
        calls = testimony.rows(told["calls"], _CALL, MAX_CALLS)
        unresolved = testimony.rows(told["unresolved"], _CALL, MAX_CALLS)
        duplicates = testimony.rows(told["duplicates"], _DUPLICATE, 50)
        cycles = [[str(path) for path in circle[:100]] for circle in told["cycles"][:50]]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return Analysis(reason=f"The analysis broke off: {programs.why_no_result(outcome)}", skipped=skipped)
    if not told.get("finished"):
        tools.append(
            {"tool": "the tools after these", "seconds": 0.0, "failed": programs.why_no_result(outcome)}
        )
    found = merged(rows)
    return _bounded(
        Analysis(
            findings=tuple(found[:MAX_FINDINGS]),
            left_out=max(0, len(found) - MAX_FINDINGS),
            files=sorted(files, key=lambda file: str(file["path"])),
            calls=calls,
            unresolved=unresolved,
            cycles=cycles,
            duplicates=duplicates,
            tools=tools,
            skipped=skipped,
        )
    )


def _bounded(analysis: Analysis) -> Analysis:
    """The analysis, short enough to be recorded: lists are halved, what is least missed first."""
    cut: list[str] = []
    while len(json.dumps(analysis.to_json())) > MAX_BYTES and len(cut) < _MAX_CUTS:
        functions = sum(len(file["functions"]) for file in analysis.files)
        longest = max(
            len(analysis.unresolved), len(analysis.calls) / 2, functions / 4, len(analysis.findings) / 8
        )
        if longest == len(analysis.unresolved):
            analysis = replace(analysis, unresolved=analysis.unresolved[: len(analysis.unresolved) // 2])
            cut.append(f"Of the unresolved calls the first {len(analysis.unresolved)} are listed.")
        elif longest == len(analysis.calls) / 2:
            analysis = replace(analysis, calls=analysis.calls[: len(analysis.calls) // 2])
            cut.append(f"Of the calls the first {len(analysis.calls)} are listed.")
        elif longest == functions / 4:
            files = [{**f, "functions": f["functions"][: len(f["functions"]) // 2]} for f in analysis.files]
            analysis = replace(analysis, files=files)
            cut.append("Of the functions of each file the first half is listed.")
        else:
            kept = len(analysis.findings) // 2
            left_out = analysis.left_out + len(analysis.findings) - kept
            analysis = replace(analysis, findings=analysis.findings[:kept], left_out=left_out)
    return replace(analysis, cut=cut)


def _file(value: Mapping[str, Any]) -> JsonObject:
    functions = testimony.rows(value["functions"], _FUNCTION, MAX_FUNCTIONS)
    return {**testimony.row(value, _FILE), "functions": functions}


def outcome_in_words(analysis: Analysis) -> str:
    """What came out, in a line for people."""
    if analysis.reason:
        return f"Nothing was analysed. {analysis.reason}"
    count = len(analysis.files)
    counts = [f"{analysis.count(severity)} {severity}" for severity in SEVERITIES if analysis.count(severity)]
    if analysis.left_out:
        counts.append(f"{analysis.left_out} more that are not listed")
    return f"{count} file{'s' if count != 1 else ''} analysed: {', '.join(counts) or 'no findings'}."
