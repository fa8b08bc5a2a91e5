"""Whether a program that left by itself had asserted all that it was to assert."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from types import FrameType, TracebackType

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_DEFINITIONS = (*_FUNCTIONS, ast.ClassDef)
# Where the house's own programs stand.
_OURS = ".meld"
_LOOPS = (ast.For, ast.AsyncFor, ast.While)


def left_behind(exit_: SystemExit, root: Path) -> str:
    """The place that asserts something and that an exit kept from its turn, "path:line"; empty for none.

    root: folder of the program's files. An exit that a program's own top level asks for is its will.
    """
    frames = list(_frames(exit_.__traceback__, root))
    for frame, line in frames if len(frames) > 1 else ():
        path = Path(frame.f_code.co_filename)
        tree = ast.parse(path.read_text("utf-8"))
        asserted = next(_left(tree, line, top=frame.f_code.co_name == "<module>"), None)
        if asserted is not None:
            return f"{path.relative_to(root)}:{asserted}"
    return ""


def _frames(trace: TracebackType | None, root: Path) -> Iterator[tuple[FrameType, int]]:
    while trace is not None:
        path = Path(trace.tb_frame.f_code.co_filename)
        if path.is_relative_to(root) and path.is_file() and path.relative_to(root).parts[0] != _OURS:
            yield trace.tb_frame, trace.tb_lineno
        trace = trace.tb_next


def _left(tree: ast.Module, line: int, *, top: bool) -> Iterator[int]:
    """Lines of assertions that come to their turn after a line, or again with the loop around it.

    top: the line is one of the top level, where a call may lead to an assertion in a function, too.
    """
    around = [n for n in ast.walk(tree) if isinstance(n, _FUNCTIONS) and _spans(n, line)]
    scope = tree if top or not around else max(around, key=lambda node: node.lineno)
    own = list(_own(scope))
    start = min([line, *(node.lineno for node in own if isinstance(node, _LOOPS) and _spans(node, line))])
    leading = top and any(isinstance(node, ast.Assert) for node in ast.walk(tree))
    for node in own:
        if isinstance(node, ast.Assert):
            if (node.end_lineno or node.lineno) >= start:
                yield node.lineno
        elif leading and isinstance(node, ast.Call) and node.lineno > line:
            yield node.lineno


def _spans(node: ast.expr | ast.stmt, line: int) -> bool:
    return node.lineno <= line <= (node.end_lineno or node.lineno)


def _own(scope: ast.AST) -> Iterator[ast.AST]:
    """What runs with a module or function itself: nothing of the functions and classes that it defines."""
    for child in ast.iter_child_nodes(scope):
        if not isinstance(child, _DEFINITIONS):
            yield child
            yield from _own(child)
