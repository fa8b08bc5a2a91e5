"""Findings of the tools that are made for Python: ruff, bandit, vulture and radon."""

from __future__ import annotations

import ast
import json
import logging
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

Row = dict[str, Any]

# Each tool is loaded where it is used: other languages are spared the quarter of a second, and a tool that
# does not load costs its own part only.

# What is likely wrong, and what makes code harder to read; no matters of layout, which belong to a formatter.
_RULES = "F,E711,E712,E713,E714,E721,E722,E9,W6,B,C4,PIE,PERF,PLC,PLE,PLW,RET,SIM,ASYNC,RUF"
_NOT = "SIM105,SIM108,SIM112,SIM117,PLC0415,RUF001,RUF002,RUF003,RUF012,RUF100,B008,PLW2901,RET505,RET504"
# Names that are not there, values used before they are set, and what cannot work.
_ERRORS = re.compile(r"F50\d|F62\d|F63[1-4]|F70\d|F82\d|E9|PLE|B002|B01[78]|B02[0356]|invalid-syntax")
_REMARKS = re.compile(r"SIM|RET|PIE|C4|RUF|PLC|PERF|F401|F541|E71")
_SUPPRESSED = re.compile(r"#\s*(?:noqa|nosec)\b", re.I)
_RUFF_SECONDS = 20
# Bandit calls a password in the code a small matter.
_RAISED = {"B105", "B106", "B107"}
_TEST = re.compile(r"(?:^|/)(?:tests?/|test_[^/]*$|[^/]*_test\.py$|conftest\.py$)")

# What two tools call by different names.
TOPICS = {
    "F401": "unused import",
    "F841": "unused variable",
    "B007": "unused variable",
    "unused-import": "unused import",
    "unused-variable": "unused variable",
    "unused-code": "unreachable",
    "E722": "swallowed exception",
    "B110": "swallowed exception",
    "B112": "swallowed exception",
    "invalid-syntax": "syntax",
    "syntax": "syntax",
    "PLW1510": "subprocess",
}


def ruff(root: Path, paths: list[str]) -> list[Row]:
    """Ruff's findings. Neither its configuration nor its suppressions come from the files."""
    program = Path(sys.executable).with_name("ruff")
    done = subprocess.run(  # noqa: S603 - ruff, beside this interpreter
        [
            *(str(program), "check", "--isolated", "--no-cache", "--ignore-noqa", "--output-format", "json"),
            *("--target-version", "py311", "--exit-zero", "--select", _RULES, "--ignore", _NOT, "--", *paths),
        ],
        cwd=root,
        capture_output=True,
        timeout=_RUFF_SECONDS,
        check=False,
        env={"RAYON_NUM_THREADS": "2"},
    )
    if not done.stdout:
        raise RuntimeError(done.stderr.decode("utf-8", "replace").strip()[-300:] or "it told nothing")
    rows = []
    for item in json.loads(done.stdout):
        rule = item["code"] or "invalid-syntax"
        severity = "error" if _ERRORS.match(rule) else "info" if _REMARKS.match(rule) else "warning"
        path = Path(item["filename"]).relative_to(root).as_posix()
        place = item["location"]
        rows.append(finding("ruff", rule, severity, path, (place["row"], place["column"]), item["message"]))
    return rows


def bandit(root: Path, paths: list[str]) -> list[Row]:
    """Bandit's findings; in tests without the remark that an assert is no check. No configuration is read."""
    from bandit.core import config, manager  # noqa: PLC0415

    logging.disable(logging.CRITICAL)
    run = manager.BanditManager(config.BanditConfig(), "file", ignore_nosec=True)
    run.discover_files([str(root / path) for path in paths])
    run.run_tests()
    rows = []
    for issue in run.get_issue_list():
        path = Path(issue.fname).relative_to(root).as_posix()
        if issue.test_id == "B101" and _TEST.search(path):
            continue
        severity = {"HIGH": "error", "MEDIUM": "warning"}.get(issue.severity, "info")
        if issue.test_id in _RAISED:
            severity = "warning"
        if issue.confidence == "LOW":
            severity = {"error": "warning"}.get(severity, "info")
        rows.append(
            finding("bandit", issue.test_id, severity, path, (issue.lineno, issue.col_offset + 1), issue.text)
        )
    return rows


def vulture(texts: Mapping[str, str]) -> list[Row]:
    """What nothing in the files uses. A name that begins with an underscore is nobody else's to use."""
    from vulture import Vulture  # noqa: PLC0415

    scanner = Vulture()
    for path, text in texts.items():
        # Files that do not parse are told of elsewhere; vulture prints them.
        ast.parse(text)
        scanner.scan(text, filename=Path(path))
    rows = []
    for item in scanner.get_unused_code(min_confidence=60):
        path = str(item.filename)
        private = item.name.startswith("_") or item.confidence >= 90
        rule = f"unused-{item.typ.replace(' ', '-')}" if item.typ != "unreachable_code" else "unused-code"
        what = item.message or f"unused {item.typ} '{item.name}'"
        more = "" if private else "; nothing in the given files uses it"
        severity = "warning" if private else "info"
        rows.append(finding("vulture", rule, severity, path, (item.first_lineno, 1), what + more))
    return rows


def radon(text: str) -> Row:
    """Radon's measures of a file: complexity by line of function, maintainability, Halstead, lines."""
    from radon.complexity import cc_visit  # noqa: PLC0415
    from radon.metrics import h_visit, mi_visit  # noqa: PLC0415
    from radon.raw import analyze  # noqa: PLC0415

    complexity: dict[int, int] = {}
    waiting = list(cc_visit(text))
    while waiting:
        block = waiting.pop()
        waiting += [*getattr(block, "closures", ()), *getattr(block, "methods", ())]
        waiting += getattr(block, "inner_classes", ())
        if hasattr(block, "is_method"):
            complexity[block.lineno] = block.complexity
    raw, halstead = analyze(text), h_visit(text).total
    return {
        "complexity": complexity,
        "maintainability": round(mi_visit(text, multi=True), 2),
        "halstead_volume": round(halstead.volume, 2),
        "halstead_difficulty": round(halstead.difficulty, 2),
        "halstead_effort": round(halstead.effort, 2),
        "code_lines": raw.sloc,
        "comment_lines": raw.comments + raw.multi,
        "blank_lines": raw.blank,
    }


def quieted(rows: list[Row], texts: Mapping[str, str]) -> list[Row]:
    """The rows, those as remarks whose line says noqa or nosec: who wrote it knows, and may be wrong."""
    lines = {path: text.splitlines() for path, text in texts.items()}
    for row in rows:
        line = lines.get(row["path"], [])[row["line"] - 1 : row["line"]]
        if line and _SUPPRESSED.search(line[0]) and row["rule"] != "invalid-syntax":
            row["severity"] = "info"
            row["message"] += " (suppressed in the code)"
    return rows


def finding(  # noqa: PLR0917 - the columns of a row
    tool: str, rule: str, severity: str, path: str, place: tuple[int, int], message: str
) -> Row:
    """A finding. topic: the same for what two tools say of one thing."""
    return {
        "tool": tool,
        "rule": rule,
        "severity": severity,
        "path": path,
        "line": place[0],
        "column": place[1],
        "message": " ".join(message.split()),
        "topic": TOPICS.get(rule, f"{tool} {rule}"),
    }
