"""Modules of a project: their names, what they import of each other, and circles of imports."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath


@dataclass(frozen=True)
class Module:
    """A Python file. name: dotted; package: the name under which its relative imports are looked up."""

    path: str
    name: str
    package: str
    tree: ast.Module


@dataclass(frozen=True)
class Import:
    """A module of the project that another one imports. late: not while that one is loaded."""

    module: str
    line: int
    late: bool


def modules(trees: Mapping[str, ast.Module]) -> dict[str, Module]:
    """By name. A leading src folder does not belong to names."""
    found = {}
    for path, tree in trees.items():
        parts = list(PurePosixPath(path).with_suffix("").parts)
        if parts[0] == "src" and len(parts) > 1:
            parts = parts[1:]
        is_package = parts[-1] == "__init__"
        if is_package:
            parts = parts[:-1]
        name = ".".join(parts)
        found[name] = Module(path, name, name if is_package else ".".join(parts[:-1]), tree)
    return found


def imports(module: Module, known: Mapping[str, Module]) -> Iterator[Import]:
    """What of the project it imports. Imports in functions and for type checkers alone are late."""
    waiting: list[tuple[ast.AST, bool]] = [(module.tree, False)]
    while waiting:
        node, late = waiting.pop()
        if isinstance(node, ast.Import | ast.ImportFrom):
            for name in _targets(node, module, known):
                yield Import(name, node.lineno, late)
        function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        checking = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        waiting += [(child, late or function or checking) for child in ast.iter_child_nodes(node)]


def origin(node: ast.ImportFrom, module: Module) -> str:
    """The dotted name after `from`, relative ones made absolute."""
    if not node.level:
        return node.module or ""
    parts = module.package.split(".") if module.package else []
    parts = parts[: len(parts) - node.level + 1]
    return ".".join([*parts, node.module] if node.module else parts)


def _targets(node: ast.Import | ast.ImportFrom, module: Module, known: Mapping[str, Module]) -> Iterator[str]:
    if isinstance(node, ast.Import):
        wanted = [alias.name for alias in node.names]
    else:
        source = origin(node, module)
        # Names of a package may be modules of it.
        wanted = [f"{source}.{a.name}" if f"{source}.{a.name}" in known else source for a in node.names]
    for name in dict.fromkeys(wanted):
        if name in known and name != module.name:
            yield name


def cycles(known: Mapping[str, Module]) -> list[list[tuple[str, int]]]:
    """Circles of imports at load time, one for each knot of modules: (path, line of the import of the next).

    The shortest circle in each strongly connected component (Tarjan 1972).
    """
    graph: dict[str, dict[str, int]] = {name: {} for name in known}
    for name, module in known.items():
        for found in imports(module, known):
            if not found.late:
                graph[name].setdefault(found.module, found.line)
    circles = []
    for knot in _knots(graph):
        names = min((_shortest(graph, name, knot) for name in sorted(knot)), key=len)
        circles.append(
            [(known[a].path, graph[a][b]) for a, b in zip(names, names[1:] + names[:1], strict=True)]
        )
    return circles


def _knots(graph: Mapping[str, Mapping[str, int]]) -> list[set[str]]:
    """Strongly connected components of more than one module."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    on_stack: set[str] = set()
    found = []
    for start in graph:
        if start in index:
            continue
        work = [(start, iter(graph[start]))]
        index[start] = low[start] = len(index)
        stack.append(start)
        on_stack.add(start)
        while work:
            name, ahead = work[-1]
            following = next(ahead, None)
            if following is None:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[name])
                if low[name] == index[name]:
                    knot: set[str] = set()
                    while name not in knot:
                        knot.add(stack.pop())
                    on_stack -= knot
                    if len(knot) > 1:
                        found.append(knot)
            elif following not in index:
                index[following] = low[following] = len(index)
                stack.append(following)
                on_stack.add(following)
                work.append((following, iter(graph[following])))
            elif following in on_stack:
                low[name] = min(low[name], index[following])
    return found


def _shortest(graph: Mapping[str, Mapping[str, int]], start: str, knot: set[str]) -> list[str]:
    """The shortest circle through a module, breadth first."""
    before: dict[str, str] = {}
    waiting = [start]
    for name in waiting:
        for following in graph[name]:
            if following == start:
                circle = [name]
                while circle[-1] != start:
                    circle.append(before[circle[-1]])
                return circle[::-1]
            if following in knot and following not in before:
                before[following] = name
                waiting.append(following)
    return sorted(knot)
