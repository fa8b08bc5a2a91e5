"""What a failure can depend on: a backward slice over the statements that a test ran.

After Weiser: Program slicing (1981), and Agrawal and Horgan: Dynamic program slicing (1990), in their first
approximation: data and control dependence of the text, kept to the statements that ran.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Collection, Iterable

from services.agents.code.patching.source import Source, own_nodes

_MAX_STEPS = 2_000


def backward(source: Source, ran: Collection[int], criterion: Iterable[int]) -> dict[int, int]:
    """Lines of statements that those of the criterion depend on, with the length of the way to them.

    ran: lines that ran; a statement without one is left out. The criterion's own lines have the length 0.
    """
    statements = [node for node in source.statements if node.lineno in ran]
    defined: dict[str, list[ast.stmt]] = {}
    for node in statements:
        for name in definitions(node):
            defined.setdefault(name, []).append(node)
    start = [source.by_line[line] for line in criterion if line in source.by_line]
    found = {node.lineno: 0 for node in start}
    front = list(start)
    for _ in range(_MAX_STEPS):
        if not front:
            break
        node = front.pop(0)
        length = found[node.lineno] + 1
        function = source.function(node)
        needed = [
            other
            for name in uses(node)
            for other in defined.get(name, ())
            if source.function(other) is function or name.startswith(".")
        ]
        needed += [outer for outer in source.above(node) if isinstance(outer, ast.If | ast.While | ast.For)]
        for name in called(node):
            callee = source.functions.get(name)
            if callee is not None:
                needed += [
                    other for other in statements if source.function(other) is callee and _gives_back(other)
                ]
        # A jump decides whether what stands behind it runs.
        needed += [
            other
            for other in statements
            if isinstance(other, ast.Break | ast.Continue | ast.Return)
            and other.lineno < node.lineno
            and source.function(other) is function
            and function is not None
        ]
        for other in needed:
            if other.lineno in ran and other.lineno not in found:
                found[other.lineno] = length
                front.append(other)
    return found


def results(source: Source, ran: Collection[int]) -> list[int]:
    """Lines that gave a result back to a caller; what a failed assertion looks at."""
    return [node.lineno for node in source.statements if node.lineno in ran and _gives_back(node)]


def definitions(node: ast.stmt) -> set[str]:
    """Variables that a statement gives a value or changes; attributes with a dot before their name."""
    names: set[str] = set()
    for part in own_nodes(node):
        if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
            names.add(part.id)
        elif isinstance(part, ast.Attribute) and isinstance(part.ctx, ast.Store):
            names.add(f".{part.attr}")
        elif isinstance(part, ast.Subscript) and isinstance(part.ctx, ast.Store | ast.Del):
            names |= _roots(part.value)
        elif isinstance(part, ast.Call) and isinstance(part.func, ast.Attribute):
            # A method may change its object; an argument may be changed by a function that gets it.
            names |= _roots(part.func.value)
        own = isinstance(part, ast.Call) and isinstance(part.func, ast.Name)
        if isinstance(part, ast.Call) and own and not hasattr(builtins, ast.unparse(part.func)):
            for argument in part.args:
                names |= _roots(argument) if isinstance(argument, ast.Name | ast.Attribute) else set()
    return names


def uses(node: ast.stmt) -> set[str]:
    """Variables whose value a statement looks at."""
    names: set[str] = set()
    for part in own_nodes(node):
        if isinstance(part, ast.Name) and (isinstance(part.ctx, ast.Load) or isinstance(node, ast.AugAssign)):
            names.add(part.id)
        elif isinstance(part, ast.Attribute):
            names.add(f".{part.attr}")
    return names


def called(node: ast.stmt) -> set[str]:
    """Names of functions and methods that a statement calls."""
    names = set()
    for part in own_nodes(node):
        if isinstance(part, ast.Call):
            if isinstance(part.func, ast.Name):
                names.add(part.func.id)
            elif isinstance(part.func, ast.Attribute):
                names.add(part.func.attr)
    return names


def _roots(node: ast.expr) -> set[str]:
    while isinstance(node, ast.Subscript):
        node = node.value
    if isinstance(node, ast.Attribute):
        return {f".{node.attr}"}
    return {node.id} if isinstance(node, ast.Name) else set()


def _gives_back(node: ast.stmt) -> bool:
    return isinstance(node, ast.Return | ast.Raise) or any(
        isinstance(part, ast.Yield | ast.YieldFrom) for part in own_nodes(node)
    )
