"""Test files for pytest, written from sessions."""

from __future__ import annotations

import ast
import re
import sys
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

_WIDTH = 100
# Fewer items than are taken of a generator: it has ended.
_MANY = 30
_TAKEN = re.compile(r"^list\(itertools\.islice\(\{\}, (\d+)\)\)$")
_ISLICE = re.compile(r"^list\(itertools\.islice\((.*), \d+\)\)$", re.DOTALL)
_SINGLETONS = {"True", "False", "None"}
# Names that pytest or the written file use themselves.
_RESERVED = {
    "raised",
    "request",
    "expected",
    "message",
    "pytest",
    "re",
    "self",
    "capsys",
    "math",
    "itertools",
}


@dataclass(frozen=True)
class Case:
    """One case of a test. values: the cells of its row; text: the body of a test of its own."""

    values: tuple[str, ...] = ()
    text: str = ""


@dataclass
class Block:
    """A test function with its cases.

    parameters: names of the cells; empty for a test that is written out. body: what is done with the cells.
    fixtures: of pytest. lead: lines before the function, decorators say.
    """

    name: str
    parameters: tuple[str, ...] = ()
    body: str = ""
    cases: list[Case] = field(default_factory=list)
    fixtures: tuple[str, ...] = ()
    lead: str = ""
    comment: str = ""

    def source(self) -> str:
        """The function's source; a table for two cases and more."""
        lead = f"{self.lead}\n" if self.lead else ""
        comment = "".join(f"# {line}\n" for line in textwrap.wrap(self.comment, _WIDTH - 2))
        if not self.parameters:
            body = textwrap.indent(self.cases[0].text, "    ")
            return f"{comment}{lead}def {self.name}({', '.join(self.fixtures)}):\n{body}\n"
        if len(self.cases) == 1:
            body = self._alone(self.cases[0])
            return f"{comment}{lead}def {self.name}():\n{textwrap.indent(body, '    ')}\n"
        names = ", ".join(f'"{name}"' for name in self.parameters)
        shown = f"({names})" if len(self.parameters) > 1 else names
        rows = "".join(self._row(case) for case in self.cases)
        given = ", ".join(self.parameters)
        return (
            f"{comment}{lead}@pytest.mark.parametrize(\n    {shown},\n    [\n{rows}    ],\n)\n"
            f"def {self.name}({given}):\n{textwrap.indent(self.body, '    ')}\n"
        )

    def _alone(self, case: Case) -> str:
        """The body with the cells put in, as names where that would be long or changed."""
        lines = [f"{name} = {value}" for name, value in zip(self.parameters, case.values, strict=True)]
        return "\n".join([*lines, self.body])

    def _row(self, case: Case) -> str:
        if len(case.values) == 1:
            return f"        {case.values[0]},\n"
        line = f"        ({', '.join(case.values)}),\n"
        if len(line) <= _WIDTH:
            return line
        inner = "".join(f"            {value},\n" for value in case.values)
        return f"        (\n{inner}        ),\n"


@dataclass
class TestFile:
    """The tests of one module. origins: module and name of what may be imported of the project."""

    __test__ = False

    path: str
    module: str
    origins: Mapping[str, tuple[str, str]]
    blocks: list[Block] = field(default_factory=list)

    def text(self) -> str:
        """The file."""
        body = "\n\n".join(block.source() for block in self.blocks)
        head = textwrap.fill(
            f"Characterisation tests of {self.module}: they hold fast what it was observed to do, "
            "not whether that is right.",
            _WIDTH - 6,
        )
        return f'"""{head}"""\n\n{self._imports(body)}\n\n\n{body}'

    def keys(self) -> dict[str, tuple[Block, Case]]:
        """The key of every case, as the gate names it, with the block and the case."""
        found = {}
        for block in self.blocks:
            for index, case in enumerate(block.cases):
                table = bool(block.parameters) and len(block.cases) > 1
                found[f"{self.path}::{block.name}" + (f"#{index}" if table else "")] = (block, case)
        return found

    def drop(self, keys: Iterable[str]) -> int:
        """Leaves out the cases of those keys; how many there were."""
        known = self.keys()
        gone = [known[key] for key in keys if key in known]
        for block, case in gone:
            block.cases = [kept for kept in block.cases if kept is not case]
        self.blocks = [block for block in self.blocks if block.cases]
        return len(gone)

    def count(self) -> int:
        """Number of cases."""
        return sum(len(block.cases) for block in self.blocks)

    def _imports(self, body: str) -> str:
        used = _names(body)
        standard = sorted(
            name for name in used if name in sys.stdlib_module_names and name not in self.origins
        )
        lines = [f"import {name}" for name in standard]
        third = []
        if "pytest" in used:
            third.append("import pytest")
        if "given" in used:
            third += ["from hypothesis import given, settings", "from hypothesis import strategies as st"]
        own: dict[str, list[str]] = {}
        for name in sorted(used & set(self.origins)):
            module, word = self.origins[name]
            own.setdefault(module, []).append(word if word == name else f"{word} as {name}")
        project = []
        for module, words in sorted(own.items()):
            line = f"from {module} import {', '.join(words)}"
            if len(line) > _WIDTH:
                line = f"from {module} import (\n" + "".join(f"    {word},\n" for word in words) + ")"
            project.append(line)
        return "\n\n".join("\n".join(group) for group in (lines, third, project) if group)


def _names(source: str) -> set[str]:
    tree = ast.parse(source)
    return {
        node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
    }


class Writer:
    """Makes blocks of one module's sessions. parameters: names of each target's positional parameters."""

    def __init__(self, parameters: Mapping[str, Sequence[str]], names: Iterable[str]) -> None:
        self._parameters = parameters
        self._reserved = _RESERVED | set(names)
        self._used: dict[str, int] = {}

    def blocks(self, sessions: Sequence[Mapping[str, Any]]) -> list[Block]:
        """Tables of single calls, then written-out tests, in the order of the targets."""
        tables: dict[tuple[object, ...], Block] = {}
        order: list[Block] = []
        for session in sessions:
            row = self._row(session)
            if row is None:
                order.append(self._written_out(session))
                continue
            key, name, parameters, body, case = row
            if key not in tables:
                tables[key] = Block(self.unique(name), parameters, body)
                order.append(tables[key])
            tables[key].cases.append(case)
        for block in order:
            block.cases = list(dict.fromkeys(block.cases))
            if block.parameters and block.parameters[-1] == "expected":
                _finish(block)
        return order

    def unique(self, name: str) -> str:
        """The name, with a number when it was given before."""
        self._used[name] = self._used.get(name, 0) + 1
        return name if self._used[name] == 1 else f"{name}_{self._used[name]}"

    # --- tables

    def _row(
        self, session: Mapping[str, Any]
    ) -> tuple[tuple[object, ...], str, tuple[str, ...], str, Case] | None:
        target, template, arguments, subject, _bind, statement = session["steps"][0]
        seen = session["seen"]["steps"][0]
        if len(session["steps"]) != 1 or subject or statement or "after" in seen or "out" in seen:
            return None
        shape = self._shape(target, arguments)
        if shape is None or not shape[0]:
            return None
        names, call_arguments = shape
        call = template.replace("{args}", ", ".join(call_arguments))
        values = tuple(_cells(arguments, starred=names == ("arguments",)))
        stem = f"test_{_plain(target)}"
        if "raised" in seen:
            call = _ISLICE.sub(r"list(\1)", call)
            error, message = seen["raised"], seen["message"]
            name = f"{stem}_raises_{_snake(error.split('.')[-1])}"
            if message:
                body = (
                    f"with pytest.raises({error}) as raised:\n    {call}\nassert str(raised.value) == message"
                )
                return (
                    (target, names, error, True),
                    name,
                    (*names, "message"),
                    body,
                    Case((*values, repr(message))),
                )
            body = f"with pytest.raises({error}):\n    {call}"
            return (target, names, error, False), name, names, body, Case(values)
        if _bind or len(seen["pairs"]) != 1 or seen.get("callable"):
            return None
        read, expected = seen["pairs"][0]
        body = f"assert {read.replace('{}', call)} == expected"
        single = expected in _SINGLETONS
        return (target, names, read, single), stem, (*names, "expected"), body, Case((*values, expected))

    def _shape(
        self, target: str, arguments: Sequence[Sequence[str]]
    ) -> tuple[tuple[str, ...], list[str]] | None:
        """Names of the cells, and the arguments as the call has them."""
        known = self._parameters.get(target, ())
        keywords = [keyword for keyword, _ in arguments]
        if "*" in keywords:
            if any(keyword not in {"", "*"} for keyword in keywords):
                return None
            return ("arguments",), ["*arguments"]
        names, shown = [], []
        for position, keyword in enumerate(keywords):
            if not keyword and position >= len(known):
                return None
            name = self._safe(keyword or known[position])
            names.append(name)
            shown.append(f"{keyword}={name}" if keyword else name)
        return (tuple(names), shown) if len(set(names)) == len(names) else None

    def _safe(self, name: str) -> str:
        clean = name.lstrip("_") or "value"
        return f"{clean}_" if clean in self._reserved else clean

    # --- written out

    def _written_out(self, session: Mapping[str, Any]) -> Block:
        lines: list[str] = []
        fixtures: tuple[str, ...] = ()
        steps, seen = session["steps"], session["seen"]
        asserted = False
        for step, result in zip(steps, seen["steps"], strict=False):
            if result.get("out"):
                fixtures = ("capsys",)
            new = self._of_step(step, result, [s[3] for s in steps] + [s[4] for s in steps])
            asserted = asserted or any(line.startswith(("assert", "with")) for line in new)
            lines += new
        for name, pairs in seen["state"]:
            for read, expected in pairs:
                if read.startswith("type(") and (asserted or len(pairs) > 1):
                    continue
                lines.append(_assertion(read.replace("{}", name), expected))
        name = f"test_{_plain(steps[0][0])}" if len(steps) == 1 else _session_name(steps)
        return Block(self.unique(name), cases=[Case(text="\n".join(lines))], fixtures=fixtures)

    def _of_step(self, step: Sequence[Any], result: Mapping[str, Any], taken: Sequence[str]) -> list[str]:
        target, template, arguments, subject, bind, statement = step
        lines, shown = [], []
        known = self._parameters.get(target, ())
        held: dict[int, str] = {}
        for position, (keyword, expression) in enumerate(arguments):
            if str(position) in result.get("after", {}):
                name = self._safe(keyword or (known[position] if position < len(known) else "given"))
                name = f"{name}_given" if name in taken or name in held.values() else name
                held[position] = name
                lines.append(f"{name} = {expression}")
            shown.append(held.get(position, expression))
        call = _filled(template, arguments, shown, subject)
        pairs = result.get("pairs", [])
        if "raised" in result or all(read == "{}" and _length(e) < _MANY for read, e in pairs):
            call = _ISLICE.sub(r"list(\1)", call)
        if "raised" in result:
            told = result["message"]
            opening = f"with pytest.raises({result['raised']}){' as raised' if told else ''}:"
            lines += [opening, textwrap.indent(call, "    ")]
            return [*lines, f"assert str(raised.value) == {told!r}"] if told else lines
        if statement:
            lines.append(call)
        elif bind:
            lines.append(f"{bind} = {call}")
        elif result["pairs"] == [["{}", "None"]] and (held or subject or result.get("out")):
            lines.append(call)
        elif len(result["pairs"]) == 1:
            read, expected = result["pairs"][0]
            shown_call = call if _is_primary(call) else f"({call})"
            lines.append(_assertion(_read(read, shown_call, expected), expected))
        else:
            name = "result" if "result" not in taken else "given"
            lines.append(f"{name} = {call}")
            lines += [_assertion(read.replace("{}", name), e) for read, e in result["pairs"]]
        for position, name in held.items():
            for read, expected in result["after"][str(position)]:
                lines.append(_assertion(read.replace("{}", name), expected))
        if result.get("out"):
            lines.append(f"assert capsys.readouterr().out == {result['out']!r}")
        return lines


def _finish(block: Block) -> None:
    """Chooses how a table compares, now that all its cases are known."""
    expected = [case.values[-1] for case in block.cases]
    if all(value in _SINGLETONS for value in expected):
        block.body = block.body.replace(" == expected", " is expected")
    read = re.match(r"assert list\(itertools\.islice\((.*), (\d+)\)\) == expected$", block.body, re.DOTALL)
    if read and all(_length(value) < int(read.group(2)) for value in expected):
        block.body = f"assert list({read.group(1)}) == expected"


def _read(template: str, call: str, expected: str) -> str:
    taken = _TAKEN.match(template)
    if taken and _length(expected) < int(taken.group(1)):
        return f"list({call})"
    return template.replace("{}", call)


def _length(expression: str) -> int:
    try:
        node = ast.parse(expression, mode="eval").body
    except SyntaxError:
        return sys.maxsize
    return len(node.elts) if isinstance(node, ast.List) else sys.maxsize


def _assertion(read: str, expected: str) -> str:
    if read.startswith("callable("):
        return f"assert {read}"
    operator = "is" if expected in _SINGLETONS else "=="
    return f"assert {read} {operator} {expected}"


def _filled(template: str, arguments: Sequence[Sequence[str]], shown: Sequence[str], subject: str) -> str:
    joined = ", ".join(
        f"{keyword}={expression}" if keyword and keyword != "*" else expression
        for (keyword, _), expression in zip(arguments, shown, strict=True)
    )

    def put(match: re.Match[str]) -> str:
        word = match.group(1)
        return subject if word == "self" else joined if word == "args" else shown[int(word)]

    return re.sub(r"\{(self|args|\d)\}", put, template)


def _is_primary(source: str) -> bool:
    try:
        node = ast.parse(source, mode="eval").body
    except SyntaxError:
        return False
    return isinstance(node, ast.Call | ast.Attribute | ast.Subscript | ast.Name)


def _cells(arguments: Sequence[Sequence[str]], *, starred: bool) -> list[str]:
    values = [expression for _, expression in arguments]
    if starred:
        return ["(" + ", ".join(values) + ("," if len(values) == 1 else "") + ")"]
    return values


def _plain(target: str) -> str:
    return re.sub(r"\W+", "_", target).strip("_")


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def _session_name(steps: Sequence[Sequence[Any]]) -> str:
    """Named after the object and the last thing that is done with it."""
    first = _snake(_plain(steps[0][0].split(".")[0]))
    last = steps[-1][0].split(".")[-1].strip("_=") if len(steps) > 1 else ""
    return f"test_{first}_{_snake(_plain(last))}" if last and last != steps[0][0] else f"test_{first}"
