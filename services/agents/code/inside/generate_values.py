"""Expressions for arguments: made from kinds and the constants of the code, and changed a little at a time.

A value is kept as the source of the expression that makes it. So it can be changed as a tree, run anywhere,
and written into a test as it stands.
"""

from __future__ import annotations

import ast
import contextlib
import datetime
import enum
import inspect
import random
import re
import textwrap
import types
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .generate_kinds import ANY, FLOAT, INT, STR, Kind, World, of_annotation, parameters

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import sre_constants as _sre
    import sre_parse as _sre_parse

_INTS = (0, 1, -1, 2, 3, 4, 5, 7, 8, 10, 12, 15, 16, 20, 31, 64, 97, 100, 255, 1000, -2, -5, -10)
_FLOATS = (0.0, 1.0, -1.0, 0.5, 2.5, -0.5, 1.5, 3.75, 10.0, 99.99, 100.0, -2.25, 0.1, 1000.5)
_STRINGS = (
    "", "a", "b", "A", "ab", "abc", "aa", "aba", "abba", "hello", "Hello World", "hello, world!", "0", "1",
    "42",
    "-5", "3.14", "a1b2", "  pad  ", " ", "a,b,c", "key=value", "(a[b]{c})", "(()", "aaabbc", "CamelCaseText",
    "snake_case_text", "The quick brown fox", "line one\nline two", "x y  z", "Racecar", "é", "tést", "10:30",
    "2024-02-29", "a-b-c", "1,2,3", "!?", "zzz", "true", "user@example.com", "3 + 4", "MCMXCIV", "ABC", "\t",
    "listen", "silent",
)  # fmt: skip
_DATES = ((2024, 2, 29), (2023, 1, 1), (2023, 12, 31), (2000, 2, 28), (2024, 3, 1), (2023, 6, 15),
          (1999, 12, 31),
          (2024, 7, 6), (2024, 1, 31), (1900, 3, 1))  # fmt: skip
_TIMES = ((0, 0), (9, 30), (23, 59), (12, 0), (17, 45))
_ONE = ("lambda x: x", "lambda x: x * 2", "lambda x: x + 1", "lambda x: -x", "len", "str", "lambda x: None",
        "lambda x: 1 / 0", "lambda x: [x]")  # fmt: skip
_TRUTH = ("lambda x: x > 2", "lambda x: x % 2 == 0", "lambda x: True", "lambda x: False", "lambda x: bool(x)",
          "lambda x: len(x) > 2")  # fmt: skip
_TWO = ("lambda a, b: a + b", "lambda a, b: a * b", "lambda a, b: a - b", "max", "min", "lambda a, b: (a, b)")
_NONE_TAKEN = (
    "lambda: 1",
    "lambda: 'done'",
    "lambda: None",
    "lambda: 1 / 0",
    "lambda: int('x')",
    "lambda: {}['k']",
)
# Characters that matter to code which uses these names.
_ALPHABETS = {
    "isdigit": "0123456789", "isdecimal": "0123456789", "isnumeric": "0123456789", "digits": "0123456789",
    "int": "0123456789", "isalpha": "abcXYZ", "isalnum": "abXY019", "isupper": "abABC", "islower": "abABC",
    "isspace": "ab ", "ascii_lowercase": "abcxyz", "ascii_uppercase": "ABCXYZ", "ascii_letters": "abcXYZ",
    "ord": "abcxyzABCXYZ", "float": "0123456789.", "upper": "abcABC", "lower": "abcABC",
    "hexdigits": "09afAF",
    "punctuation": "!#-,.",
}  # fmt: skip
_CLOSING = {"[": "]", "(": ")", "{": "}", "<": ">"}
_MAX_DEPTH = 3
_MAX_TEXT = 400


@dataclass
class Constants:
    """Literals that stand in the code, and texts that its patterns and documentation show."""

    ints: list[int] = field(default_factory=list)
    floats: list[float] = field(default_factory=list)
    strings: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    alphabets: list[str] = field(default_factory=list)
    joints: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, trees: Sequence[ast.AST], rng: random.Random) -> Constants:
        """The constants below the given nodes."""
        found = cls()
        for tree in trees:
            documented = _docstrings(tree)
            for node in ast.walk(tree):
                if isinstance(node, ast.Constant):
                    found._keep(node, node in documented, rng)
                word = node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
                found.alphabets += [_ALPHABETS[word]] if word in _ALPHABETS else []
                found.joints += _joints(node)
        found.alphabets = sorted(set(found.alphabets))
        found.joints = sorted(set(found.joints))
        for name in ("ints", "floats", "strings", "texts"):
            values = getattr(found, name)
            setattr(found, name, list(dict.fromkeys(values))[:60])
        return found

    def _keep(self, node: ast.Constant, documented: bool, rng: random.Random) -> None:
        value = node.value
        if documented and isinstance(value, str):
            self.texts += [a or b for a, b in re.findall(r"'([^'\n]{1,40})'|\"([^\"\n]{1,40})\"", value)]
            self.texts += _blocks(value)
        elif isinstance(value, bool):
            return
        elif isinstance(value, int) and abs(value) < 10**7:
            self.ints += [value, value + 1, value - 1]
        elif isinstance(value, float):
            self.floats += [value, value + 1.0, value - 0.5]
        elif isinstance(value, str) and len(value) <= 80:
            self.strings.append(value)
            self.texts += [*_matching(value, rng), *_dated(value)]


def _docstrings(tree: ast.AST) -> set[ast.AST]:
    return {
        node.body[0].value
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
        and isinstance(node.body[0].value, ast.Constant)
    }


def _joints(node: ast.AST) -> list[str]:
    """What a text is split at."""
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
        return []
    if node.func.attr == "splitlines":
        return ["\n"]
    if node.func.attr in {"split", "rsplit", "partition", "rpartition"}:
        first = node.args[0] if node.args else ast.Constant(" ")
        if isinstance(first, ast.Constant) and isinstance(first.value, str) and first.value:
            return [first.value]
    return []


def _blocks(text: str) -> list[str]:
    """The parts of a documentation that are indented: examples, most often."""
    blocks: list[str] = []
    for part in re.split(r"\n\s*\n", inspect.cleandoc(text)):
        lines = part.splitlines()
        indented = [line for line in lines if line.startswith("  ") and ">>>" not in line]
        if indented and len(indented) == len(lines):
            blocks.append(textwrap.dedent("\n".join(lines))[:300])
            blocks += [line.strip() for line in lines[:6]]
    return blocks


def _dated(text: str) -> list[str]:
    """A text that is a format of dates, filled in."""
    if not re.search(r"%[YmdHMSjbB]", text):
        return []
    moments = [datetime.datetime(*day, 13, 5, 9, tzinfo=datetime.UTC) for day in _DATES[:4]]
    return [moment.strftime(text) for moment in moments]


def _matching(text: str, rng: random.Random) -> list[str]:
    """Some texts that a regular expression matches; none for what does not look like one."""
    if not re.search(r"\\[dwsS]|\[[^\]]+\]|\(\?|[+*?]$|\{\d", text):
        return []
    try:
        parsed = _sre_parse.parse(text)
        return [_example(parsed, rng)[:60] for _ in range(6)]
    except (re.error, ValueError, RecursionError, KeyError, IndexError, TypeError):
        return []


_CATEGORIES = {"digit": "0123456789", "word": "abz_09AZ", "space": " "}


def _example(parsed: Any, rng: random.Random) -> str:
    text = ""
    for operator, argument in parsed:
        name = str(operator)
        if name == "LITERAL":
            text += chr(argument)
        elif name == "NOT_LITERAL":
            text += "x" if argument != ord("x") else "y"
        elif name == "ANY":
            text += rng.choice("ab1 ")
        elif name == "IN":
            text += _one_of(argument, rng)
        elif name == "CATEGORY":
            text += _of_category(str(argument), rng)
        elif name in {"MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"}:
            low, high, inner = argument
            top = low + 3 if high is _sre.MAXREPEAT else min(int(high), low + 3)
            text += "".join(_example(inner, rng) for _ in range(rng.randint(low, top)))
        elif name == "SUBPATTERN":
            text += _example(argument[-1], rng)
        elif name == "BRANCH":
            text += _example(rng.choice(argument[1]), rng)
        elif name == "ATOMIC_GROUP":
            text += _example(argument, rng)
    return text


def _one_of(choices: list[tuple[object, Any]], rng: random.Random) -> str:
    if str(choices[0][0]) == "NEGATE":
        banned = "".join(_one_of([c], rng) for c in choices[1:])
        return rng.choice([c for c in "abz19 -@" if c not in banned] or ["x"])
    operator, argument = rng.choice(choices)
    name = str(operator)
    if name == "RANGE":
        return chr(rng.randint(*argument))
    if name == "CATEGORY":
        return _of_category(str(argument), rng)
    return chr(argument)


def _of_category(name: str, rng: random.Random) -> str:
    if "NOT" in name:
        return rng.choice("ab-") if "WORD" not in name else rng.choice(" -.")
    return rng.choice(next((chars for word, chars in _CATEGORIES.items() if word.upper() in name), "a"))


class Maker:
    """Makes expressions. The same seed makes the same ones."""

    def __init__(self, rng: random.Random, constants: Constants, world: World) -> None:
        self.rng = rng
        self.constants = constants
        self.world = world
        self._alphabet = "".join(dict.fromkeys("".join(constants.strings) + "".join(constants.texts)))[:60]
        self._fields: dict[str, list[tuple[str, Kind, bool]]] = {}

    # --- from a kind

    def make(self, kind: Kind, name: str = "", depth: int = 0) -> str:
        """An expression of that kind for a parameter of that name."""
        rng = self.rng
        if kind.name == "union":
            return self.make(rng.choice(kind.inner), name, depth)
        if kind.name == "literal":
            return rng.choice(kind.words)
        plain: Callable[[], str] | None = {
            "int": lambda: str(self._int(name)),
            "float": lambda: repr(self._float()),
            "str": lambda: repr(self._str()),
            "bool": lambda: rng.choice(("True", "False")),
            "none": lambda: "None",
            "any": lambda: self._any(depth),
            "bytes": lambda: repr(self._str().encode("utf-8")),
            "complex": lambda: f"complex({rng.choice(_FLOATS)}, {rng.choice(_FLOATS)})",
            "date": lambda: "datetime.date({}, {}, {})".format(*rng.choice(_DATES)),
            "datetime": lambda: "datetime.datetime({}, {}, {}, {}, {})".format(
                *rng.choice(_DATES), *rng.choice(_TIMES)
            ),
            "time": lambda: "datetime.time({}, {})".format(*rng.choice(_TIMES)),
            "timedelta": self._timedelta,
            "decimal": lambda: f"decimal.Decimal({str(self._float())!r})",
            "fraction": lambda: f"fractions.Fraction({self._int('')}, {rng.choice((1, 2, 3, 5, 8))})",
            "path": lambda: f"pathlib.PurePosixPath({rng.choice(('a/b.txt', '/x/y.tar.gz', 'c', '.env'))!r})",
            "file": lambda: f"io.StringIO({self._str()!r})",
            "random": lambda: f"random.Random({rng.randint(0, 9)})",
            "callable": lambda: self._callable(kind),
            "record": lambda: self._record(kind, depth),
            "object": lambda: self._object(kind.words[0], depth),
            "dict": lambda: self._dict(kind, depth),
        }.get(kind.name)
        if plain is not None:
            return plain()
        if kind.name == "tuple":
            return self._tuple(kind, depth)
        return self._collection(kind, name, depth)

    def _int(self, name: str) -> int:
        rng, roll = self.rng, self.rng.random()
        if name:
            ranged = _RANGES.get(name.strip("_").lower())
            if ranged and roll < 0.5:
                return rng.choice(ranged)
        if self.constants.ints and roll < 0.4:
            value = rng.choice(self.constants.ints)
            return value if rng.random() < 0.85 else value * rng.choice((-1, 2, 10))
        if roll < 0.65:
            return rng.choice(_INTS)
        if roll < 0.9:
            return rng.randint(-5, 30)
        return rng.randint(0, 4000)

    def _float(self) -> float:
        rng, roll = self.rng, self.rng.random()
        if self.constants.floats and roll < 0.4:
            return rng.choice(self.constants.floats)
        if self.constants.ints and roll < 0.6:
            return float(rng.choice(self.constants.ints))
        return rng.choice(_FLOATS) if roll < 0.9 else round(rng.uniform(-100, 100), 2)

    def _str(self) -> str:
        rng, roll = self.rng, self.rng.random()
        texts, strings = self.constants.texts, self.constants.strings
        if texts and roll < 0.2:
            return rng.choice(texts)
        if strings and roll < 0.3:
            return rng.choice(strings)
        if self.constants.joints and roll < 0.45:
            return self._joined()
        if self.constants.alphabets and roll < 0.55:
            return self._random_text()
        if roll < 0.75:
            return rng.choice(_STRINGS)
        if strings and roll < 0.88:
            parts = [rng.choice((*strings, "a", "1", " ", "x1")) for _ in range(rng.randint(2, 5))]
            return "".join(parts)[:60]
        return self._random_text()

    def _joined(self) -> str:
        """Parts with what the code splits texts at between them."""
        rng, joints = self.rng, self.constants.joints
        outer = "\n" if "\n" in joints and rng.random() < 0.8 else rng.choice(joints)
        marks = [s for s in (*self.constants.strings, *joints) if 0 < len(s) <= 3 and s != outer] or [""]
        words = ["a", "b", "x1", "12", "7", "", "3.5", *(s for s in self.constants.strings if s.isalnum())]
        parts = []
        for _ in range(rng.choice((1, 1, 2, 2, 3, 4))):
            shape = rng.random()
            mark, word, other = rng.choice(marks), rng.choice(words), rng.choice(words)
            if shape < 0.3:
                parts.append(f"{word}{mark}{other}")
            elif shape < 0.5:
                parts.append(f"{mark}{word}{_CLOSING.get(mark) or rng.choice(marks)}")
            elif shape < 0.65:
                parts.append(f"{word} {mark} {other}")
            elif shape < 0.75 and self.constants.texts:
                parts.append(rng.choice(self.constants.texts))
            else:
                parts.append(word)
        return outer.join(parts)[:120]

    def _random_text(self) -> str:
        """Characters that matter to the code, some of the others among them."""
        rng = self.rng
        alphabet = self._alphabet if self._alphabet and rng.random() < 0.5 else "ab01 ,xyAB-."
        if self.constants.alphabets and rng.random() < 0.7:
            alphabet = rng.choice(self.constants.alphabets) * 3
            short = "".join(s for s in self.constants.strings if len(s) <= 3)
            alphabet += short if rng.random() < 0.5 else ""
        return "".join(rng.choice(alphabet) for _ in range(rng.choice((1, 2, 3, 4, 5, 6, 8, 12, 16))))

    def _timedelta(self) -> str:
        spans = ("days=1", "hours=5", "minutes=-30", "seconds=90", "days=40")
        return f"datetime.timedelta({self.rng.choice(spans)})"

    def _any(self, depth: int) -> str:
        kinds = [INT, STR, FLOAT, Kind("bool"), Kind("none")]
        if depth < 2:
            kinds += [Kind("list", (INT,)), Kind("dict", (STR, INT)), Kind("list", (STR,)), INT, STR]
        return self.make(self.rng.choice(kinds), "", depth + 1)

    def _callable(self, kind: Kind) -> str:
        count, made = int(kind.words[0]), kind.inner[0]
        if count == 0:
            return self.rng.choice(_NONE_TAKEN)
        if count == 2:
            return self.rng.choice(_TWO)
        if count > 2:
            names = ", ".join("abcdefgh"[: min(count, 8)])
            return f"lambda {names}: ({names})"
        if made.name == "bool":
            return self.rng.choice(_TRUTH)
        if made.name == "str":
            return self.rng.choice(("str", "lambda x: f'<{x}>'", "lambda x: str(x)[::-1]"))
        return self.rng.choice((*_ONE, *_TRUTH) if made == ANY else _ONE)

    def _record(self, kind: Kind, depth: int) -> str:
        keep = [key for key in zip(kind.words, kind.inner, strict=False) if self.rng.random() < 0.85]
        return "{" + ", ".join(f"{key!r}: {self.make(inner, key, depth + 1)}" for key, inner in keep) + "}"

    def _dict(self, kind: Kind, depth: int) -> str:
        rng = self.rng
        key, item = kind.inner if len(kind.inner) == 2 else (STR, INT)
        if key in {STR, INT} and rng.random() < 0.7:
            if item.name in {"list", "set", "vartuple"} and item.inner[:1] == (key,):
                return self._graph(key, item.name)
            if item.name == "dict" and item.inner[0] == key and item.inner[1] in {INT, FLOAT}:
                return self._weighted_graph(key)
        count = rng.choice((0, 1, 2, 3, 4)) if depth < _MAX_DEPTH else 0
        entries = {self.make(key, "", depth + 1): self.make(item, "", depth + 1) for _ in range(count)}
        return "{" + ", ".join(f"{k}: {v}" for k, v in entries.items()) + "}"

    def _nodes(self, key: Kind) -> list[str]:
        count = self.rng.randint(1, 5)
        return [repr(c) for c in "ABCDE"[:count]] if key == STR else [str(i) for i in range(count)]

    def _graph(self, key: Kind, container: str) -> str:
        rng, nodes = self.rng, self._nodes(key)
        loops = rng.random() < 0.6
        entries = []
        for position, node in enumerate(nodes):
            others = nodes if loops else nodes[position + 1 :]
            chosen = sorted(rng.sample(others, min(len(others), rng.choice((0, 1, 1, 2, 2, 3)))))
            opening, closing = {"set": ("{", "}"), "vartuple": ("(", ",)")}.get(container, ("[", "]"))
            inner = ", ".join(chosen)
            if not chosen:
                entries.append(f"{node}: " + {"set": "set()", "vartuple": "()"}.get(container, "[]"))
            else:
                entries.append(f"{node}: {opening}{inner}{closing}")
        return "{" + ", ".join(entries) + "}"

    def _weighted_graph(self, key: Kind) -> str:
        rng, nodes = self.rng, self._nodes(key)
        entries = []
        for node in nodes:
            chosen = rng.sample(nodes, min(len(nodes), rng.choice((0, 1, 2, 2))))
            entries.append(f"{node}: {{{', '.join(f'{c}: {rng.randint(1, 9)}' for c in chosen)}}}")
        return "{" + ", ".join(entries) + "}"

    def _tuple(self, kind: Kind, depth: int) -> str:
        parts = [self.make(inner, "", depth + 1) for inner in kind.inner]
        if kind.inner == (INT, INT) and self.rng.random() < 0.5:
            parts.sort(key=int)
        return "(" + ", ".join(parts) + ("," if len(parts) == 1 else "") + ")"

    def _collection(self, kind: Kind, name: str, depth: int) -> str:
        rng = self.rng
        inner = kind.inner[0] if kind.inner else INT
        count = rng.choice((0, 1, 1, 2, 2, 3, 3, 4, 5, 7)) if depth < 2 else rng.choice((0, 1, 2, 3))
        if depth >= _MAX_DEPTH:
            count = 0
        if inner.name == "list" and rng.random() < 0.6:
            parts = self._rows(inner, max(count, 1), depth)
        elif inner == INT and depth + 1 <= _MAX_DEPTH and rng.random() < 0.6:
            parts = [str(rng.randint(-3, 9)) for _ in range(count)]
        else:
            parts = [
                self.make(inner, name[:-1] if name.endswith("s") else "", depth + 1) for _ in range(count)
            ]
        if rng.random() < 0.3 and inner in {INT, FLOAT, STR}:
            parts = sorted(parts, key=ast.literal_eval, reverse=rng.random() < 0.2)
        if kind.name == "list":
            return f"[{', '.join(parts)}]"
        if kind.name == "iterator":
            return f"iter([{', '.join(parts)}])"
        if kind.name == "deque":
            return f"collections.deque([{', '.join(parts)}])"
        if kind.name == "vartuple":
            return "(" + ", ".join(parts) + ("," if len(parts) == 1 else "") + ")"
        parts = list(dict.fromkeys(parts))
        shown = "{" + ", ".join(parts) + "}" if parts else "set()"
        return shown if kind.name == "set" else f"frozenset({shown if parts else ''})"

    def _rows(self, inner: Kind, count: int, depth: int) -> list[str]:
        """Rows of one length; square ones and ones of 0 and 1 more often."""
        rng = self.rng
        width = count if rng.random() < 0.6 else rng.randint(1, 4)
        low, high = rng.choice(((0, 1), (0, 9), (-3, 9)))
        cell = inner.inner[0] if inner.inner else INT
        return [
            "[" + ", ".join(
                str(rng.randint(low, high)) if cell == INT else self.make(cell, "", depth + 2)
                for _ in range(width)
            ) + "]"
            for _ in range(count)
        ]  # fmt: skip

    def _object(self, name: str, depth: int) -> str:
        rng = self.rng
        cls = self.world.classes.get(name)
        if cls is None:
            return "None"
        if issubclass(cls, enum.Enum):
            return f"{name}.{rng.choice(list(cls.__members__))}" if cls.__members__ else "None"
        below = [n for n, c in self.world.classes.items() if c is not cls and issubclass(c, cls)]
        if inspect.isabstract(cls) or getattr(cls, "_is_protocol", False) or (below and rng.random() < 0.5):
            return self._object(rng.choice(below), depth + 1) if below and depth < 6 else "None"
        if issubclass(cls, BaseException):
            return f"{name}({self._str()!r})"
        words = []
        for field_name, kind, keyword in self._fields_of(name, cls):
            if depth >= _MAX_DEPTH and kind.name in {"union", "object"}:
                value = "None"
            else:
                value = self.make(kind, field_name, depth + 1)
            words.append(f"{field_name}={value}" if keyword else value)
        return f"{name}({', '.join(words)})"

    def _fields_of(self, name: str, cls: type) -> list[tuple[str, Kind, bool]]:
        if name not in self._fields:
            self._fields[name] = []
            with contextlib.suppress(TypeError, ValueError):
                init = cls.__dict__.get("__init__")
                syntax = self.world.functions.get(f"{name}.__init__")
                found = parameters(cls, syntax, self.world, bound=False)
                del init
                self._fields[name] = [
                    (p.name, max(p.given, key=lambda pair: pair[1])[0], p.keyword_only)
                    for p in found
                    if not p.variadic
                ]
        fields = self._fields[name]
        optional = 0
        with contextlib.suppress(TypeError, ValueError):
            signature = inspect.signature(cls)
            for parameter in reversed(list(signature.parameters.values())):
                if parameter.default is parameter.empty:
                    break
                optional += 1
        if optional and self.rng.random() < 0.3:
            return fields[: max(len(fields) - self.rng.randint(1, optional), 0)]
        return fields

    # --- from the other arguments

    def related(self, others: Sequence[str], kind: Kind) -> str | None:
        """An expression that has to do with one of the other arguments; None when there is nothing."""
        rng = self.rng
        known = []
        for other in others:
            with contextlib.suppress(ValueError, SyntaxError, TypeError, RecursionError):
                known.append(ast.literal_eval(other))
        if not known:
            return None
        other = rng.choice(known)
        if kind.name in {"int", "any", "str", "float", "union"} and isinstance(
            other, list | tuple | set | dict
        ):
            flat = [x for x in other if isinstance(x, int | str | float)]
            if kind == INT and rng.random() < 0.4:
                return str(rng.choice((0, len(other) - 1, len(other), 1, -1, sum(_numbers(flat)))))
            fitting = [x for x in flat if kind.name in {"any", "union"} or type(x).__name__ == kind.name]
            if fitting:
                value = rng.choice(fitting)
                if isinstance(value, int) and rng.random() < 0.3:
                    value += rng.choice((-1, 1))
                return repr(value)
            return None
        if isinstance(other, str) and kind == STR:
            start = rng.randint(0, len(other))
            return repr(rng.choice((other, other[::-1], other[start : start + 2], other[:1], other + "x",
                                    "".join(rng.sample(other, len(other))))))  # fmt: skip
        if isinstance(other, str) and kind == INT:
            return str(rng.choice((len(other), len(other) - 1, len(other) + 1, 0)))
        if isinstance(other, int) and not isinstance(other, bool) and kind in {INT, FLOAT}:
            value = rng.choice((other, other + 1, other - 1, other * 2, -other))
            return str(float(value)) if kind == FLOAT else str(value)
        if isinstance(other, float) and kind == FLOAT:
            return repr(rng.choice((other, -other, other + 1.0)))
        if isinstance(other, list) and kind.name == "list":
            changed = list(other)
            rng.shuffle(changed)
            return repr(rng.choice((other, changed, other[: len(other) // 2], [*other, *other[:1]])))
        if isinstance(other, dict | set) and kind.name == type(other).__name__:
            return repr(other)
        return None

    # --- from what there is

    def change(self, expression: str) -> str:
        """The expression with one small change; itself when it cannot be read."""
        try:
            tree = ast.parse(expression, mode="eval")
        except SyntaxError:
            return expression
        nodes = list(_changeable(tree.body))
        if not nodes:
            return expression
        chosen = self.rng.choice(nodes)
        new = self._changed(chosen)
        if chosen is tree.body:
            tree.body = new
        else:
            _Exchange(chosen, new).visit(tree)
        text = ast.unparse(ast.fix_missing_locations(tree))
        return text if len(text) <= _MAX_TEXT else expression

    def _changed(self, node: ast.expr) -> ast.expr:
        rng = self.rng
        if isinstance(node, ast.UnaryOp) and isinstance(node.operand, ast.Constant):
            value = node.operand.value
            if isinstance(value, int | float):
                return ast.Constant(self._near(-value))
            return node
        if isinstance(node, ast.Constant):
            return ast.Constant(self._near(node.value))
        if isinstance(node, ast.List | ast.Set | ast.Tuple):
            parts = self._parts(list(node.elts), fixed=isinstance(node, ast.Tuple) and rng.random() < 0.7)
            if isinstance(node, ast.Set) and not parts:
                return ast.Call(ast.Name("set", ast.Load()), [], [])
            return type(node)(parts, ast.Load()) if not isinstance(node, ast.Set) else ast.Set(parts)
        if isinstance(node, ast.Dict):
            pairs: list[tuple[ast.expr, ast.expr]] = [
                (k, v) for k, v in zip(node.keys, node.values, strict=True) if k is not None
            ]
            if pairs and rng.random() < 0.7:
                pairs.pop(rng.randrange(len(pairs)))
            elif pairs:
                key, item = rng.choice(pairs)
                if isinstance(key, ast.Constant):
                    pairs.append((ast.Constant(self._near(key.value)), item))
            return ast.Dict([k for k, _ in pairs], [v for _, v in pairs])
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            return ast.parse(self._object(node.value.id, 0), mode="eval").body
        if isinstance(node, ast.Lambda | ast.Name):
            return ast.parse(rng.choice((*_ONE, *_TRUTH)), mode="eval").body
        return node

    def _parts(self, parts: list[ast.expr], *, fixed: bool) -> list[ast.expr]:
        rng = self.rng
        roll = rng.random()
        if not parts:
            return [ast.Constant(self._near(rng.choice((0, "a"))))] if not fixed else parts
        position = rng.randrange(len(parts))
        if fixed or roll < 0.2:
            rng.shuffle(parts)
        elif roll < 0.5:
            parts.pop(position)
        elif roll < 0.75:
            parts.insert(position, parts[rng.randrange(len(parts))])
        elif roll < 0.85:
            parts = parts[: len(parts) // 2]
        elif len(parts) < 12:
            parts = parts + parts[: rng.randint(1, len(parts))]
        last = parts[-1] if parts else None
        if roll > 0.9 and isinstance(last, ast.Constant) and not fixed:
            parts[-1] = ast.Constant(self._near(last.value))
        return parts

    def _near(self, value: Any) -> Any:
        rng = self.rng
        if isinstance(value, bool):
            return not value
        if isinstance(value, int):
            roll = rng.random()
            if roll < 0.6:
                return value + rng.choice((-1, 1, 2, -2))
            return self._int("") if roll < 0.9 else rng.choice((-value, value * 2, value // 2, value * 10))
        if isinstance(value, float):
            return rng.choice((value + 1.0, value - 1.0, value / 2, -value, self._float()))
        if isinstance(value, str):
            return self._near_text(value)
        if isinstance(value, bytes):
            return self._near_text(value.decode("latin-1")).encode("latin-1", "replace")
        return value

    def _near_parts(self, text: str) -> str:
        """One of the parts, between what the code splits texts at, left out, doubled, changed or added."""
        rng = self.rng
        joint = next((j for j in self.constants.joints if j in text), rng.choice(self.constants.joints))
        parts = text.split(joint) if joint else [text]
        position, roll = rng.randrange(len(parts)), rng.random()
        if roll < 0.5:
            parts.insert(position + 1, self._joined().split(joint or "\n")[0])
        elif roll < 0.65:
            parts.insert(position, parts[position])
        elif roll < 0.8:
            parts.pop(position)
        else:
            rng.shuffle(parts)
        return joint.join(parts)[:150]

    def _near_text(self, text: str) -> str:
        rng, roll = self.rng, self.rng.random()
        if self.constants.joints and rng.random() < 0.35:
            return self._near_parts(text)
        position = rng.randint(0, len(text))
        token = rng.choice((*self.constants.strings, "a", " ", "1", "Z", "-", text[:1])) if roll < 0.5 else ""
        if roll < 0.4:
            return (text[:position] + token + text[position:])[:80]
        if roll < 0.6 and text:
            return text[:position] + text[position + rng.randint(1, 2) :]
        if roll < 0.7 and text:
            alphabet = (rng.choice(self.constants.alphabets) if self.constants.alphabets else "") + (
                self._alphabet[:12] or "ab1 "
            )
            return text[:position] + rng.choice(alphabet) + text[position + 1 :]
        if roll < 0.75:
            return text.swapcase()
        if roll < 0.8:
            return text[::-1]
        if roll < 0.85:
            return (text + text)[:80]
        return self._str()


def _numbers(values: Sequence[object]) -> list[int]:
    return [value for value in values if isinstance(value, int)]


_RANGES: dict[str, tuple[int, ...]] = {
    "year": (2024, 2023, 1900, 2000, 1999, 0, 2100), "month": (1, 2, 12, 6, 0, 13),
    "day": (1, 28, 29, 31, 15, 0, 32),
    "hour": (0, 12, 23, 24), "hours": (0, 1, 12, 24, 25), "minute": (0, 30, 59, 60),
    "minutes": (0, 5, 59, 60, 61),
    "seconds": (0, 1, 59, 60, 61, 3600, 3661, 86400, 90061), "n": (0, 1, 2, 3, 4, 5, 6, 7, 10, 12, 20, -1),
    "base": (2, 8, 10, 16, 36, 1, 37), "width": (0, 1, 5, 10, 20), "depth": (0, 1, 2, 3),
    "age": (0, 17, 18, 65, -1),
    "capacity": (0, 1, 2, 3, 10), "size": (0, 1, 2, 3, 5), "limit": (0, 1, 2, 3, 10),
    "score": (0, 59, 60, 70, 80, 90, 100),
    "k": (0, 1, 2, 3, 5, -1),
}  # fmt: skip


def _changeable(node: ast.expr) -> Iterator[ast.expr]:
    if isinstance(node, ast.UnaryOp):
        yield node
        return
    if isinstance(
        node, ast.Constant | ast.List | ast.Set | ast.Tuple | ast.Dict | ast.Attribute | ast.Lambda
    ):
        yield node
    if isinstance(node, ast.Attribute | ast.Lambda):
        return
    if isinstance(node, ast.Name):
        yield node
        return
    if isinstance(node, ast.Call):
        for argument in (*node.args, *(keyword.value for keyword in node.keywords)):
            yield from _changeable(argument)
        return
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.expr):
            yield from _changeable(child)


class _Exchange(ast.NodeTransformer):
    def __init__(self, old: ast.expr, new: ast.expr) -> None:
        self._old, self._new = old, new

    def visit(self, node: ast.AST) -> ast.AST:
        return self._new if node is self._old else self.generic_visit(node)


def names_of(expression: str) -> set[str]:
    """Names that an expression needs from outside."""
    try:
        tree = ast.parse(expression)
    except SyntaxError:
        return set()
    bound = {
        argument.arg for node in ast.walk(tree) if isinstance(node, ast.Lambda) for argument in node.args.args
    }
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)} - bound


def world_of(modules: Mapping[str, types.ModuleType], trees: Mapping[str, ast.Module]) -> World:
    """The classes and functions that the modules define. Of two with one name the first counts."""
    classes: dict[str, type] = {}
    functions: dict[str, ast.FunctionDef | ast.AsyncFunctionDef] = {}
    for name, module in modules.items():
        for word, value in vars(module).items():
            if isinstance(value, type) and value.__module__ == name:
                classes.setdefault(word, value)
        for node in trees[name].body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                functions.setdefault(node.name, node)
            elif isinstance(node, ast.ClassDef):
                for inner in node.body:
                    if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef):
                        functions.setdefault(f"{node.name}.{inner.name}", inner)
    return World(classes, functions)


__all__ = ["Constants", "Maker", "names_of", "of_annotation", "world_of"]
