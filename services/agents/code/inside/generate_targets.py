"""The project under test: its modules imported, and what of it can be called."""

from __future__ import annotations

import ast
import asyncio
import collections
import contextlib
import datetime
import decimal
import enum
import fractions
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import inspect
import io
import itertools
import math
import pathlib
import random
import sys
import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .generate_kinds import ANY, Kind, Parameter, World, parameters
from .generate_rendering import TAKEN
from .generate_sessions import Stage
from .generate_values import world_of

STANDARD: dict[str, types.ModuleType] = {
    module.__name__: module
    for module in (asyncio, collections, datetime, decimal, fractions, io, itertools, math, pathlib, random)
}


@dataclass(frozen=True)
class Layout:
    """Where the project stands. modules: name of each module with its path. roots: folders to import from."""

    modules: Mapping[str, str]
    roots: tuple[str, ...]

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Layout:
        """From a plain object."""
        return cls(data["modules"], tuple(data["roots"]))


@dataclass
class Target:
    """Something that can be called.

    key: "f" or "Class.method". template: its call. owner: the class whose object it needs; empty for none.
    """

    key: str
    template: str
    parameters: list[Parameter]
    owner: str = ""
    statement: bool = False
    syntax: ast.AST | None = None
    path: str = ""
    private: bool = False


@dataclass
class Subject:
    """A class, with its constructor and what its objects can do."""

    name: str
    path: str
    syntax: ast.AST | None
    made: list[Target]
    methods: list[Target]


@dataclass
class Project:
    """The imported project. origins: module and name there of each name that a test may import."""

    modules: dict[str, types.ModuleType]
    trees: dict[str, ast.Module]
    paths: dict[str, str]
    world: World
    origins: dict[str, tuple[str, str]]
    names: dict[str, object]
    failures: dict[str, str]
    functions: list[Target] = field(default_factory=list)
    subjects: list[Subject] = field(default_factory=list)

    def stage(self) -> Stage:
        """Where sessions of this project run."""
        files = {str(Path(m.__file__ or "").absolute()): self.paths[n] for n, m in self.modules.items()}
        return Stage(self.names, self.world.classes, files)


class _Replaced(importlib.machinery.SourceFileLoader):
    """Loads a module from another text than its file's."""

    def __init__(self, name: str, path: str, text: str) -> None:
        super().__init__(name, path)
        self._content = text.encode("utf-8")

    def get_data(self, path: str) -> bytes:
        return self._content if path.endswith(".py") else super().get_data(path)

    def path_stats(self, path: str) -> Mapping[str, Any]:
        raise OSError(f"{path} is never cached")


class _Finder(importlib.abc.MetaPathFinder):
    def __init__(self, layout: Layout, replaced: Mapping[str, str]) -> None:
        self._layout = layout
        self._replaced = replaced

    def find_spec(
        self, name: str, path: object, target: object = None
    ) -> importlib.machinery.ModuleSpec | None:
        del path, target
        place = self._layout.modules.get(name)
        if place is None or place not in self._replaced:
            return None
        full = str(Path(place).absolute())
        inside = [str(Path(full).parent)] if full.endswith("__init__.py") else None
        return importlib.util.spec_from_file_location(
            name,
            full,
            loader=_Replaced(name, full, self._replaced[place]),
            submodule_search_locations=inside,
        )


def prepare(layout: Layout, replaced: Mapping[str, str] | None = None) -> None:
    """Makes the project importable. replaced: texts by path that stand in for the files'."""
    sys.dont_write_bytecode = True
    for root in reversed(layout.roots):
        full = str(Path(root).absolute())
        if full not in sys.path:
            sys.path.insert(0, full)
    if replaced:
        sys.meta_path.insert(0, _Finder(layout, replaced))


def load(layout: Layout, only: Sequence[str] = ()) -> Project:
    """Imports the project's modules; those that cannot be imported are told in `failures`."""
    modules, trees, paths, failures = {}, {}, {}, {}
    for name, path in layout.modules.items():
        if only and path not in only:
            continue
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                module = importlib.import_module(name)
            if not _is_at(module, path):
                failures[path] = f"{name} is the name of another module here"
                continue
            trees[name] = ast.parse(Path(path).read_text("utf-8"))
        except BaseException as error:
            failures[path] = f"{type(error).__name__}: {error}"[:300]
            continue
        modules[name], paths[name] = module, path
    world = world_of(modules, trees)
    project = Project(modules, trees, paths, world, {}, dict(STANDARD), failures)
    for name, module in modules.items():
        _add_module(project, name, module)
    return project


def _is_at(module: types.ModuleType, path: str) -> bool:
    return Path(module.__file__ or "/").absolute() == Path(path).absolute()


def _add_module(project: Project, name: str, module: types.ModuleType) -> None:
    tree, path = project.trees[name], project.paths[name]
    syntax = {
        n.name: n for n in tree.body if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    }
    order = {word: position for position, word in enumerate(syntax)}
    members = sorted(vars(module).items(), key=lambda pair: order.get(pair[0], len(order)))
    for word, value in members:
        if getattr(value, "__module__", None) != name or word.startswith("__"):
            continue
        if not (isinstance(value, type) or callable(value)):
            continue
        alias = f"the_{word}" if word.lower().startswith("test") else word
        if word in project.origins or word in STANDARD:
            alias = f"{name.rpartition('.')[2]}_{word}"
        if alias in project.origins:
            continue
        project.origins[alias] = (name, word)
        project.names[alias] = value
        node = syntax.get(word)
        if isinstance(value, type):
            _add_class(project, alias, value, node, path)
        elif getattr(value, "__name__", "") != "<lambda>" or word in order:
            with contextlib.suppress(TypeError, ValueError):
                project.functions.append(_function(project.world, alias, value, node, path))
    for word, value in members:
        home = getattr(value, "__module__", None) or ""
        known = word in project.origins or word in STANDARD or not isinstance(value, type)
        foreign = home.split(".")[0] not in sys.stdlib_module_names - {"builtins", "typing"}
        if not known and not foreign and getattr(sys.modules.get(home), word, None) is value:
            project.origins[word] = (home, word)
            project.names[word] = value


def _function(world: World, alias: str, value: Any, node: ast.AST | None, path: str) -> Target:
    template = f"{alias}({{args}})"
    template = _to_its_end(value, template)
    found = parameters(value, node, world, bound=False)
    decorators = getattr(node, "decorator_list", [])
    entered = any(ast.unparse(d).split(".")[-1] == "contextmanager" for d in decorators)
    if entered:
        template = f"with {template}:\n    pass"
    return Target(alias, template, found, "", entered, node, path, alias.startswith("_"))


def _to_its_end(value: Any, template: str) -> str:
    """The call such that its body runs."""
    if inspect.iscoroutinefunction(value):
        return f"asyncio.run({template})"
    if inspect.isgeneratorfunction(value):
        return f"list(itertools.islice({template}, {TAKEN}))"
    return template


_DUNDERS: dict[str, tuple[str, bool]] = {
    "__len__": ("len({self})", False),
    "__str__": ("str({self})", False),
    "__repr__": ("repr({self})", False),
    "__bool__": ("bool({self})", False),
    "__int__": ("int({self})", False),
    "__float__": ("float({self})", False),
    "__iter__": ("iter({self})", False),
    "__reversed__": ("reversed({self})", False),
    "__contains__": ("{0} in {self}", False),
    "__getitem__": ("{self}[{0}]", False),
    "__setitem__": ("{self}[{0}] = {1}", True),
    "__delitem__": ("del {self}[{0}]", True),
    "__eq__": ("{self} == {0}", False),
    "__ne__": ("{self} != {0}", False),
    "__lt__": ("{self} < {0}", False),
    "__le__": ("{self} <= {0}", False),
    "__gt__": ("{self} > {0}", False),
    "__ge__": ("{self} >= {0}", False),
    "__add__": ("{self} + {0}", False),
    "__radd__": ("{0} + {self}", False),
    "__sub__": ("{self} - {0}", False),
    "__mul__": ("{self} * {0}", False),
    "__rmul__": ("{0} * {self}", False),
    "__truediv__": ("{self} / {0}", False),
    "__floordiv__": ("{self} // {0}", False),
    "__mod__": ("{self} % {0}", False),
    "__pow__": ("{self} ** {0}", False),
    "__and__": ("{self} & {0}", False),
    "__or__": ("{self} | {0}", False),
    "__xor__": ("{self} ^ {0}", False),
    "__matmul__": ("{self} @ {0}", False),
    "__iadd__": ("{self} += {0}", True),
    "__neg__": ("-{self}", False),
    "__abs__": ("abs({self})", False),
    "__invert__": ("~{self}", False),
    "__call__": ("{self}({args})", False),
    "__hash__": ("hash({self}) == hash({self})", False),
    "__enter__": ("with {self}:\n    pass", True),
}
_WITH_OWN_KIND = {
    "__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__", "__add__", "__sub__", "__mul__", "__and__",
    "__or__", "__xor__", "__truediv__", "__matmul__", "__iadd__",
}  # fmt: skip


def _add_class(project: Project, alias: str, cls: type, node: ast.AST | None, path: str) -> None:
    if issubclass(cls, enum.Enum) and not _own_functions(cls):
        return
    if getattr(cls, "_is_protocol", False) or inspect.isabstract(cls):
        return
    if issubclass(cls, BaseException) and not _own_functions(cls):
        return
    made: list[Target] = []
    methods: list[Target] = []
    standalone: list[Target] = []
    if not issubclass(cls, enum.Enum):
        syntax = project.world.functions.get(f"{cls.__name__}.__init__")
        with contextlib.suppress(TypeError, ValueError):
            found = parameters(cls, syntax, project.world, bound=False)
            made.append(Target(alias, f"{alias}({{args}})", found, syntax=syntax, path=path))
    else:
        made = [Target(f"{alias}.{m}", f"{alias}.{m}", [], path=path) for m in cls.__members__]
    for word, (owner, member) in _members(cls, project).items():
        syntax = project.world.functions.get(f"{owner}.{word}")
        with contextlib.suppress(TypeError, ValueError):
            target = _method(project, alias, cls, word, member, syntax=syntax, path=path)
            if isinstance(member, staticmethod | classmethod):
                standalone += target
                if isinstance(member, classmethod) and _makes(cls, member):
                    made += target
            else:
                methods += target
    project.functions += standalone
    if made:
        project.subjects.append(Subject(alias, path, node, made, methods))


def _own_functions(cls: type) -> list[str]:
    return [
        n
        for n, m in vars(cls).items()
        if isinstance(m, types.FunctionType | property | classmethod | staticmethod)
        and not (n.startswith("_") and n != "__init__" and n not in _DUNDERS)
        and n not in {"__new__", "__format__"}
        and _plain_function(m).__module__ == cls.__module__
    ]


def _plain_function(member: Any) -> Any:
    return inspect.unwrap(getattr(member, "__func__", getattr(member, "fget", member)))


def _members(cls: type, project: Project) -> dict[str, tuple[str, Any]]:
    """Members of the class and of its bases in the project, with the class that has each."""
    found: dict[str, tuple[str, Any]] = {}
    for base in reversed(cls.__mro__):
        if project.world.classes.get(base.__name__) is base:
            for word, member in vars(base).items():
                found.pop(word, None)
                found[word] = (base.__name__, member)
    return found


def _makes(cls: type, member: classmethod[Any, Any, Any]) -> bool:
    """Whether a class method looks like a constructor."""
    returned = member.__func__.__annotations__.get("return")
    if returned is None:
        return member.__func__.__name__.startswith(("from_", "of", "create", "parse"))
    return returned is cls or str(returned).strip("'\"").split(".")[-1] in {cls.__name__, "Self"}


def _method(
    project: Project, alias: str, cls: type, word: str, member: Any, *, syntax: ast.AST | None, path: str
) -> list[Target]:
    key = f"{alias}.{word}"
    world = project.world
    if isinstance(member, property):
        found = [Target(key, f"{{self}}.{word}", [], alias, syntax=syntax, path=path)]
        if member.fset is not None:
            given = parameters(member.fset, syntax, world, bound=True)
            found.append(Target(f"{key}=", f"{{self}}.{word} = {{0}}", given, alias, True, syntax, path))
        return found
    if isinstance(member, staticmethod | classmethod):
        bound = isinstance(member, classmethod)
        given = parameters(member.__func__, syntax, world, bound=bound)
        return [
            Target(key, f"{alias}.{word}({{args}})", given, "", False, syntax, path, word.startswith("_"))
        ]
    if not callable(member) or isinstance(member, type):
        cached = getattr(member, "func", None)
        if type(member).__name__ == "cached_property" and cached is not None:
            return [Target(key, f"{{self}}.{word}", [], alias, syntax=syntax, path=path)]
        return []
    if word.startswith("__"):
        if word not in _DUNDERS or syntax is None:
            return []
        template, statement = _DUNDERS[word]
        given = parameters(member, syntax, world, bound=True)
        if word in {"__enter__", "__hash__"}:
            given = []
        if word in _WITH_OWN_KIND and given:
            given[0].given = [(Kind("object", words=(cls.__name__,)), 6.0), *given[0].given[:3], (ANY, 0.5)]
        return [Target(key, template, given, alias, statement, syntax, path)]
    given = parameters(member, syntax, world, bound=True)
    for parameter in given:
        if parameter.name == "other" and not parameter.typed:
            parameter.given = [(Kind("object", words=(cls.__name__,)), 6.0), *parameter.given[:3]]
    template = f"{{self}}.{word}({{args}})"
    template = _to_its_end(member, template)
    return [Target(key, template, given, alias, False, syntax, path, word.startswith("_"))]


def examples(tree: ast.Module) -> Iterator[tuple[str, ast.Call]]:
    """Calls that the docstrings show, with the name of what they call."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Module):
            continue
        text = ast.get_docstring(node)
        if text:
            yield from _calls_in(text)


def _calls_in(text: str) -> Iterator[tuple[str, ast.Call]]:
    for line in text.splitlines():
        shown = line.strip().removeprefix(">>>").strip().strip("`")
        for end in _ends(shown):
            try:
                tree = ast.parse(shown[:end].strip(), mode="eval")
            except (SyntaxError, ValueError):
                continue
            for node in ast.walk(tree):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                    yield node.func.id, node
            break


def _ends(text: str) -> list[int]:
    """Where an expression may end: the whole line, before an arrow, after a closing bracket."""
    ends = [len(text)]
    for mark in ("->", "=>", "→", " = "):
        if mark in text:
            ends.append(text.index(mark))
    ends += [position + 1 for position, char in enumerate(text) if char == ")"][::-1][:6]
    return ends
