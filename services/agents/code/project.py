"""The code that an agent is given: files, tests, and how to run them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from meldrag.agents.v1 import results_pb2
from services.chassis.errors import InvalidArgumentError

MAX_FILES = 200
MAX_FILE_BYTES = 400_000
MAX_COMMAND = 1_000
_MAX_PATH = 200
_SHOWN = 100
# Where the house's own programs and results stand beside the project inside the sandbox.
RESERVED = ".meld"

_PART = re.compile(r"[^\x00-\x1f\x7f/\\]+")
# A file that is a test by its name, wherever it stands.
_TEST_NAME = re.compile(r"(?:test_.*|.*_test|tests?)\.py")

LANGUAGES = {
    ".py": "Python",
    ".pyi": "Python",
    ".js": "JavaScript",
    ".mjs": "JavaScript",
    ".cjs": "JavaScript",
    ".jsx": "JavaScript",
    ".ts": "TypeScript",
    ".tsx": "TypeScript",
    ".go": "Go",
    ".java": "Java",
    ".rs": "Rust",
    ".c": "C",
    ".h": "C",
    ".cc": "C++",
    ".cpp": "C++",
    ".hpp": "C++",
    ".cs": "C#",
    ".rb": "Ruby",
    ".php": "PHP",
    ".kt": "Kotlin",
    ".swift": "Swift",
    ".scala": "Scala",
    ".sh": "shell",
}


def language(path: str) -> str:
    """The language that a file's name tells; empty when it tells none."""
    return LANGUAGES.get(PurePosixPath(path).suffix.lower(), "")


@dataclass(frozen=True)
class Project:
    """Files and tests by relative path. command: the words of the command; empty for the agent's own way."""

    files: Mapping[str, str] = field(default_factory=dict)
    tests: Mapping[str, str] = field(default_factory=dict)
    command: tuple[str, ...] = ()

    @classmethod
    def of(cls, inputs: results_pb2.CodeInputs) -> Project:
        """The project that the inputs describe.

        A file whose name says that it is a test counts as one when no tests are given. Raises
        InvalidArgumentError (INPUTS_INVALID) that names the path.
        """
        if len(inputs.files) + len(inputs.tests) > MAX_FILES:
            raise _invalid("$", f"there are more than {MAX_FILES} files")
        seen: dict[str, str] = {}
        files = _read("files", inputs.files, seen)
        tests = _read("tests", inputs.tests, seen)
        if not tests:
            tests = {path: text for path, text in files.items() if is_test_name(path)}
            files = {path: text for path, text in files.items() if path not in tests}
        for path in seen:
            above = next((str(p) for p in PurePosixPath(path).parents if str(p) in seen), None)
            if above is not None:
                raise _invalid(path, f"{above!r} is a file and a folder at once")
        return cls(files, tests, _command(inputs.command))

    def everything(self) -> dict[str, str]:
        """Files and tests together."""
        return {**self.files, **self.tests}

    def having(self, changes: Mapping[str, str]) -> Project:
        """The project with other contents of some of its files."""
        return Project({**self.files, **changes}, self.tests, self.command)

    def python(self) -> tuple[str, ...]:
        """Paths of the Python files that are no tests."""
        return tuple(path for path in self.files if language(path) == "Python" and path.endswith(".py"))

    def other_languages(self) -> tuple[str, ...]:
        """Languages of files that are not Python, in order of their names."""
        return tuple(sorted({language(path) for path in self.everything()} - {"", "Python"}))


def is_test_name(path: str) -> bool:
    """Whether pytest would take a file of that name for a test."""
    return _TEST_NAME.fullmatch(PurePosixPath(path).name) is not None


def _read(name: str, given: Iterable[results_pb2.SourceFile], seen: dict[str, str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for index, file in enumerate(given):
        where = f"$.{name}[{index}]"
        path = _checked_path(file.path, where)
        if path.casefold() in {known.casefold() for known in seen}:
            raise _invalid(f"{where}.path", f"{path[:_SHOWN]!r} is there twice")
        if len(file.content.encode("utf-8", "surrogatepass")) > MAX_FILE_BYTES:
            raise _invalid(f"{where}.content", f"{path!r} has more than {MAX_FILE_BYTES} bytes")
        if "\0" in file.content:
            raise _invalid(f"{where}.content", f"{path!r} holds a NUL character")
        found[path] = seen[path] = file.content
    return found


def _checked_path(path: str, where: str) -> str:
    parts = path.split("/")
    while parts and parts[0] == ".":
        parts.pop(0)
    good = (
        0 < len(path) <= _MAX_PATH
        and parts
        and all(_PART.fullmatch(part) and part not in {".", ".."} for part in parts)
        and parts[0].casefold() != RESERVED
        and not re.match(r"[A-Za-z]:", path)
    )
    if not good:
        raise _invalid(
            f"{where}.path",
            f"{path[:_SHOWN]!r} is not a relative path with forward slashes inside the project",
        )
    return "/".join(parts)


def _command(command: str) -> tuple[str, ...]:
    if len(command) > MAX_COMMAND:
        raise _invalid("$.command", f"the command has more than {MAX_COMMAND} characters")
    try:
        return tuple(shlex.split(command))
    except ValueError as error:
        raise _invalid("$.command", f"the command cannot be split into words: {error}") from error


def _invalid(path: str, message: str) -> InvalidArgumentError:
    return InvalidArgumentError(message, reason="INPUTS_INVALID", metadata={"path": path[:_SHOWN]})
