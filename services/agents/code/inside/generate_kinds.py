"""Kinds of arguments: what a parameter may be given, told by annotations, defaults, names and use."""

from __future__ import annotations

import ast
import collections.abc
import datetime
import decimal
import enum
import fractions
import inspect
import io
import pathlib
import random
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

_MAX_DEPTH = 4


@dataclass(frozen=True)
class Kind:
    """A kind of value. inner: kinds of its parts. words: literal expressions, keys or the name of a class."""

    name: str
    inner: tuple[Kind, ...] = ()
    words: tuple[str, ...] = ()


INT, FLOAT, STR, BOOL, NONE = Kind("int"), Kind("float"), Kind("str"), Kind("bool"), Kind("none")
ANY = Kind("any")
INTS, STRS = Kind("list", (INT,)), Kind("list", (STR,))
MATRIX = Kind("list", (INTS,))
GRAPH = Kind("dict", (STR, STRS))
WEIGHTED_GRAPH = Kind("dict", (STR, Kind("dict", (STR, INT))))

Weighted = list[tuple[Kind, float]]


@dataclass
class Parameter:
    """A parameter of a function. given: kinds that fit, with their weights. typed: an annotation says it."""

    name: str
    given: Weighted
    typed: bool
    optional: bool
    keyword_only: bool = False
    variadic: str = ""


@dataclass(frozen=True)
class World:
    """What is known of the project: its classes by name, and the functions' syntax by name."""

    classes: Mapping[str, type] = field(default_factory=dict)
    functions: Mapping[str, ast.FunctionDef | ast.AsyncFunctionDef] = field(default_factory=dict)


# --- from annotations


_PLAIN: dict[object, Kind] = {
    int: INT,
    float: FLOAT,
    complex: Kind("complex"),
    str: STR,
    bool: BOOL,
    bytes: Kind("bytes"),
    bytearray: Kind("bytes"),
    type(None): NONE,
    None: NONE,
    Any: ANY,
    object: ANY,
    list: Kind("list", (ANY,)),
    dict: Kind("dict", (STR, ANY)),
    set: Kind("set", (INT,)),
    frozenset: Kind("frozenset", (INT,)),
    tuple: Kind("vartuple", (INT,)),
    datetime.date: Kind("date"),
    datetime.datetime: Kind("datetime"),
    datetime.timedelta: Kind("timedelta"),
    datetime.time: Kind("time"),
    decimal.Decimal: Kind("decimal"),
    fractions.Fraction: Kind("fraction"),
    pathlib.Path: Kind("path"),
    random.Random: Kind("random"),
    io.StringIO: Kind("file"),
    collections.deque: Kind("deque", (INT,)),
    collections.Counter: Kind("dict", (STR, INT)),
}
_ORIGINS: dict[object, str] = {
    list: "list",
    collections.abc.Sequence: "list",
    collections.abc.MutableSequence: "list",
    collections.abc.Iterable: "list",
    collections.abc.Collection: "list",
    collections.abc.Container: "list",
    collections.abc.Iterator: "iterator",
    collections.abc.Generator: "iterator",
    set: "set",
    collections.abc.Set: "set",
    collections.abc.MutableSet: "set",
    frozenset: "frozenset",
    collections.deque: "deque",
    dict: "dict",
    collections.abc.Mapping: "dict",
    collections.abc.MutableMapping: "dict",
    collections.defaultdict: "dict",
    collections.OrderedDict: "dict",
}


def of_annotation(hint: Any, world: World, depth: int = 0) -> Kind:  # noqa: PLR0912 - one for each form
    """The kind that a type hint describes; "any" where it says nothing that is understood."""
    if depth > _MAX_DEPTH:
        return ANY
    try:
        plain = _PLAIN.get(hint)
    except TypeError:
        plain = None
    if plain is not None:
        return plain
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is None:
        return _of_bare(hint, world)
    if origin is typing.Union or origin is types.UnionType:
        return Kind("union", tuple(of_annotation(a, world, depth + 1) for a in arguments))
    if origin is typing.Literal:
        return Kind("literal", words=tuple(_literal(a) for a in arguments))
    if origin is typing.Annotated or origin in {typing.ClassVar, typing.Final}:
        return of_annotation(arguments[0], world, depth + 1)
    if origin is collections.Counter:
        return Kind("dict", (of_annotation(arguments[0], world, depth + 1), INT))
    if origin is tuple:
        if len(arguments) == 2 and arguments[1] is Ellipsis:
            return Kind("vartuple", (of_annotation(arguments[0], world, depth + 1),))
        return Kind("tuple", tuple(of_annotation(a, world, depth + 1) for a in arguments))
    if origin is collections.abc.Callable:
        return _of_callable(arguments, world, depth)
    if origin is type:
        return ANY
    name = _ORIGINS.get(origin)
    if name is None:
        return _of_bare(origin, world)
    inner = tuple(of_annotation(a, world, depth + 1) for a in arguments)
    return Kind(name, inner[: 2 if name == "dict" else 1])


def _of_callable(arguments: Sequence[Any], world: World, depth: int) -> Kind:
    taken = arguments[0] if arguments else Ellipsis
    made = of_annotation(arguments[1], world, depth + 1) if len(arguments) > 1 else ANY
    takes = tuple(of_annotation(a, world, depth + 1) for a in taken) if isinstance(taken, list) else (ANY,)
    return Kind("callable", (made, *takes), (str(len(takes)),))


def _of_bare(hint: Any, world: World) -> Kind:
    if isinstance(hint, typing.TypeVar):
        if hint.__constraints__:
            return Kind("union", tuple(of_annotation(c, world, 2) for c in hint.__constraints__))
        return of_annotation(hint.__bound__, world, 2) if hint.__bound__ else Kind("union", (INT, STR))
    if isinstance(hint, typing.NewType):
        return of_annotation(hint.__supertype__, world, 2)
    if hint is collections.abc.Callable or hint is typing.Callable:
        return Kind("callable", (ANY, ANY), ("1",))
    if hint in _ORIGINS:
        return Kind(_ORIGINS[hint], (STR, ANY) if _ORIGINS[hint] == "dict" else (INT,))
    if isinstance(hint, type):
        if world.classes.get(hint.__name__) is hint:
            return Kind("object", words=(hint.__name__,))
        if typing.is_typeddict(hint):
            return _of_typed_dict(hint, world)
        if issubclass(hint, enum.Enum):
            return Kind("object", words=(hint.__name__,))
        for base in (str, int, float, dict, list):
            if issubclass(hint, base):
                return _PLAIN[base]
        if issubclass(hint, io.IOBase):
            return Kind("file")
    return ANY


def _of_typed_dict(hint: Any, world: World) -> Kind:
    hints = typing.get_type_hints(hint)
    return Kind("record", tuple(of_annotation(h, world, 2) for h in hints.values()), tuple(hints))


def _literal(value: object) -> str:
    if isinstance(value, enum.Enum):
        return f"{type(value).__name__}.{value.name}"
    return repr(value)


def of_value(value: object) -> Kind:
    """The kind of a value, told by the value itself."""
    kind = _PLAIN.get(type(value))
    if isinstance(value, enum.Enum):
        return Kind("object", words=(type(value).__name__,))
    if isinstance(value, list | tuple | set | frozenset):
        inner = of_value(next(iter(value))) if value else INT
        name = "vartuple" if isinstance(value, tuple) else type(value).__name__
        return Kind(name, (inner,))
    if isinstance(value, dict):
        if value:
            key, item = next(iter(value.items()))
            return Kind("dict", (of_value(key), of_value(item)))
        return Kind("dict", (STR, INT))
    if callable(value):
        return Kind("callable", (ANY, ANY), ("1",))
    return kind or ANY


# --- from use


_STR_METHODS = set(dir(str)) - set(dir(list)) - set(dir(bytes)) | {
    "split", "strip", "lower", "upper", "startswith", "endswith", "replace", "isdigit", "isalpha", "isalnum",
    "isspace", "join", "splitlines", "title", "lstrip", "rstrip", "partition", "rpartition", "find", "rfind",
    "islower", "isupper", "zfill", "ljust", "rjust", "center", "swapcase", "capitalize", "rsplit",
    "removeprefix", "removesuffix",
}  # fmt: skip
_LIST_METHODS = {"append", "sort", "extend", "insert", "reverse"}
_DICT_METHODS = {"items", "keys", "values", "get", "setdefault", "popitem"}
_SET_METHODS = {"add", "union", "intersection", "difference", "issubset", "discard", "symmetric_difference"}
_DATE_METHODS = {"year", "month", "day", "weekday", "isoformat", "strftime", "isoweekday", "toordinal"}
_TIME_METHODS = {"hour", "minute", "second", "timestamp", "date", "microsecond"}
_FILE_METHODS = {"read", "readline", "readlines", "write"}
_RANDOM_METHODS = {"randint", "choice", "shuffle", "random", "randrange", "uniform", "sample"}
_DELTA_METHODS = {"total_seconds", "days"}

_NAMES: dict[str, tuple[Kind, ...]] = {
    "n m k i j count num number limit size width height length index start stop end step depth level base "
    "total "
    "capacity amount year month day hours minutes seconds low high lo hi left right age times digits score "
    "position offset maximum minimum threshold exponent modulus quantity page": (INT,),
    "x y z a b c value price rate weight ratio factor percent discount balance principal temperature "
    "tolerance epsilon": (INT, FLOAT),
    "s t text string word name line sentence title prefix suffix pattern char sep separator delimiter source "
    "message content token key path url email phone expr expression code template phrase slug password "
    "username label unit version query": (STR,),
    "xs ys arr array lst list nums numbers values data items seq sequence elements scores weights "
    "sorted_list "
    "heights prices coins iterable stack queue ints": (INTS,),
    "words strings names lines tokens texts parts keys tags labels strs": (STRS,),
    "d mapping dictionary counts table config settings options lookup record row obj inventory params env": (
        Kind("dict", (STR, INT)),
    ),
    "matrix grid board rows mat table2d image": (MATRIX,),
    "graph adj adjacency edges_by_node tree_map deps dependencies neighbors": (GRAPH, WEIGHTED_GRAPH),
    "edges pairs intervals ranges points segments": (Kind("list", (Kind("tuple", (INT, INT)),)),),
    "f g func fn function callback predicate pred key_func mapper reducer transform op operation action": (
        Kind("callable", (ANY, ANY), ("1",)),
    ),
    "flag reverse strict verbose ascending descending inclusive case_sensitive ignore_case": (BOOL,),
    "date dt birthday when today": (Kind("date"), Kind("datetime")),
    "rng rand": (Kind("random"),),
    "nested tree structure": (Kind("list", (Kind("union", (INT, INTS)),)),),
}  # fmt: skip
_BY_NAME = {word: kinds for names, kinds in _NAMES.items() for word in names.split()}

_FALLBACK: tuple[tuple[Kind, float], ...] = (
    (INT, 1.0), (STR, 1.0), (INTS, 1.0), (STRS, 0.6), (FLOAT, 0.5), (Kind("dict", (STR, INT)), 0.6),
    (MATRIX, 0.4), (BOOL, 0.3), (NONE, 0.2), (GRAPH, 0.3), (Kind("set", (INT,)), 0.3),
    (Kind("vartuple", (INT,)), 0.3), (Kind("callable", (ANY, ANY), ("1",)), 0.3),
    (Kind("list", (Kind("tuple", (INT, INT)),)), 0.3), (Kind("list", (Kind("union", (INT, INTS)),)), 0.2),
    (Kind("list", (Kind("dict", (STR, INT)),)), 0.2),
)  # fmt: skip


class _Use:
    """What a function does with one of its names."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.weights: dict[Kind, float] = {}
        self.element: str = ""
        self.sequence = 0.0
        self.keys: list[str] = []
        self.fields: set[str] = set()

    def add(self, kind: Kind, weight: float = 1.0) -> None:
        self.weights[kind] = self.weights.get(kind, 0.0) + weight


_MAKES_ALIAS = {
    "list",
    "sorted",
    "tuple",
    "copy",
    "deepcopy",
    "strip",
    "lower",
    "upper",
    "reversed",
    "str",
    "set",
}


def _aliases(function: ast.AST, name: str) -> set[str]:
    names = {name}
    for node in ast.walk(function):
        if not isinstance(node, ast.Assign) or len(node.targets) != 1:
            continue
        target, value = node.targets[0], node.value
        while True:
            if isinstance(value, ast.Subscript) and isinstance(value.slice, ast.Slice):
                value = value.value
            elif isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute):
                if value.func.attr not in _MAKES_ALIAS:
                    break
                value = value.func.value
            elif isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and len(value.args) == 1:
                if value.func.id not in _MAKES_ALIAS:
                    break
                value = value.args[0]
            else:
                break
        if isinstance(target, ast.Name) and isinstance(value, ast.Name) and value.id in names:
            names.add(target.id)
    return names


def _iterated(function: ast.AST, names: set[str]) -> list[ast.expr]:
    """Targets of loops over one of the names, directly or through enumerate and its like."""
    targets = []
    for node in ast.walk(function):
        if isinstance(node, ast.For | ast.comprehension):
            over, target = node.iter, node.target
            if isinstance(over, ast.Call) and isinstance(over.func, ast.Name) and over.args:
                called = over.func.id
                if called == "enumerate" and isinstance(target, ast.Tuple) and len(target.elts) == 2:
                    over, target = over.args[0], target.elts[1]
                elif called == "zip" and isinstance(target, ast.Tuple):
                    for argument, part in zip(over.args, target.elts, strict=False):
                        if _is_name(argument, names):
                            targets.append(part)
                    continue
                elif called in {"sorted", "reversed", "list", "set", "iter", "tuple"}:
                    over = over.args[0]
            if isinstance(over, ast.Subscript) and isinstance(over.slice, ast.Slice):
                over = over.value
            if _is_name(over, names):
                targets.append(target)
    return targets


def _is_name(node: ast.AST | None, names: set[str]) -> bool:
    return isinstance(node, ast.Name) and node.id in names


def of_use(function: ast.AST, name: str, world: World, depth: int = 0) -> Weighted:
    """Kinds that fit how a function uses a name, each with a weight; empty when nothing tells."""
    if depth > _MAX_DEPTH:
        return []
    names = _aliases(function, name)
    use = _Use(world)
    for node in ast.walk(function):
        _look(node, names, use, depth)
    targets = _iterated(function, names)
    pairs = _pairs_of_items(function, names)
    if pairs:
        use.add(
            Kind("dict", tuple(_best(of_use(function, part, world, depth + 1), STR) for part in pairs)), 4
        )
    for target in targets:
        use.sequence += 1
        use.add(Kind("list", (_of_target(function, target, world, depth),)), 2)
    indexed = _indexed_twice(function, names)
    if indexed:
        use.add(Kind("list", (Kind("list", (_first_scalar(use) or INT,)),)), 4)
    elif use.sequence and not targets and not pairs:
        use.add(INTS, 1)
        use.add(STR, 0.6)
    if use.keys:
        use.add(Kind("record", tuple(ANY for _ in use.keys), tuple(use.keys)), 3)
    if use.fields:
        for class_name, cls in world.classes.items():
            known = set(dir(cls)) | set(getattr(cls, "__annotations__", {})) | _assigned(cls)
            if use.fields <= known:
                use.add(Kind("object", words=(class_name,)), 3)
    return sorted(use.weights.items(), key=lambda pair: -pair[1])[:6]


def _assigned(cls: type) -> set[str]:
    init = cls.__dict__.get("__init__")
    return set(init.__code__.co_names) if isinstance(init, types.FunctionType) else set()


def _first_scalar(use: _Use) -> Kind | None:
    return next((kind for kind in use.weights if kind in {INT, STR, FLOAT}), None)


def _best(weighted: Weighted, otherwise: Kind) -> Kind:
    return weighted[0][0] if weighted else otherwise


def _of_target(function: ast.AST, target: ast.expr, world: World, depth: int) -> Kind:
    if isinstance(target, ast.Tuple):
        return Kind("tuple", tuple(_of_target(function, part, world, depth + 1) for part in target.elts))
    if isinstance(target, ast.Name):
        return _best(of_use(function, target.id, world, depth + 1), _named(target.id) or INT)
    return INT


def _named(name: str) -> Kind | None:
    kinds = _BY_NAME.get(name.strip("_").lower())
    if name in {"c", "ch"}:
        return STR
    return kinds[0] if kinds else None


def _pairs_of_items(function: ast.AST, names: set[str]) -> list[str]:
    for node in ast.walk(function):
        if (
            isinstance(node, ast.For | ast.comprehension)
            and isinstance(node.iter, ast.Call)
            and isinstance(node.iter.func, ast.Attribute)
            and node.iter.func.attr == "items"
            and _is_name(node.iter.func.value, names)
            and isinstance(node.target, ast.Tuple)
            and all(isinstance(part, ast.Name) for part in node.target.elts)
        ):
            return [part.id for part in node.target.elts if isinstance(part, ast.Name)]
    return []


def _indexed_twice(function: ast.AST, names: set[str]) -> bool:
    return any(
        isinstance(node, ast.Subscript)
        and isinstance(node.value, ast.Subscript)
        and _is_name(node.value.value, names)
        and not isinstance(node.slice, ast.Slice)
        for node in ast.walk(function)
    )


_CALLS: dict[str, tuple[tuple[Kind, float], ...]] = {
    "range": ((INT, 3),), "abs": ((INT, 2), (FLOAT, 1)), "sum": ((INTS, 2),), "sqrt": ((INT, 1), (FLOAT, 1)),
    "min": ((INTS, 0.5), (INT, 0.5)), "max": ((INTS, 0.5), (INT, 0.5)), "chr": ((INT, 3),),
    "ord": ((STR, 3),),
    "int": ((STR, 1), (INT, 0.5)), "float": ((STR, 1), (FLOAT, 0.5)), "round": ((FLOAT, 2),),
    "match": ((STR, 2),), "fullmatch": ((STR, 2),), "search": ((STR, 1),), "findall": ((STR, 2),),
    "finditer": ((STR, 2),), "sub": ((STR, 1),), "strptime": ((STR, 3),), "fromisoformat": ((STR, 3),),
    "loads": ((STR, 3),), "Decimal": ((STR, 1), (INT, 1)), "isqrt": ((INT, 2),), "gcd": ((INT, 2),),
    "bin": ((INT, 2),), "hex": ((INT, 2),), "divmod": ((INT, 2),), "floor": ((FLOAT, 2),),
    "ceil": ((FLOAT, 2),), "callable": ((Kind("callable", (ANY, ANY), ("1",)), 2),),
    "Counter": ((STRS, 1), (STR, 1)),
    "StringIO": ((STR, 2),), "heapify": ((INTS, 3),), "pow": ((INT, 2),),
}  # fmt: skip


def _look(node: ast.AST, names: set[str], use: _Use, depth: int) -> None:
    if isinstance(node, ast.Attribute) and _is_name(node.value, names):
        _look_at_attribute(node.attr, use)
    elif isinstance(node, ast.Call):
        if _is_name(node.func, names):
            count = len(node.args)
            use.add(Kind("callable", (ANY, *[ANY] * count), (str(count),)), 6)
        _look_at_call(node, names, use, depth)
    elif isinstance(node, ast.BinOp):
        sides = (node.left, node.right)
        for side, other in (sides, sides[::-1]):
            if _is_name(side, names):
                _look_at_arithmetic(node.op, other, side is node.right, use)
    elif isinstance(node, ast.AugAssign) and _is_name(node.target, names):
        use.add(INT, 0.5)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and _is_name(node.operand, names):
        use.add(INT, 1)
    elif isinstance(node, ast.Subscript) and _is_name(node.value, names):
        _look_at_index(node.slice, use)
    elif isinstance(node, ast.Compare):
        _look_at_compare(node, names, use)
    elif isinstance(node, ast.FormattedValue) and _is_name(node.value, names):
        use.add(STR, 0.3)


def _look_at_attribute(name: str, use: _Use) -> None:
    for methods, kind, weight in (
        (_STR_METHODS, STR, 3.0),
        (_LIST_METHODS, INTS, 2.0),
        (_DICT_METHODS, Kind("dict", (STR, INT)), 2.0),
        (_SET_METHODS, Kind("set", (INT,)), 2.0),
        (_DATE_METHODS, Kind("date"), 2.0),
        (_TIME_METHODS, Kind("datetime"), 3.0),
        (_FILE_METHODS, Kind("file"), 2.0),
        (_RANDOM_METHODS, Kind("random"), 2.0),
        (_DELTA_METHODS, Kind("timedelta"), 1.5),
    ):
        if name in methods:
            use.add(kind, weight)
    use.fields.add(name)


def _look_at_call(node: ast.Call, names: set[str], use: _Use, depth: int) -> None:
    called = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
    for position, argument in enumerate(node.args):
        if not _is_name(argument, names):
            continue
        if called == "len":
            use.sequence += 1
        elif called == "isinstance" and len(node.args) == 2 and position == 0:
            _look_at_isinstance(node.args[1], use)
        elif called in use.world.functions and isinstance(node.func, ast.Name):
            _follow(use.world.functions[called], position, use, depth)
        elif called in {"map", "filter", "sorted", "reduce"} and position == 0 and len(node.args) > 1:
            use.add(Kind("callable", (ANY, ANY), ("1",)), 3)
        elif called in {
            "map",
            "filter",
            "sorted",
            "set",
            "list",
            "enumerate",
            "iter",
            "any",
            "all",
            "reversed",
        }:
            use.sequence += 1
        else:
            for kind, weight in _CALLS.get(called, ()):
                use.add(kind, weight)
    for keyword in node.keywords:
        if keyword.arg == "key" and _is_name(keyword.value, names):
            use.add(Kind("callable", (ANY, ANY), ("1",)), 3)


def _follow(called: ast.FunctionDef | ast.AsyncFunctionDef, position: int, use: _Use, depth: int) -> None:
    parameters = [*called.args.posonlyargs, *called.args.args]
    if position < len(parameters) and depth < 2:
        for kind, weight in of_use(called, parameters[position].arg, use.world, depth + 2):
            use.add(kind, weight * 0.7)


def _look_at_isinstance(types_given: ast.expr, use: _Use) -> None:
    parts = types_given.elts if isinstance(types_given, ast.Tuple) else [types_given]
    if isinstance(types_given, ast.BinOp):
        parts = [n for n in ast.walk(types_given) if isinstance(n, ast.Name)]
    plain = {"int": INT, "float": FLOAT, "str": STR, "bool": BOOL, "bytes": Kind("bytes"),
             "dict": _PLAIN[dict],
             "list": INTS, "tuple": Kind("vartuple", (INT,)), "set": Kind("set", (INT,)),
             "date": Kind("date"), "datetime": Kind("datetime"), "Decimal": Kind("decimal")}  # fmt: skip
    for part in parts:
        word = part.id if isinstance(part, ast.Name) else getattr(part, "attr", "")
        if word in plain:
            use.add(plain[word], 1.5)
        elif word in use.world.classes:
            use.add(Kind("object", words=(word,)), 1.5)


def _look_at_arithmetic(op: ast.operator, other: ast.expr, on_right: bool, use: _Use) -> None:
    if isinstance(op, ast.Add):
        if (isinstance(other, ast.Constant) and isinstance(other.value, str)) or isinstance(
            other, ast.JoinedStr
        ):
            use.add(STR, 3)
        elif isinstance(other, ast.List):
            use.add(INTS, 2)
        else:
            use.add(INT, 1)
            use.add(FLOAT, 0.4)
    elif (
        isinstance(op, ast.Mod)
        and isinstance(other, ast.Constant)
        and isinstance(other.value, str)
        and on_right
    ):
        use.add(ANY, 0.3)
    else:
        use.add(INT, 1.5)
        if isinstance(op, ast.Div | ast.Mult | ast.Sub) and not (
            isinstance(other, ast.Constant) and isinstance(other.value, int)
        ):
            use.add(FLOAT, 0.6)


def _look_at_index(index: ast.expr, use: _Use) -> None:
    if isinstance(index, ast.Constant) and isinstance(index.value, str):
        use.keys.append(index.value)
    elif isinstance(index, ast.Slice):
        use.add(STR, 0.7)
        use.add(INTS, 1)
    else:
        use.sequence += 1


def _look_at_compare(node: ast.Compare, names: set[str], use: _Use) -> None:
    sides = [node.left, *node.comparators]
    for position, side in enumerate(sides):
        if _is_name(side, names):
            for other in sides:
                _look_at_other_side(other, use)
            operator = node.ops[position - 1] if position else None
            if isinstance(operator, ast.In | ast.NotIn) and position:
                use.sequence += 0.5
                if isinstance(sides[position - 1], ast.Constant):
                    value = sides[position - 1]
                    if isinstance(value, ast.Constant) and isinstance(value.value, str):
                        use.keys.append(value.value)


def _look_at_other_side(other: ast.expr, use: _Use) -> None:
    values: Iterable[ast.expr] = other.elts if isinstance(other, ast.Tuple | ast.List | ast.Set) else [other]
    for part in values:
        value = part.operand if isinstance(part, ast.UnaryOp) else part
        if isinstance(value, ast.Constant):
            if value.value is None:
                use.add(NONE, 0.5)
            elif isinstance(value.value, str | int | float | bytes | bool):
                use.add(_PLAIN[type(value.value)], 1.5)
        elif isinstance(value, ast.List):
            use.add(INTS, 1)


# --- together


def parameters(
    target: Callable[..., object],
    syntax: ast.AST | None,
    world: World,
    *,
    bound: bool,
) -> list[Parameter]:
    """The parameters of a callable, with the kinds that fit. bound: the first one is given already.

    Raises ValueError or TypeError when its signature cannot be had.
    """
    signature = inspect.signature(target)
    try:
        hints = typing.get_type_hints(target, include_extras=True)
    except Exception:
        hints = {}
    found = []
    for position, parameter in enumerate(signature.parameters.values()):
        if bound and position == 0:
            continue
        variadic = {"VAR_POSITIONAL": "*", "VAR_KEYWORD": "**"}.get(parameter.kind.name, "")
        found.append(
            Parameter(
                parameter.name,
                _kinds(parameter, hints.get(parameter.name), syntax, world),
                typed=parameter.name in hints,
                optional=parameter.default is not parameter.empty or bool(variadic),
                keyword_only=parameter.kind is parameter.KEYWORD_ONLY,
                variadic=variadic,
            )
        )
    return found


def _kinds(parameter: inspect.Parameter, hint: Any, syntax: ast.AST | None, world: World) -> Weighted:
    used = of_use(syntax, parameter.name, world) if syntax is not None else []
    if hint is not None:
        kind = _refined(of_annotation(hint, world), used)
        if parameter.default is None and kind.name != "union":
            return [(kind, 4.0), (NONE, 0.5)]
        return [(kind, 4.0)]
    given: Weighted = [*used]
    named = _BY_NAME.get(parameter.name.strip("_").lower(), ())
    for kind in named:
        given.append((kind, 2.0 if not used or used[0][1] < 4 else 0.5))
    if parameter.default is not parameter.empty and parameter.default is not None:
        given.append((of_value(parameter.default), 4.0))
    if not given and parameter.name.endswith("s"):
        given = [(INTS, 1.0), (STRS, 1.0)]
    spread = 0.12 if given else 1.0
    given += [(kind, weight * spread) for kind, weight in _FALLBACK]
    if parameter.default is None:
        given.append((NONE, 0.5))
    return _merged(given)


def _refined(kind: Kind, used: Weighted) -> Kind:
    """An annotation that leaves its parts open, completed by the use of the parameter."""
    if ANY not in (kind, *kind.inner):
        return kind
    for other, _weight in used:
        if kind == ANY or (other.name == kind.name or {other.name, kind.name} == {"dict", "record"}):
            return other if kind != ANY else Kind("union", (other, ANY))
    if kind.name == "list":
        return Kind("list", (Kind("union", (INT, STR)),))
    return kind


def _merged(given: Weighted) -> Weighted:
    weights: dict[Kind, float] = {}
    for kind, weight in given:
        weights[kind] = weights.get(kind, 0.0) + weight
    return list(weights.items())
