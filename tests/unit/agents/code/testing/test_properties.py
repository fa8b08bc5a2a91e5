"""Which properties are tried, by what was observed."""

from __future__ import annotations

from typing import Any

from services.agents.code.testing import properties


def function(key: str, kind: str = "list", strategy: str = "st.lists(st.integers())") -> dict[str, Any]:
    parameter = {
        "name": "a",
        "kind": kind,
        "strategy": strategy,
        "optional": False,
        "variadic": "",
        "keyword_only": False,
    }
    return {"key": key, "template": f"{key}({{args}})", "path": "m.py", "parameters": [parameter]}


def samples(*pairs: tuple[object, object]) -> list[Any]:
    return [[[["", repr(given)]], {"pairs": [["{}", repr(result)]]}] for given, result in pairs]


def titles(found: list[properties.Property]) -> set[str]:
    return {p.title for p in found}


def test_a_sort_is_taken_for_one() -> None:
    seen = samples(*[(given, sorted(given)) for given in ([3, 1], [2, 2, 1], [], [5], [9, 8, 7])])

    found = titles(properties.candidates([function("f")], {"f": seen}))

    assert {"is_sorted", "is_a_permutation", "twice_is_as_once", "leaves_its_input_alone"} <= found


def test_what_a_sample_contradicts_is_not_tried() -> None:
    seen = samples(([3, 1], [3, 1]), ([2], [2, 2]), ([], []), ([5], [5, 5]))

    found = titles(properties.candidates([function("f")], {"f": seen}))

    assert not found & {"is_sorted", "is_a_permutation", "keeps_the_length"}


def test_two_functions_may_undo_each_other() -> None:
    pack, unpack = function("pack", "str", "st.text()"), function("unpack", "list")
    seen = {
        "pack": samples(*[(t, list(t)) for t in ("a", "ab", "", "aab")]),
        "unpack": samples(*[(list(t), t) for t in ("a", "ab", "", "aab")]),
    }

    found = properties.candidates([pack, unpack], seen)

    assert "assert unpack(pack(a)) == a" in [p.body for p in found]


def test_few_samples_suggest_nothing() -> None:
    assert properties.candidates([function("f")], {"f": samples(([1], [1]))}) == []


def test_a_property_becomes_a_test_of_hypothesis() -> None:
    found = properties.candidates([function("f")], {"f": samples(*[([n], [n]) for n in range(5)])})

    source = found[0].block("test_f_is_sorted", 60, fixed=True).source()

    assert (
        "@settings(max_examples=60, deadline=None, database=None, derandomize=True)\n@given(a=st.lists("
        in source
    )
