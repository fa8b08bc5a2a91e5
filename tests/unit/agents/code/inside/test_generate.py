"""What runs inside the sandbox to make values: kinds of arguments, expressions, and what a test compares."""

from __future__ import annotations

import ast
import collections
import dataclasses
import datetime
import enum
import math
import random
from typing import Any, Literal

import pytest

from services.agents.code.inside import generate_rendering as rendering
from services.agents.code.inside.generate_kinds import (
    FLOAT,
    INT,
    INTS,
    MATRIX,
    NONE,
    STR,
    Kind,
    World,
    of_annotation,
    of_use,
)
from services.agents.code.inside.generate_sessions import Session, Stage, Step
from services.agents.code.inside.generate_values import Constants, Maker


class Colour(enum.Enum):
    RED = 1


@dataclasses.dataclass
class Point:
    x: int
    y: float = 0.5


class Opaque:
    def __init__(self) -> None:
        self.size = 3
        self._hidden = 4


WORLD = World({"Colour": Colour, "Point": Point, "Opaque": Opaque})


@pytest.mark.parametrize(
    ("hint", "kind"),
    [
        (int, INT),
        (list[str], Kind("list", (STR,))),
        (dict[str, list[int]], Kind("dict", (STR, INTS))),
        (int | None, Kind("union", (INT, NONE))),
        (int | float, Kind("union", (INT, FLOAT))),
        (Literal["a", 2], Kind("literal", words=("'a'", "2"))),
        (tuple[int, ...], Kind("vartuple", (INT,))),
        (Colour, Kind("object", words=("Colour",))),
        (collections.abc.Callable[[int], bool], Kind("callable", (Kind("bool"), INT), ("1",))),
    ],
)
def test_annotations_say_what_is_wanted(hint: Any, kind: Kind) -> None:
    assert of_annotation(hint, WORLD) == kind


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ("return a.lower()", STR),
        ("return a % 3", INT),
        ("for x in a:\n        y = x + 1", INTS),
        ("for x in a:\n        y = x.strip()", Kind("list", (STR,))),
        ("return a[0][1]", MATRIX),
        ("for k, v in a.items():\n        y = k.lower() + str(v % 2)", Kind("dict", (STR, INT))),
        ("for x, y in a:\n        z = x - y - 1", Kind("list", (Kind("tuple", (INT, INT)),))),
        ("b = list(a)\n    return b[0][1]", MATRIX),
        ("return a(1, 2)", Kind("callable", (Kind("any"), Kind("any"), Kind("any")), ("2",))),
        ("return a['name'] + a['age']", Kind("record", (Kind("any"), Kind("any")), ("name", "age"))),
    ],
)
def test_use_says_what_is_wanted(body: str, kind: Kind) -> None:
    function = ast.parse(f"def f(a):\n    {body}\n").body[0]

    assert of_use(function, "a", WORLD)[0][0] == kind


def test_values_are_near_the_constants_of_the_code() -> None:
    tree = ast.parse(
        "def f(a):\n    if a > 471:\n        return 'green'\n    return re.match(r'x\\d{3}', a)\n"
    )
    constants = Constants.of([tree], random.Random(1))
    maker = Maker(random.Random(1), constants, WORLD)

    made = {maker.make(INT) for _ in range(200)}

    assert {"470", "471", "472"} <= made
    assert "green" in constants.strings
    assert any(len(text) == 4 and text[0] == "x" and text[1:].isdigit() for text in constants.texts)


def test_every_expression_makes_a_value_and_so_does_every_change_of_it() -> None:
    kinds = [INT, FLOAT, STR, INTS, MATRIX, Kind("dict", (STR, INTS)), Kind("object", words=("Point",)),
             Kind("set", (INT,)), Kind("tuple", (INT, STR)), Kind("object", words=("Colour",))]  # fmt: skip
    maker = Maker(random.Random(5), Constants(), WORLD)
    names = {"Point": Point, "Colour": Colour}

    for number in range(300):
        expression = maker.make(kinds[number % len(kinds)])
        eval(expression, dict(names))
        eval(maker.change(expression), dict(names))


def test_the_same_seed_makes_the_same_values() -> None:
    first, second = (Maker(random.Random(3), Constants(), WORLD) for _ in range(2))

    assert [first.make(MATRIX) for _ in range(20)] == [second.make(MATRIX) for _ in range(20)]


@pytest.mark.parametrize(
    ("value", "expression"),
    [
        ([1, "a", None, True], "[1, 'a', None, True]"),
        (0.25, "0.25"),
        (1 / 3, "pytest.approx(0.333333333333)"),
        (math.inf, "math.inf"),
        ({2, 1}, "{1, 2}"),
        (set(), "set()"),
        ((1,), "(1,)"),
        (collections.Counter("aab"), "{'a': 2, 'b': 1}"),
        (datetime.date(2024, 2, 29), "datetime.date(2024, 2, 29)"),
        (Colour.RED, "Colour.RED"),
        (Point(1), "Point(x=1, y=0.5)"),
    ],
)
def test_values_are_shown_as_what_makes_them(value: object, expression: str) -> None:
    assert rendering.render(value, WORLD.classes) == expression


def test_of_other_objects_the_public_attributes_are_compared() -> None:
    assert rendering.pairs(Opaque(), WORLD.classes) == [("type({}).__name__", "'Opaque'"), ("{}.size", "3")]


@pytest.mark.parametrize("value", [object(), "<x at 0x7f00>", {"a": object()}])
def test_nothing_is_compared_that_differs_in_the_next_process(value: object) -> None:
    assert "0x" not in str(rendering.pairs(value, {}))


def run(code: str, *, traced: bool = False) -> Any:
    names: dict[str, object] = {}
    exec(compile(code, "/project/m.py", "exec"), names)
    stage = Stage(names, {}, {"/project/m.py": "m.py"})
    return stage.run(Session((Step("f", "f({args})", (("", "[2, 1]"),)),)), traced=traced)


def test_a_call_is_seen_with_its_result_and_what_it_changed() -> None:
    seen = run("def f(a):\n    a.sort()\n    print(a[0])\n    return len(a)\n")

    assert seen.usable()
    assert seen.steps == [{"pairs": [["{}", "2"]], "after": {"0": [["{}", "[1, 2]"]]}, "out": "1\n"}]


def test_an_error_that_was_raised_on_purpose_is_told_from_misuse() -> None:
    meant = run("def f(a):\n    if a:\n        raise TypeError('no lists')\n")
    misused = run("def f(a):\n    return a + 1\n")

    assert meant.usable()
    assert (meant.steps[0]["raised"], meant.steps[0]["message"]) == ("TypeError", "no lists")
    assert not misused.usable()


@pytest.mark.parametrize("traced", [True, False])
def test_a_call_that_does_not_end_is_ended(traced: bool) -> None:
    catching = "        try:\n            a = a\n        except Exception:\n            pass\n"

    seen = run(f"def f(a):\n    while True:\n{catching}", traced=traced)

    assert seen.overrun
    assert not seen.usable()


def test_lines_are_seen_with_those_before_them() -> None:
    seen = run("def f(a):\n    if a:\n        return 1\n    return 2\n", traced=True)

    assert {(before, line) for _, before, line in seen.arcs} == {(-1, 2), (2, 3), (3, -1)}
