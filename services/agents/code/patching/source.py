"""Python text with its syntax tree: where things stand, what they mean to each other."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from functools import cached_property

Function = ast.FunctionDef | ast.AsyncFunctionDef
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


class Source:
    """A Python file. Raises SyntaxError when it is none."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tree = ast.parse(text)
        self._lines = text.split("\n")
        self._starts = [0]
        for line in self._lines:
            self._starts.append(self._starts[-1] + len(line) + 1)
        self.parents: dict[ast.AST, ast.AST] = {}
        for node in ast.walk(self.tree):
            for child in ast.iter_child_nodes(node):
                self.parents[child] = node

    def offset(self, line: int, column: int) -> int:
        """Characters before a place. line: from 1. column: in bytes of UTF-8, as the tree counts."""
        content = self._lines[line - 1]
        if not content.isascii():
            column = len(content.encode("utf-8")[:column].decode("utf-8", "ignore"))
        return self._starts[line - 1] + column

    def span(self, node: ast.AST) -> tuple[int, int]:
        """Characters at which an expression or statement starts and ends."""
        return (
            self.offset(node.lineno, node.col_offset),  # type: ignore[attr-defined] # an AST has no place, these have
            self.offset(node.end_lineno, node.end_col_offset),  # type: ignore[attr-defined]
        )

    def of(self, node: ast.AST) -> str:
        """The text of an expression or statement."""
        start, end = self.span(node)
        return self.text[start:end]

    def line_start(self, line: int) -> int:
        """Characters before a line, from 1."""
        return self._starts[min(line - 1, len(self._starts) - 1)]

    def block(self, node: ast.stmt) -> tuple[int, int]:
        """Whole lines of a statement, with decorators."""
        first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))])
        return self._starts[first - 1], min(self._starts[node.end_lineno or node.lineno], len(self.text))

    def indent(self, node: ast.stmt) -> str:
        """The blanks before a statement."""
        line = self._lines[node.lineno - 1]
        return line[: len(line) - len(line.lstrip())]

    def alone(self, node: ast.stmt) -> bool:
        """Whether no other statement stands on its lines."""
        start, end = self.span(node)
        first, last = self.block(node)
        if self.text.startswith("elif", start):
            return False
        after = self.text[end:last].strip()
        return not self.text[first:start].strip() and (not after or after.startswith("#"))

    @cached_property
    def statements(self) -> list[ast.stmt]:
        """All statements but definitions, docstrings and imports, in the order of their lines."""
        skipped = (*_FUNCTIONS, ast.ClassDef, ast.Import, ast.ImportFrom, ast.Global, ast.Nonlocal)
        found = [
            node
            for node in ast.walk(self.tree)
            if isinstance(node, ast.stmt) and not isinstance(node, skipped) and not is_text(node)
        ]
        return sorted(found, key=lambda node: (node.lineno, node.col_offset))

    @cached_property
    def by_line(self) -> dict[int, ast.stmt]:
        """The innermost statement of each line that one covers; of a compound one only its head."""
        found: dict[int, ast.stmt] = {}
        for node in self.statements:
            for line in range(node.lineno, head_end(node) + 1):
                found[line] = node
        return found

    def siblings(self, node: ast.stmt) -> list[ast.stmt]:
        """The statements of the same block."""
        parent = self.parents[node]
        for name in ("body", "orelse", "finalbody"):
            block = getattr(parent, name, None)
            if isinstance(block, list) and node in block:
                return block
        return [node]

    def above(self, node: ast.AST) -> Iterator[ast.AST]:
        """What is around a node, from the inside."""
        while node in self.parents:
            node = self.parents[node]
            yield node

    def function(self, node: ast.AST) -> Function | None:
        """The innermost function around a node."""
        return next((n for n in self.above(node) if isinstance(n, _FUNCTIONS)), None)

    def loop(self, node: ast.AST) -> ast.For | ast.While | None:
        """The innermost loop around a node, in the same function."""
        for outer in self.above(node):
            if isinstance(outer, ast.For | ast.While):
                return outer
            if isinstance(outer, _FUNCTIONS):
                return None
        return None

    def names(self, node: ast.AST) -> list[str]:
        """Variables that may have a value there: of the functions around, nearest first, then of the file."""
        found: dict[str, None] = {}
        for function in [n for n in self.above(node) if isinstance(n, _FUNCTIONS)]:
            for name in self._own_names(function):
                found.setdefault(name)
        for name in self._globals:
            found.setdefault(name)
        return list(found)

    def parameters(self, function: Function) -> list[str]:
        """Names of its parameters, without self."""
        arguments = function.args
        every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
        return [argument.arg for argument in every if argument.arg not in {"self", "cls"}]

    def _own_names(self, function: Function) -> list[str]:
        if function not in self._name_cache:
            names = dict.fromkeys(self.parameters(function))
            for node in ast.walk(function):
                if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                    names.setdefault(node.id)
                elif is_own_attribute(node) and not isinstance(self.parents[node], ast.Call):
                    names.setdefault(self.of(node))
            self._name_cache[function] = list(names)
        return self._name_cache[function]

    @cached_property
    def _name_cache(self) -> dict[Function, list[str]]:
        return {}

    @cached_property
    def _globals(self) -> list[str]:
        return [
            target.id
            for node in self.tree.body
            if isinstance(node, ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Name)
        ]

    @cached_property
    def functions(self) -> dict[str, Function]:
        """Functions of the file by name."""
        return {node.name: node for node in ast.walk(self.tree) if isinstance(node, _FUNCTIONS)}

    @cached_property
    def called(self) -> list[str]:
        """Names of functions that the file calls with one argument, most frequent first."""
        counts = Counter(
            node.func.id
            for node in ast.walk(self.tree)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and len(node.args) == 1
        )
        return [name for name, _ in counts.most_common()]


def is_own_attribute(node: ast.AST) -> bool:
    """Whether it is an attribute of self."""
    return isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self"


def is_text(node: ast.stmt) -> bool:
    """Whether it is a docstring or another constant that stands alone."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def head_end(node: ast.stmt) -> int:
    """The last line of a statement; of a compound one that of its head."""
    body = getattr(node, "body", None)
    if isinstance(body, list) and body:
        last = max((n.end_lineno or n.lineno for n in own_expressions(node)), default=node.lineno)
        return max(node.lineno, last)
    return node.end_lineno or node.lineno


def own_expressions(node: ast.stmt) -> list[ast.expr]:
    """The expressions of a statement itself, without those of statements inside of it."""
    found: list[ast.expr] = []
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.expr):
            found.append(child)
        elif isinstance(child, ast.withitem):
            found.append(child.context_expr)
    return found


def own_nodes(node: ast.stmt) -> Iterator[ast.expr]:
    """Every expression of a statement, the larger before its parts, without statements inside of it."""
    for expression in own_expressions(node):
        for part in ast.walk(expression):
            if isinstance(part, ast.expr):
                yield part
