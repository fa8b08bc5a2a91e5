"""Puts faults into clean programs, of the kinds that people make.

Written apart from the operators of the repair, so that these do not simply undo what stands here: a third of
the kinds takes something away (a guard, a line, a call, a part of a condition), others move, exchange or
confuse whole statements.
"""

from __future__ import annotations

import ast
import difflib
import itertools
import random
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

PROGRAMS = Path(__file__).parent / "programs"
# Every third program is kept for the test; nothing is tuned on these.
SPLITS = ("train", "test")

Edit = tuple[int, int, str]
_SWAPPED = {
    ast.Lt: "<=",
    ast.LtE: "<",
    ast.Gt: ">=",
    ast.GtE: ">",
    ast.Eq: "!=",
    ast.NotEq: "==",
    ast.In: "not in",
    ast.NotIn: "in",
    ast.Is: "is not",
    ast.IsNot: "is",
}
_CONFUSED = {
    ast.Add: "-",
    ast.Sub: "+",
    ast.Mult: "+",
    ast.FloorDiv: "%",
    ast.Mod: "//",
    ast.BitXor: "&",
    ast.BitOr: "&",
    ast.BitAnd: "|",
    ast.RShift: "<<",
    ast.LShift: ">>",
    ast.Pow: "*",
}


@dataclass(frozen=True)
class Faulty:
    """A program with a fault. lines: those that count as faulty; around a missing line its neighbours."""

    name: str
    kind: str
    text: str
    tests: str
    lines: frozenset[int]


@dataclass(frozen=True)
class Program:
    """A clean program."""

    name: str
    text: str
    tests: str


def programs(split: str) -> list[Program]:
    """The programs of a split, by name."""
    names = sorted(path.stem for path in PROGRAMS.glob("*.py") if not path.stem.startswith("test_"))
    chosen = [name for place, name in enumerate(names) if (place % 3 == 2) == (split == "test")]
    return [
        Program(
            name,
            (PROGRAMS / f"{name}.py").read_text("utf-8"),
            (PROGRAMS / f"test_{name}.py").read_text("utf-8"),
        )
        for name in chosen
    ]


class Source:
    """Text with its tree, and offsets of nodes."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tree = ast.parse(text)
        self._starts = [0]
        for line in text.splitlines(keepends=True):
            self._starts.append(self._starts[-1] + len(line))
        self.parents: dict[ast.AST, ast.AST] = {}
        for node in ast.walk(self.tree):
            for child in ast.iter_child_nodes(node):
                self.parents[child] = node
        self.functions = [n for n in ast.walk(self.tree) if isinstance(n, ast.FunctionDef)]

    def nodes(self) -> Iterator[ast.AST]:
        """Nodes inside of functions, but docstrings."""
        seen = set()
        for function in self.functions:
            for statement in function.body:
                for node in ast.walk(statement):
                    if id(node) not in seen and hasattr(node, "lineno"):
                        seen.add(id(node))
                        yield node

    def span(self, node: ast.AST) -> tuple[int, int]:
        """Where it stands."""
        return (
            self._starts[node.lineno - 1] + node.col_offset,
            self._starts[node.end_lineno - 1] + node.end_col_offset,
        )

    def of(self, node: ast.AST) -> str:
        """Its text."""
        start, end = self.span(node)
        return self.text[start:end]

    def block(self, statement: ast.stmt) -> tuple[int, int]:
        """Whole lines of a statement."""
        return self._starts[statement.lineno - 1], self._starts[statement.end_lineno]

    def lists(self) -> Iterator[list[ast.stmt]]:
        """Lists of statements inside of functions."""
        for node in self.nodes():
            for field in ("body", "orelse"):
                value = getattr(node, field, None)
                if isinstance(value, list) and value and isinstance(value[0], ast.stmt):
                    yield value
        for function in self.functions:
            yield function.body

    def names(self, node: ast.AST) -> list[str]:
        """Variables of the function around a node."""
        while not isinstance(node, ast.FunctionDef):
            node = self.parents[node]
        stored = {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
        return sorted(stored | {a.arg for a in node.args.args} - {"self"})


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def comparison(source: Source) -> Iterator[Edit]:
    """< for <=, == for != and so on."""
    for node in source.nodes():
        if isinstance(node, ast.Compare) and len(node.ops) == 1:
            start, end = source.span(node.left)[1], source.span(node.comparators[0])[0]
            yield start, end, f" {_SWAPPED[type(node.ops[0])]} "


def arithmetic(source: Source) -> Iterator[Edit]:
    """Another operator."""
    for node in source.nodes():
        if isinstance(node, ast.BinOp) and type(node.op) in _CONFUSED:
            start, end = source.span(node.left)[1], source.span(node.right)[0]
            if not set("()") & set(source.text[start:end]):
                yield start, end, f" {_CONFUSED[type(node.op)]} "


def off_by_one(source: Source) -> Iterator[Edit]:
    """A step that was forgotten: x for x + 1, or a bound that is one too large."""
    for node in source.nodes():
        step = isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Sub)
        if step and isinstance(node.right, ast.Constant) and node.right.value == 1:
            yield (*source.span(node), source.of(node.left))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "range":
            last = node.args[1] if len(node.args) > 1 else node.args[0]
            yield (*source.span(last), source.of(last) + " - 1")
            yield (*source.span(node.args[0]), source.of(node.args[0]) + " + 1")


def constant(source: Source) -> Iterator[Edit]:
    """A number that is wrong by one, True for False."""
    for node in source.nodes():
        if isinstance(node, ast.Constant) and not isinstance(node.value, str) and node.value is not None:
            if isinstance(node.value, bool):
                yield (*source.span(node), str(not node.value))
            else:
                yield (*source.span(node), str(node.value + 1))
                if node.value > 0:
                    yield (*source.span(node), str(node.value - 1))


def missing_guard(source: Source) -> Iterator[Edit]:
    """An early return or a special case that is not there."""
    for statements in source.lists():
        for statement in statements:
            guards = isinstance(statement, ast.If) and not statement.orelse and len(statements) > 1
            if guards and isinstance(statement.body[-1], ast.Return | ast.Continue | ast.Break):
                yield (*source.block(statement), "")


def missing_line(source: Source) -> Iterator[Edit]:
    """A statement that is not there."""
    for statements in source.lists():
        for statement in statements:
            simple = isinstance(statement, ast.AugAssign | ast.Assign | ast.Expr) and not _is_text(statement)
            if simple and len([s for s in statements if not _is_text(s)]) > 1:
                yield (*source.block(statement), "")


def wrong_variable(source: Source) -> Iterator[Edit]:
    """Another variable of the function."""
    for node in source.nodes():
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            names = source.names(node)
            if node.id in names:
                for other in names:
                    if other != node.id:
                        yield (*source.span(node), other)


def recursion(source: Source) -> Iterator[Edit]:
    """A function calls itself with a wrong argument."""
    for function in source.functions:
        parameters = [argument.arg for argument in function.args.args]
        for node in ast.walk(function):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id == function.name
            ):
                for place, argument in enumerate(node.args):
                    if place < len(parameters) and source.of(argument) != parameters[place]:
                        yield (*source.span(argument), parameters[place])
                for first, second in zip(node.args, node.args[1:], strict=False):
                    text = source.text[source.span(first)[1] : source.span(second)[0]]
                    yield (
                        source.span(first)[0],
                        source.span(second)[1],
                        source.of(second) + text + source.of(first),
                    )


def swapped_arguments(source: Source) -> Iterator[Edit]:
    """Arguments, operands or parts of a pair the wrong way round."""
    for node in source.nodes():
        pair: list[ast.expr] = []
        if isinstance(node, ast.Call) and len(node.args) == 2:
            pair = node.args
        elif isinstance(node, ast.Tuple) and len(node.elts) == 2:
            pair = node.elts
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Sub | ast.FloorDiv | ast.Mod):
            pair = [node.left, node.right]
        if pair:
            first, second = pair
            text = source.text[source.span(first)[1] : source.span(second)[0]]
            if not set("()") & set(text):
                yield (
                    source.span(first)[0],
                    source.span(second)[1],
                    source.of(second) + text + source.of(first),
                )


def accumulator(source: Source) -> Iterator[Edit]:
    """A variable that starts with the wrong value."""
    for function in source.functions:
        parameters = [argument.arg for argument in function.args.args if argument.arg != "self"]
        for statement in ast.walk(function):
            if not isinstance(statement, ast.Assign):
                continue
            value = statement.value
            if (
                isinstance(value, ast.Constant)
                and value.value in (0, 1)
                and not isinstance(value.value, bool)
            ):
                yield (*source.span(value), str(1 - value.value))
                if parameters:
                    yield (*source.span(value), parameters[0])
            if isinstance(value, ast.List) and not value.elts:
                yield (*source.span(value), "[0]")
            if isinstance(value, ast.Set | ast.List) and value.elts:
                yield (*source.span(value), "set()" if isinstance(value, ast.Set) else "[]")


def swapped_branches(source: Source) -> Iterator[Edit]:
    """What stands below if stands below else, and the other way round."""
    for node in source.nodes():
        if not (isinstance(node, ast.If) and node.orelse):
            continue
        if isinstance(node.orelse[0], ast.If) and source.text[source.span(node.orelse[0])[0] :][:4] == "elif":
            continue
        first = (source.block(node.body[0])[0], source.block(node.body[-1])[1])
        second = (source.block(node.orelse[0])[0], source.block(node.orelse[-1])[1])
        between = source.text[first[1] : second[0]]
        yield (
            first[0],
            second[1],
            source.text[second[0] : second[1]] + between + source.text[first[0] : first[1]],
        )


def lost_condition(source: Source) -> Iterator[Edit]:
    """A part of a condition is not there, or `or` stands for `and`."""
    for node in source.nodes():
        if isinstance(node, ast.BoolOp):
            for place in range(len(node.values)):
                rest = [source.of(value) for at, value in enumerate(node.values) if at != place]
                word = " and " if isinstance(node.op, ast.And) else " or "
                yield (*source.span(node), word.join(rest))
            other = " or " if isinstance(node.op, ast.And) else " and "
            yield (*source.span(node), other.join(source.of(value) for value in node.values))
        if isinstance(node, ast.Compare) and len(node.ops) == 2:
            yield source.span(node.left)[0], source.span(node.comparators[0])[0], ""
            yield source.span(node.comparators[0])[1], source.span(node.comparators[1])[1], ""


def negated(source: Source) -> Iterator[Edit]:
    """The opposite of a condition."""
    for node in source.nodes():
        if isinstance(node, ast.If | ast.While):
            if isinstance(node.test, ast.UnaryOp) and isinstance(node.test.op, ast.Not):
                yield (*source.span(node.test), source.of(node.test.operand))
            elif isinstance(node.test, ast.Name | ast.Call):
                yield (*source.span(node.test), f"not {source.of(node.test)}")


def wrong_result(source: Source) -> Iterator[Edit]:
    """Returns something else that is at hand."""
    for node in source.nodes():
        if isinstance(node, ast.Return) and node.value is not None:
            for name in source.names(node):
                if name != source.of(node.value):
                    yield (*source.span(node.value), name)
            if isinstance(node.value, ast.BinOp):
                yield (*source.span(node.value), source.of(node.value.left))
                yield (*source.span(node.value), source.of(node.value.right))


def lost_call(source: Source) -> Iterator[Edit]:
    """A call around a value is not there; min for max."""
    for node in source.nodes():
        if not isinstance(node, ast.Call) or node.keywords:
            continue
        if isinstance(node.func, ast.Name) and node.func.id in {"min", "max"} and len(node.args) > 1:
            yield (*source.span(node.func), "min" if node.func.id == "max" else "max")
            yield (*source.span(node), source.of(node.args[-1]))
        elif isinstance(node.func, ast.Name) and len(node.args) == 1 and node.func.id != "range":
            yield (*source.span(node), source.of(node.args[0]))
        elif isinstance(node.func, ast.Attribute) and not isinstance(source.parents[node], ast.Expr):
            yield (*source.span(node), source.of(node.func.value))


def plain_assignment(source: Source) -> Iterator[Edit]:
    """x = y for x += y."""
    for node in source.nodes():
        if isinstance(node, ast.AugAssign):
            start, end = source.span(node.target)[1], source.span(node.value)[0]
            yield start, end, " = "


def exchanged_lines(source: Source) -> Iterator[Edit]:
    """Two neighbouring statements the wrong way round."""
    for statements in source.lists():
        for first, second in itertools.pairwise(statements):
            if _is_text(first) or isinstance(second, ast.Return):
                continue
            if first.end_lineno - first.lineno > 3 or second.end_lineno - second.lineno > 3:
                continue
            a, b = source.block(first), source.block(second)
            yield a[0], b[1], source.text[b[0] : b[1]] + source.text[a[1] : b[0]] + source.text[a[0] : a[1]]


def wrong_depth(source: Source) -> Iterator[Edit]:
    """The last line of a block stands behind it, or the line behind it stands inside."""
    for statements in source.lists():
        for place, statement in enumerate(statements):
            if not isinstance(statement, ast.For | ast.While | ast.If) or getattr(statement, "orelse", None):
                continue
            last = statement.body[-1]
            if len(statement.body) > 1 and not isinstance(last, ast.Continue | ast.Break):
                start, end = source.block(last)
                moved = textwrap.indent(textwrap.dedent(source.text[start:end]), " " * statement.col_offset)
                yield start, end, moved
            if place + 1 < len(statements) and isinstance(statements[place + 1], ast.Return | ast.AugAssign):
                start, end = source.block(statements[place + 1])
                yield start, end, textwrap.indent(source.text[start:end], "    ")


def wrong_slice(source: Source) -> Iterator[Edit]:
    """A slice without one of its ends."""
    for node in source.nodes():
        if isinstance(node, ast.Slice):
            if node.lower is not None:
                yield (*source.span(node.lower), "")
                yield (*source.span(node.lower), source.of(node.lower) + " + 1")
            if node.upper is not None:
                yield (*source.span(node.upper), "")
                yield (*source.span(node.upper), source.of(node.upper) + " - 1")


def lost_jump(source: Source) -> Iterator[Edit]:
    """break for continue, return for yield; a step that is not taken in a loop."""
    for node in source.nodes():
        if isinstance(node, ast.Continue):
            yield (*source.span(node), "break")
        elif isinstance(node, ast.Break):
            yield (*source.span(node), "continue")
        elif isinstance(node, ast.YieldFrom):
            yield (*source.span(node), f"yield {source.of(node.value)}")
        elif isinstance(node, ast.While):
            yield source.span(node)[0], source.span(node)[0] + len("while"), "if"


KINDS: tuple[Callable[[Source], Iterator[Edit]], ...] = (
    comparison,
    arithmetic,
    off_by_one,
    constant,
    missing_guard,
    missing_line,
    wrong_variable,
    recursion,
    swapped_arguments,
    accumulator,
    swapped_branches,
    lost_condition,
    negated,
    wrong_result,
    lost_call,
    plain_assignment,
    exchanged_lines,
    wrong_depth,
    wrong_slice,
    lost_jump,
)


def faults(program: Program, seed: int) -> Iterator[Faulty]:
    """Faulty programs, one of each kind in turn, in an order that the seed decides. Some pass their tests."""
    source = Source(program.text)
    chance = random.Random(f"{program.name}:{seed}")
    pools = []
    for kind in KINDS:
        edits = sorted(set(kind(source)))
        chance.shuffle(edits)
        pools.append((kind.__name__, edits))
    chance.shuffle(pools)
    seen = {program.text}
    while any(edits for _, edits in pools):
        for name, edits in pools:
            while edits:
                start, end, new = edits.pop()
                text = program.text[:start] + new + program.text[end:]
                if text in seen or not _parses(text):
                    continue
                seen.add(text)
                yield Faulty(program.name, name, text, program.tests, _changed(text, program.text))
                break


def _parses(text: str) -> bool:
    try:
        ast.parse(text)
    except SyntaxError:
        return False
    return True


def _changed(faulty: str, clean: str) -> frozenset[int]:
    """Lines of the faulty text that are to be changed; for lines that are missing, both neighbours."""
    found: set[int] = set()
    matcher = difflib.SequenceMatcher(None, faulty.splitlines(), clean.splitlines(), autojunk=False)
    for tag, first, last, _, _ in matcher.get_opcodes():
        if tag == "insert":
            found |= {first, first + 1}
        elif tag != "equal":
            found |= set(range(first + 1, last + 1))
    return frozenset(found)
