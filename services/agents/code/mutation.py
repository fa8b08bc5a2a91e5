"""Mutants of Python code: the code with one small fault each.

The operators are those that mutation testing has used since DeMillo, Lipton and Sayward (1978) and Offutt's
sufficient set (1996): arithmetic, comparisons, boolean connectives, constants, conditions, returned values,
deleted statements, exchanged arguments, jumps in loops, bounds of slices. No mutant is taken for equivalent:
what no test finds has survived.
"""

from __future__ import annotations

import ast
import copy
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Mutant:
    """One fault. start, end: byte offsets in the file's UTF-8 text of what `replacement` stands for.

    line: from 1. operator: which kind of fault. description: for people.
    """

    path: str
    line: int
    start: int
    end: int
    replacement: str
    operator: str
    description: str

    def to_json(self) -> dict[str, Any]:
        """As a plain object."""
        return dict(vars(self))

    def apply(self, text: str) -> str:
        """The file's text with the fault."""
        content = text.encode("utf-8")
        return (content[: self.start] + self.replacement.encode("utf-8") + content[self.end :]).decode(
            "utf-8"
        )


_ARITHMETIC: Mapping[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.BitXor: ast.BitAnd,
}
_COMPARISONS: Mapping[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}


def mutants(path: str, text: str) -> list[Mutant]:
    """All mutants of a file, in order of their place; each can be compiled, as the file can.

    Raises SyntaxError when it is not Python.
    """
    maker = _Maker(path, text)
    maker.visit_body(ast.parse(text))
    unique: dict[tuple[int, int, str], Mutant] = {}
    for mutant in maker.found:
        unique.setdefault((mutant.start, mutant.end, mutant.replacement), mutant)
    return sorted(unique.values(), key=lambda m: (m.start, m.end))


def lines_of_functions(text: str) -> set[int]:
    """Lines that run when something is called, and not when the module is imported."""
    return {
        line
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for first in (node.body if isinstance(node.body, list) else [node.body])
        for line in range(first.lineno, (first.end_lineno or first.lineno) + 1)
    }


def chosen(everything: list[Mutant], most: int, seed: int) -> list[Mutant]:
    """At most `most` of them, by lot from the seed, in their order."""
    if len(everything) <= most:
        return everything
    kept = sorted(random.Random(seed).sample(range(len(everything)), most))  # noqa: S311 - a sample, no secret
    return [everything[index] for index in kept]


class _Maker:
    def __init__(self, path: str, text: str) -> None:
        self.found: list[Mutant] = []
        self._path = path
        self._content = text.encode("utf-8")
        self._starts = [0]
        for line in self._content.splitlines(keepends=True):
            self._starts.append(self._starts[-1] + len(line))

    def visit_body(self, tree: ast.Module) -> None:
        """Everything but docstrings, annotations, text inside f-strings and the program's own start."""
        for node in tree.body:
            if not _is_bare_text(node):
                self._visit(node)

    def _visit(self, node: ast.AST) -> None:
        if _is_start(node) or isinstance(node, ast.Import | ast.ImportFrom | ast.JoinedStr):
            return
        if isinstance(node, ast.MatchValue) and not isinstance(node.value, ast.Constant):
            return
        make = getattr(self, f"_of_{type(node).__name__.lower()}", None)
        if make is not None:
            for new, operator, description in make(node):
                self._add(node, new, operator, description)
        for child in _inside(node):
            self._visit(child)

    def _add(self, node: Any, new: ast.AST, operator: str, description: str) -> None:
        start = self._starts[node.lineno - 1] + node.col_offset
        end = self._starts[node.end_lineno - 1] + node.end_col_offset
        shown = ast.unparse(ast.fix_missing_locations(new))
        replacement = f"({shown})" if isinstance(new, ast.expr) else shown
        if replacement.encode("utf-8") != self._content[start:end]:
            self.found.append(Mutant(self._path, node.lineno, start, end, replacement, operator, description))

    # --- one method for each kind of node: its replacements

    def _of_binop(self, node: ast.BinOp) -> Iterator[tuple[ast.AST, str, str]]:
        other = _ARITHMETIC.get(type(node.op))
        if other is not None:
            yield _with(node, op=other()), "arithmetic", _told(node, _with(node, op=other()))

    def _of_augassign(self, node: ast.AugAssign) -> Iterator[tuple[ast.AST, str, str]]:
        other = _ARITHMETIC.get(type(node.op))
        if other is not None:
            yield _with(node, op=other()), "arithmetic", _told(node, _with(node, op=other()))
        yield ast.Pass(), "statement", f"`{_short(node)}` is left out"

    def _of_unaryop(self, node: ast.UnaryOp) -> Iterator[tuple[ast.AST, str, str]]:
        if isinstance(node.op, ast.Not | ast.USub):
            kind = "boolean" if isinstance(node.op, ast.Not) else "arithmetic"
            yield node.operand, kind, _told(node, node.operand)

    def _of_compare(self, node: ast.Compare) -> Iterator[tuple[ast.AST, str, str]]:
        for position, operator in enumerate(node.ops):
            for other in _COMPARISONS.get(type(operator), ()):
                ops = [*node.ops[:position], other(), *node.ops[position + 1 :]]
                yield _with(node, ops=ops), "comparison", _told(node, _with(node, ops=ops))

    def _of_boolop(self, node: ast.BoolOp) -> Iterator[tuple[ast.AST, str, str]]:
        other = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        yield _with(node, op=other), "boolean", _told(node, _with(node, op=other))

    def _of_constant(self, node: ast.Constant) -> Iterator[tuple[ast.AST, str, str]]:
        for value in _others(node.value):
            new = ast.Constant(value)
            yield new, "constant", _told(node, new)

    def _of_return(self, node: ast.Return) -> Iterator[tuple[ast.AST, str, str]]:
        if node.value is not None and not (isinstance(node.value, ast.Constant) and node.value.value is None):
            yield ast.Return(ast.Constant(None)), "return", f"`{_short(node)}` gives back None"

    def _of_if(self, node: ast.If) -> Iterator[tuple[ast.AST, str, str]]:
        self._negate(node.test)
        return iter(())

    def _of_while(self, node: ast.While) -> Iterator[tuple[ast.AST, str, str]]:
        if not isinstance(node.test, ast.Constant):
            self._negate(node.test)
        return iter(())

    def _of_ifexp(self, node: ast.IfExp) -> Iterator[tuple[ast.AST, str, str]]:
        self._negate(node.test)
        return iter(())

    def _of_comprehension(self, node: ast.comprehension) -> Iterator[tuple[ast.AST, str, str]]:
        for test in node.ifs:
            self._negate(test)
        return iter(())

    def _negate(self, test: ast.expr) -> None:
        new = ast.UnaryOp(ast.Not(), copy.deepcopy(test))
        self._add(test, new, "condition", f"the condition `{_short(test)}` is turned round")

    def _of_expr(self, node: ast.Expr) -> Iterator[tuple[ast.AST, str, str]]:
        if isinstance(node.value, ast.Call | ast.Await):
            yield ast.Pass(), "statement", f"`{_short(node)}` is left out"

    def _of_raise(self, node: ast.Raise) -> Iterator[tuple[ast.AST, str, str]]:
        yield ast.Pass(), "statement", f"`{_short(node)}` is left out"

    def _of_break(self, node: ast.Break) -> Iterator[tuple[ast.AST, str, str]]:
        yield ast.Continue(), "jump", f"line {node.lineno}: `break` becomes `continue`"

    def _of_continue(self, node: ast.Continue) -> Iterator[tuple[ast.AST, str, str]]:
        yield ast.Break(), "jump", f"line {node.lineno}: `continue` becomes `break`"

    def _of_call(self, node: ast.Call) -> Iterator[tuple[ast.AST, str, str]]:
        if len(node.args) >= 2 and not any(isinstance(a, ast.Starred) for a in node.args[:2]):
            new = _with(node, args=[node.args[1], node.args[0], *node.args[2:]])
            if ast.unparse(new) != ast.unparse(node):
                yield new, "arguments", _told(node, new)

    def _of_slice(self, node: ast.Slice) -> Iterator[tuple[ast.AST, str, str]]:
        for bound, name in ((node.lower, "start"), (node.upper, "end")):
            if bound is not None and not isinstance(bound, ast.Constant):
                new = ast.BinOp(copy.deepcopy(bound), ast.Add(), ast.Constant(1))
                self._add(bound, new, "slice", f"the {name} `{_short(bound)}` of a slice is one more")
        return iter(())


def _others(value: object) -> list[bool | int | float | str]:
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return [value + 1, value - 1] if value > 1 else [value + 1]
    if isinstance(value, float):
        return [value + 1.0]
    if isinstance(value, str):
        return [value + "XX"] if value else ["XX"]
    return []


def _with(node: Any, **changes: object) -> Any:
    new = copy.deepcopy(node)
    for name, value in changes.items():
        setattr(new, name, value)
    return new


def _is_start(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and any(
        isinstance(part, ast.Name) and part.id == "__name__" for part in ast.walk(node.test)
    )


def _inside(node: ast.AST) -> Iterator[ast.AST]:
    body = getattr(node, "body", None)
    first = body[0] if isinstance(body, list) and body else None
    docstring = None
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and isinstance(
        first, ast.Expr
    ):
        docstring = first if isinstance(first.value, ast.Constant) else None
    for name, value in ast.iter_fields(node):
        if name in {"annotation", "returns", "type_comment"} or (
            # No expression in brackets may stand there.
            name == "keys" and isinstance(node, ast.MatchMapping)
        ):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST) and child is not docstring and not _is_bare_text(child):
                yield child


def _is_bare_text(node: ast.AST) -> bool:
    """A string that stands as a statement: documentation of an attribute, say."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _short(node: ast.AST) -> str:
    text = " ".join(ast.unparse(node).split())
    return text if len(text) <= 60 else f"{text[:57]}..."


def _told(old: ast.AST, new: ast.AST) -> str:
    return f"`{_short(old)}` becomes `{_short(ast.fix_missing_locations(new))}`"
