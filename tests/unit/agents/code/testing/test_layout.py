"""How modules are imported, and where new tests stand."""

from __future__ import annotations

from services.agents.code.testing.layout import layout, place


def test_modules_are_named_as_they_are_imported() -> None:
    found = layout(
        {"a.py": "", "pkg/__init__.py": "", "pkg/b.py": "", "src/c.py": "", "setup.py": "", "x.js": ""}, {}
    )

    assert found.modules == {"a": "a.py", "pkg": "pkg/__init__.py", "pkg.b": "pkg/b.py", "c": "src/c.py"}
    assert found.roots == (".", "src")


def test_a_folder_whose_modules_are_imported_by_bare_names_is_a_root() -> None:
    found = layout({"lib/a.py": "import b\n", "lib/b.py": ""}, {})

    assert found.modules == {"a": "a.py"} | {"a": "lib/a.py", "b": "lib/b.py"}
    assert found.roots == (".", "lib")


def test_new_tests_stand_beside_the_old_ones_and_never_in_their_place() -> None:
    assert place("pkg.b", {}, []) == "test_pkg_b.py"
    assert place("b", {"tests/test_b.py": ""}, []) == "tests/test_b_observed.py"
