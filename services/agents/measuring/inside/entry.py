"""Which function is measured, and what it is given."""

from __future__ import annotations

import ast
import importlib
import inspect
import random
import re
import string
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

_BENCH = re.compile(r"bench(mark)?(_.*)?")
_GENERATORS = ("generate", "generate_input", "make_input", "make_inputs", "inputs")
_WHOLE = ("bench", "benchmark", "main", "run")

# What an argument looks like by its annotation, without blanks and modules in front.
_BY_TYPE = {
    "int": "int",
    "float": "float",
    "str": "text",
    "bytes": "bytes",
    "list": "ints",
    "tuple": "tuple",
    "set": "set",
    "dict": "table",
    "list[int]": "ints",
    "list[float]": "floats",
    "list[str]": "words",
    "list[list[int]]": "matrix",
    "list[list[float]]": "matrix",
    "tuple[int,...]": "tuple",
    "set[int]": "set",
    "dict[str,int]": "table",
}
_SEQUENCES = re.compile(r"\b(Sequence|MutableSequence|Iterable|Collection|List)\b")
_GENERIC = {"Dict": "dict", "Set": "set", "Tuple": "tuple", "Mapping": "dict", "MutableMapping": "dict"}
_BY_NAME = {
    "int": {"n", "size", "count", "limit", "num", "length", "k", "upto", "depth"},
    "ints": {
        "items",
        "values",
        "numbers",
        "nums",
        "data",
        "array",
        "arr",
        "xs",
        "ys",
        "lst",
        "seq",
        "a",
        "b",
        "list_",
    },
    "text": {"text", "s", "t", "string", "word", "line", "source", "target", "s1", "s2"},
    "matrix": {"matrix", "grid", "m"},
    "words": {"words", "lines", "names", "strings"},
}


class NoEntryError(Exception):
    """There is nothing to measure; the message says why."""


@dataclass(frozen=True)
class Entry:
    """A function to measure. inputs: in words; sized: whether they depend on n. chosen: why this one."""

    path: str
    function: str
    line: int
    chosen: str
    inputs: str
    sized: bool
    call: Callable[..., Any]
    arguments: Callable[[int], tuple[Any, ...]]


def find(root: Path, paths: list[str], asked: str, generator: str, seed: int) -> Entry:
    """The entry that is asked for ("path.py:function"), else the one that the files suggest.

    A generator ("path.py:function") takes n and gives the arguments, in a tuple when there are several.
    Raises NoEntryError; errors of the imported code pass.
    """
    _open_path(root)
    made = _named(root, generator, "generator") if generator else None
    if asked:
        path, name, call = _named(root, asked, "entry")
        own = made or _own_generator(root, path, name)
        return _entry(path, name, call, "it was asked for", generator=own, seed=seed)
    reasons = []
    for path, name, line, why in _candidates(root, paths):
        function = getattr(_load(root, path), name, None)
        if not callable(function):
            continue
        own = made or _own_generator(root, path, name)
        try:
            return _entry(path, name, function, why, generator=own, seed=seed)
        except NoEntryError as error:
            reasons.append(f"{path}:{line} {error}")
    raise NoEntryError("; ".join(reasons[:5]) or "there is no function at the top of a module")


def _entry(
    path: str,
    name: str,
    function: Callable[..., Any],
    chosen: str,
    *,
    generator: tuple[str, str, Callable[..., Any]] | None,
    seed: int,
) -> Entry:
    target = inspect.unwrap(function)
    line = getattr(getattr(target, "__code__", None), "co_firstlineno", 0)
    if inspect.iscoroutinefunction(target) or inspect.isasyncgenfunction(target):
        raise NoEntryError(f"{name} is asynchronous; give a bench function that runs it")
    call = _exhausting(function) if inspect.isgeneratorfunction(target) else function
    required = _required(function)
    if not required:
        return Entry(path, name, line, chosen, "none", False, call, lambda _: ())
    if generator is not None:
        source = generator[2]

        def given(n: int) -> tuple[Any, ...]:
            random.seed(seed + n)
            value = source(n)
            return value if isinstance(value, tuple) else (value,)

        return Entry(path, name, line, chosen, f"what {generator[0]}:{generator[1]} makes", True, call, given)
    if _BENCH.fullmatch(name) and len(required) == 1:
        return Entry(path, name, line, chosen, "n", True, call, lambda n: (n,))
    kinds = [_kind(parameter) for parameter in required]
    unknown = [p.name for p, kind in zip(required, kinds, strict=True) if not kind]
    if unknown:
        raise NoEntryError(
            f"{name} takes {', '.join(unknown)}, of which no input can be made; annotate it, or give a "
            f"function "
            "generate(n)"
        )

    def random_ones(n: int) -> tuple[Any, ...]:
        source = random.Random(seed + n)  # noqa: S311
        return tuple(_value(kind, n, source) for kind in kinds)

    words = ", ".join(f"{p.name}: {_WORDS[kind]}" for p, kind in zip(required, kinds, strict=True))
    return Entry(path, name, line, chosen, words, True, call, random_ones)


def _exhausting(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *arguments: list(function(*arguments))


def _required(function: Callable[..., Any]) -> list[inspect.Parameter]:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError) as error:
        raise NoEntryError(f"its parameters cannot be read: {error}") from error
    found = [
        p for p in parameters if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    ]
    named = [p.name for p in found if p.kind is p.KEYWORD_ONLY]
    if named:
        raise NoEntryError(f"it takes {', '.join(named)} by name only; give a bench function")
    return found


def _kind(parameter: inspect.Parameter) -> str:
    annotation = parameter.annotation
    if annotation is not parameter.empty:
        text = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
        text = re.sub(r"\s|\b(?:typing|collections\.abc|builtins)\.", "", text)
        text = _SEQUENCES.sub("list", text)
        for name, plain in _GENERIC.items():
            text = re.sub(rf"\b{name}\b", plain, text)
        # A type variable stands for numbers.
        text = re.sub(r"\[(?:Any|T|object)\]", "[int]", text)
        return _BY_TYPE.get(text, "")
    return next((kind for kind, names in _BY_NAME.items() if parameter.name.lower() in names), "")


_WORDS = {
    "int": "n",
    "float": "n as a float",
    "text": "n random small letters",
    "bytes": "n random bytes",
    "ints": "a list of n random integers",
    "tuple": "a tuple of n random integers",
    "floats": "a list of n random floats",
    "words": "a list of n random words",
    "set": "a set of n integers",
    "table": "a table of n words with integers",
    "matrix": "n rows of n random integers",
}


def _value(kind: str, n: int, source: random.Random) -> Any:
    def ints() -> list[int]:
        return [source.randrange(10 * n + 1) for _ in range(n)]

    def word() -> str:
        return "".join(source.choices(string.ascii_lowercase, k=8))

    makers: dict[str, Callable[[], Any]] = {
        "int": lambda: n,
        "float": lambda: float(n),
        "text": lambda: "".join(source.choices(string.ascii_lowercase, k=n)),
        "bytes": lambda: source.randbytes(n),
        "ints": ints,
        "tuple": lambda: tuple(ints()),
        "floats": lambda: [source.random() for _ in range(n)],
        "words": lambda: [word() for _ in range(n)],
        "set": lambda: set(source.sample(range(10 * n + 10), n)),
        "table": lambda: {f"{word()}{i}": source.randrange(n + 1) for i in range(n)},
        "matrix": lambda: [[source.randrange(100) for _ in range(n)] for _ in range(n)],
    }
    return makers[kind]()


def _candidates(root: Path, paths: list[str]) -> Iterator[tuple[str, str, int, str]]:
    """Functions at the top of modules, best first: benches, then those that nobody calls and reach the most,
    then what runs without arguments."""
    found: list[tuple[tuple[int, int, int], str, str, int, str]] = []
    functions: dict[tuple[str, str], ast.FunctionDef] = {}
    for path in paths:
        tree = ast.parse((root / path).read_bytes(), path)
        functions |= {(path, n.name): n for n in tree.body if isinstance(n, ast.FunctionDef)}
    calls = {
        key: {
            c.func.id if isinstance(c.func, ast.Name) else c.func.attr
            for c in ast.walk(node)
            if isinstance(c, ast.Call) and isinstance(c.func, ast.Name | ast.Attribute)
        }
        for key, node in functions.items()
    }
    names = {name for _, name in functions}
    called = {name for (_, caller), made in calls.items() for name in made if name != caller}
    for (path, name), node in functions.items():
        if name.startswith(("_", "test")) or name in _GENERATORS:
            continue
        takes = len(node.args.posonlyargs) + len(node.args.args) - len(node.args.defaults)
        reach = len(calls[path, name] & names)
        if _BENCH.fullmatch(name) and takes == 1:
            order, why = 0, "its name says that it is a benchmark"
        elif takes:
            order = 2 if name in called else 1
            why = "no other function calls it" if order == 1 else "nothing else can be measured"
        elif name in _WHOLE:
            order, why = 3, "it runs without arguments"
        else:
            continue
        length = (node.end_lineno or node.lineno) - node.lineno
        found.append(((order, -reach, -length), path, name, node.lineno, why))
    several = sum(1 for item in found if item[0][0] == 1) > 1
    for rank, path, name, line, why in sorted(found, key=lambda item: item[0]):
        more = " and it does the most" if several and rank[0] == 1 else ""
        yield path, name, line, why + more


def _own_generator(root: Path, path: str, name: str) -> tuple[str, str, Callable[..., Any]] | None:
    module = _load(root, path)
    for wanted in (f"generate_{name}", f"inputs_{name}", f"make_{name}_input", *_GENERATORS):
        function = getattr(module, wanted, None)
        if inspect.isfunction(function) and len(_required(function)) == 1 and wanted != name:
            return path, wanted, function
    return None


def _named(root: Path, where: str, what: str) -> tuple[str, str, Callable[..., Any]]:
    path, _, name = where.rpartition(":")
    if not path or not (root / path).is_file():
        raise NoEntryError(f"the {what} {where!r} is not of the form path.py:function with one of the paths")
    value: Any = _load(root, path)
    for part in name.split("."):
        value = getattr(value, part, None)
    if not callable(value):
        raise NoEntryError(f"{path} has no function {name!r}")
    return path, name, value


def _open_path(root: Path) -> None:
    for folder in (root, root / "src"):
        if folder.is_dir() and str(folder) not in sys.path:
            sys.path.insert(0, str(folder))


def _load(root: Path, path: str) -> ModuleType:
    parts = list(Path(path).with_suffix("").parts)
    if parts[0] == "src" and not (root / "src/__init__.py").exists():
        parts = parts[1:]
    if parts[-1] == "__init__":
        parts = parts[:-1]
    return importlib.import_module(".".join(parts))
