"""What a project may be."""

from __future__ import annotations

import pytest

from meldrag.agents.v1 import results_pb2
from services.agents.code.project import MAX_FILE_BYTES, MAX_FILES, Project
from services.chassis.errors import InvalidArgumentError


def inputs(
    files: dict[str, str] | None = None, tests: dict[str, str] | None = None, command: str = ""
) -> results_pb2.CodeInputs:
    def several(given: dict[str, str] | None) -> list[results_pb2.SourceFile]:
        return [results_pb2.SourceFile(path=path, content=text) for path, text in (given or {}).items()]

    return results_pb2.CodeInputs(files=several(files), tests=several(tests), command=command)


def test_files_tests_and_the_command_are_kept() -> None:
    project = Project.of(inputs({"src/a.py": "A"}, {"tests/test_a.py": "T"}, "pytest -q 'a b'"))
    assert project.files == {"src/a.py": "A"}
    assert project.tests == {"tests/test_a.py": "T"}
    assert project.command == ("pytest", "-q", "a b")
    assert project.everything() == {"src/a.py": "A", "tests/test_a.py": "T"}


def test_a_file_that_is_named_as_a_test_is_one_when_no_tests_are_given() -> None:
    project = Project.of(inputs({"a.py": "A", "./test_a.py": "T"}))
    assert (set(project.files), set(project.tests)) == ({"a.py"}, {"test_a.py"})
    assert set(Project.of(inputs({"test_a.py": "T"}, {"test_b.py": "U"})).files) == {"test_a.py"}


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/etc/passwd",
        "../a.py",
        "a/../../b.py",
        "a//b.py",
        "a\\b.py",
        "C:/a.py",
        "a\nb.py",
        ".meld/a.py",
        ".",
    ],
)
def test_paths_outside_of_the_project_are_refused(path: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        Project.of(inputs({"a.py": "", path: ""}))
    assert caught.value.reason == "INPUTS_INVALID"
    assert caught.value.metadata["path"] == "$.files[1].path"


@pytest.mark.parametrize(
    ("given", "path"),
    [
        (inputs({"a.py": ""}, {"A.py": ""}), "$.tests[0].path"),
        (inputs({"a": "", "a/b.py": ""}), "a/b.py"),
        (inputs({"a.py": "x" * (MAX_FILE_BYTES + 1)}), "$.files[0].content"),
        (inputs({"a.py": "\0"}), "$.files[0].content"),
        (inputs({f"f{n}.py": "" for n in range(MAX_FILES + 1)}), "$"),
        (inputs({"a.py": ""}, command='pytest "'), "$.command"),
    ],
)
def test_what_cannot_be_a_project_is_refused_with_its_place(given: results_pb2.CodeInputs, path: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        Project.of(given)
    assert (caught.value.reason, caught.value.metadata["path"]) == ("INPUTS_INVALID", path)


def test_other_languages_are_named() -> None:
    assert Project.of(inputs({"a.go": "", "b.py": "", "c.rs": "", "d": ""})).other_languages() == (
        "Go",
        "Rust",
    )
