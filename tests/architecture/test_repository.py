"""What people and machines rely on in the repository as a whole."""

from __future__ import annotations

import ast
import re
import subprocess

import pytest

from tests.architecture.sources import ROOT, modules, tracked_texts

# Written in pieces, so that this file does not name what it looks for.
REGISTRIES = [
    ".".join(parts)
    for parts in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("registry", "npmjs", "org"),
        ("deb", "debian", "org"),
        ("proxy", "golang", "org"),
        ("crates", "io"),
        ("repo", "maven"),
    )
]
MACHINE_PATHS = re.compile(r"(?<![\w.$}~/:])/(?:wo" + r"rk|ro" + r"ot|ho" + r"me)/\w")


def makefile_targets() -> set[str]:
    return set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def test_no_tracked_file_names_a_registry_or_a_path_of_one_machine() -> None:
    found = [
        (name, number, line.strip()[:120])
        for name, text in tracked_texts()
        for number, line in enumerate(text.splitlines(), 1)
        if any(host in line for host in REGISTRIES) or MACHINE_PATHS.search(line)
    ]

    assert found == []


def test_every_make_command_of_the_documents_is_there() -> None:
    named = {
        (path.name, target)
        for path in [ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")]
        for block in re.findall(r"```(?:sh|bash)?\n(.*?)```|`([^`\n]+)`", path.read_text(), re.DOTALL)
        for target in re.findall(r"^make ([a-z-]+)", "\n".join(block), re.MULTILINE)
    }

    assert named
    assert {target for _, target in named} <= makefile_targets()


def test_make_alone_lists_every_target_with_a_line() -> None:
    listed = subprocess.run(
        ["make", "-C", ROOT, "--no-print-directory"], capture_output=True, text=True, check=True
    ).stdout
    described = {line.split()[0] for line in listed.splitlines() if len(line.split()) > 1}

    # These two only serve the others.
    assert described == makefile_targets() - {"install", "install-dev"}


def pins(name: str) -> dict[str, str]:
    text = (ROOT / "requirements" / f"{name}.txt").read_text()
    return dict(re.findall(r"^([a-z0-9._-]+)==([^ \\;]+)", text, re.MULTILINE | re.IGNORECASE))


@pytest.mark.parametrize("name", ["local", "gateway", "agents", "vector", "session"])
def test_requirement_files_are_parts_of_the_development_file(name: str) -> None:
    """So a tested version is the version that runs, and development packages suffice for a run."""
    assert pins(name)
    assert pins(name).items() <= pins("dev").items()


@pytest.mark.parametrize("name", ["dev", "local", "gateway", "agents", "vector", "session", "model"])
def test_every_requirement_is_pinned_by_hash_and_names_no_index(name: str) -> None:
    text = (ROOT / "requirements" / f"{name}.txt").read_text()
    logical = re.sub(r"\\\n\s*", " ", text).splitlines()
    requirements = [line for line in logical if line.strip() and not line.lstrip().startswith("#")]

    assert requirements
    assert [line for line in requirements if "--hash=sha256:" not in line] == []
    assert [line for line in requirements if "://" in line or line.startswith("-")] == []


def test_what_is_logged_beside_a_message_is_written() -> None:
    """The log has nothing of `extra` but its fields."""
    beside = [
        (module.path, node.lineno, node.value)
        for module in modules()
        for node in ast.walk(module.tree)
        if isinstance(node, ast.keyword) and node.arg == "extra" and isinstance(node.value, ast.Dict)
    ]
    assert len(beside) > 10
    lost = [
        f"{path}:{line}"
        for path, line, value in beside
        if [ast.unparse(key) for key in value.keys if key is not None] != ["'fields'"]
    ]
    assert lost == []
