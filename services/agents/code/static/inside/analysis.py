"""The program: looks at every file with every tool, and writes what there is after each step."""

from __future__ import annotations

import ast
import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from . import calls, duplicates, linters, modules
from .linters import Row, finding

REQUEST = ".meld/request.json"
RESULT = ".meld/result.json"
_COMPLEX = 10
_MANY_PARAMETERS = 7
_DEEP = 4
_LONG = 80
_MAX_CALLS = 3_000
_MAX_FINDINGS = 3_000
_FAILURES = (SyntaxError, ValueError, RecursionError, MemoryError)


class Report:
    """The result so far; the file always holds whole JSON."""

    def __init__(self) -> None:
        self.value: dict[str, Any] = {
            name: [] for name in ("findings", "files", "calls", "unresolved", "cycles", "duplicates", "tools")
        }

    def write(self) -> None:
        """Writes what there is."""
        fresh = Path(f"{RESULT}.new")
        fresh.write_text(json.dumps(self.value))
        fresh.replace(RESULT)

    def use(self, tool: str, action: Callable[[], object]) -> None:
        """Runs a tool and notes how it went. One that fails stops none of the others."""
        began, failed = time.monotonic(), ""
        try:
            action()
        except Exception as error:
            failed = f"{type(error).__name__}: {str(error)[:300]}"
        seconds = round(time.monotonic() - began, 3)
        self.value["tools"].append({"tool": tool, "seconds": seconds, "failed": failed})
        self.write()


def main() -> None:
    """Analyses the files of the request: {path: language}."""
    request: dict[str, str] = json.loads(Path(REQUEST).read_text())
    root = Path.cwd()
    texts = {path: (root / path).read_text("utf-8") for path in request}
    python = {path: text for path, text in texts.items() if request[path] == "Python"}
    report = Report()
    # What does not parse is no matter for the tools that need a tree.
    trees = dict(_trees(python, report))
    parsed = {path: python[path] for path in trees}
    add = report.value["findings"].extend
    if parsed:
        # Of a file that does not parse, the parser has said so.
        report.use("ruff", lambda: add(linters.ruff(root, list(parsed))))
        report.use("bandit", lambda: add(linters.bandit(root, list(parsed))))
        report.use("vulture", lambda: add(linters.vulture(parsed)))
        report.use("radon", lambda: _measure_python(parsed, trees, report))
        known = modules.modules(trees)
        report.use("imports", lambda: _cycles(known, report))
        report.use("calls", lambda: _calls(known, report))
    others = {path: text for path, text in texts.items() if path not in python}
    if others:
        report.use("tree-sitter", lambda: _measure_others(others, request, report))
    report.use("duplicates", lambda: _duplicates(texts, report))
    linters.quieted(report.value["findings"], texts)
    # Errors first, so that a bound cuts remarks.
    order = {"error": 0, "warning": 1, "info": 2}
    report.value["findings"].sort(key=lambda row: order[row["severity"]])
    del report.value["findings"][_MAX_FINDINGS:]
    report.value["finished"] = True
    report.write()


def _trees(python: Mapping[str, str], report: Report) -> Iterator[tuple[str, ast.Module]]:
    for path, text in python.items():
        try:
            yield path, ast.parse(text, path)
        except _FAILURES as error:
            line = (error.lineno if isinstance(error, SyntaxError) else None) or 1
            column = (error.offset if isinstance(error, SyntaxError) else None) or 1
            what = error.msg if isinstance(error, SyntaxError) else f"{type(error).__name__}: {error}"
            report.value["findings"].append(finding("python", "syntax", "error", path, (line, column), what))
            report.value["files"].append(
                _file(path, "Python", {"lines": len(text.splitlines()), "parsed": False}, [])
            )


def _measure_python(texts: Mapping[str, str], trees: Mapping[str, ast.Module], report: Report) -> None:
    failed = []
    for path, text in texts.items():
        try:
            measures = linters.radon(text)
        except _FAILURES as error:
            failed.append(f"{path}: {type(error).__name__}")
            continue
        complexity = measures.pop("complexity")
        functions = [
            {
                "name": name,
                "line": node.lineno,
                "end_line": node.end_lineno or node.lineno,
                "parameters": _count_parameters(node, in_class),
                "complexity": complexity.get(node.lineno, complexity.get(_first_line(node), 1)),
                "nesting": _nesting(node),
            }
            for name, node, in_class in _functions(trees[path])
        ]
        lines = len(text.splitlines())
        report.value["files"].append(_file(path, "Python", {"lines": lines, **measures}, functions))
        report.value["findings"] += _remarks("radon", path, functions)
    if failed:
        raise RuntimeError("; ".join(failed))


def _measure_others(texts: Mapping[str, str], languages: Mapping[str, str], report: Report) -> None:
    # Only where it is needed: the grammars are large.
    from . import grammar  # noqa: PLC0415

    for path, text in texts.items():
        language = "TSX" if path.endswith(".tsx") else languages[path]
        measures = grammar.measure(language, text)
        functions, errors = measures.pop("functions"), measures.pop("errors")
        measures["parsed"] = not errors
        report.value["files"].append(_file(path, languages[path], measures, functions))
        report.value["findings"] += [
            finding("tree-sitter", "syntax", "error", path, (e["line"], e["column"]), e["message"])
            for e in errors
        ]
        report.value["findings"] += _remarks("tree-sitter", path, functions)


def _file(path: str, language: str, measures: Row, functions: list[Row]) -> Row:
    plain = {
        "maintainability": 0.0,
        "halstead_volume": 0.0,
        "halstead_difficulty": 0.0,
        "halstead_effort": 0.0,
        "code_lines": 0,
        "comment_lines": 0,
        "blank_lines": 0,
        "parsed": True,
    }
    return {"path": path, "language": language, **plain, **measures, "functions": functions}


def _remarks(tool: str, path: str, functions: list[Row]) -> list[Row]:
    """What is too much in a function."""
    rows = []
    for f in functions:
        length = f["end_line"] - f["line"] + 1
        for rule, value, limit, what in (
            ("complexity", f["complexity"], _COMPLEX, "paths through it (cyclomatic complexity)"),
            ("parameters", f["parameters"], _MANY_PARAMETERS, "parameters"),
            ("nesting", f["nesting"], _DEEP, "levels of nesting"),
            ("length", length, _LONG, "lines"),
        ):
            if value > limit:
                severity = "warning" if rule == "complexity" or value > 2 * limit else "info"
                message = f"{f['name']} has {value} {what}; more than {limit} are hard to follow"
                rows.append(finding(tool, rule, severity, path, (f["line"], 1), message))
    return rows


def _functions(
    tree: ast.Module,
) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef, bool]]:
    waiting: list[tuple[ast.AST, str, bool]] = [(tree, "", False)]
    found = []
    while waiting:
        node, prefix, in_class = waiting.pop()
        name = prefix
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            name = f"{prefix}{node.name}"
            if not isinstance(node, ast.ClassDef):
                found.append((name, node, in_class))
            name += "."
            in_class = isinstance(node, ast.ClassDef)
        waiting += [(child, name, in_class) for child in ast.iter_child_nodes(node)]
    yield from sorted(found, key=lambda item: item[1].lineno)


def _first_line(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return min([node.lineno, *(d.lineno for d in node.decorator_list)])


def _count_parameters(node: ast.FunctionDef | ast.AsyncFunctionDef, in_class: bool) -> int:
    a = node.args
    count = (
        len(a.posonlyargs) + len(a.args) + len(a.kwonlyargs) + (a.vararg is not None) + (a.kwarg is not None)
    )
    own = in_class and not any(
        isinstance(d, ast.Name) and d.id == "staticmethod" for d in node.decorator_list
    )
    return max(0, count - own)


def _nesting(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """The deepest level of blocks in a function; an elif is on the level of its if."""
    blocks = (
        ast.If,
        ast.For,
        ast.AsyncFor,
        ast.While,
        ast.With,
        ast.AsyncWith,
        ast.Try,
        ast.TryStar,
        ast.Match,
    )
    deepest = 0
    waiting: list[tuple[ast.AST, int]] = [(child, 0) for child in function.body]
    while waiting:
        node, depth = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue
        if isinstance(node, blocks):
            depth += 1
            deepest = max(deepest, depth)
        for child in ast.iter_child_nodes(node):
            is_elif = isinstance(node, ast.If) and node.orelse == [child] and isinstance(child, ast.If)
            waiting.append((child, depth - 1 if is_elif else depth))
    return deepest


def _cycles(known: Mapping[str, modules.Module], report: Report) -> None:
    for circle in modules.cycles(known):
        paths = [path for path, _ in circle]
        report.value["cycles"].append(paths)
        message = f"These modules import each other: {' → '.join([*paths, paths[0]])}"
        path, line = circle[0]
        report.value["findings"].append(
            finding("imports", "import-cycle", "warning", path, (line, 1), message)
        )


def _calls(known: Mapping[str, modules.Module], report: Report) -> None:
    for call in calls.calls(known):
        rows = report.value["unresolved" if call.reason else "calls"]
        if len(rows) < _MAX_CALLS:
            rows.append(asdict(call))


def _duplicates(texts: Mapping[str, str], report: Report) -> None:
    for found in duplicates.duplicates(texts):
        report.value["duplicates"].append(asdict(found))
        message = (
            f"{found.lines} lines to line {found.end_line} stand in {found.other_path} from line "
            f"{found.other_line} too"
        )
        report.value["findings"].append(
            finding("duplicates", "duplicate", "info", found.path, (found.line, 1), message)
        )
