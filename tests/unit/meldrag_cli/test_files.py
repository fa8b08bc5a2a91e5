"""Which files are sent."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from meldrag_cli import files
from meldrag_cli.failures import UsageFailure
from meldrag_cli.files import found


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    for name in ("b.md", "a.txt", "deep/c.md", ".git/config", "deep/.hidden.md", "drafts/d.md"):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    (root / "deep" / "circle").symlink_to(root)
    return root


def names(root: Path, *arguments: object, **more: bool) -> list[str]:
    return [os.path.relpath(file.path, root) for file in found([root], *arguments, **more)]  # type: ignore[arg-type]


def test_a_directory_is_read_by_name_without_what_is_hidden_and_without_circles(tree: Path) -> None:
    assert names(tree) == ["a.txt", "b.md", "deep/c.md", "drafts/d.md"]
    assert names(tree, hidden=True) == [
        *("a.txt", "b.md", ".git/config", "deep/.hidden.md", "deep/c.md", "drafts/d.md")
    ]


def test_patterns_choose_among_what_is_in_directories(tree: Path) -> None:
    assert names(tree, ["*.md"]) == ["b.md", "deep/c.md", "drafts/d.md"]
    assert names(tree, ["*.md"], ["drafts/*"]) == ["b.md", "deep/c.md"]
    assert [file.name for file in found([tree / "a.txt"], ["*.md"])] == [str(tree / "a.txt")]


def test_a_file_that_is_meant_twice_is_sent_once(tree: Path) -> None:
    assert len(found([tree, tree / "a.txt", tree / "deep"])) == 4


def test_a_path_that_is_not_there_is_named(tree: Path) -> None:
    with pytest.raises(UsageFailure, match="nothere is not there"):
        found([tree, tree / "nothere"])


def test_more_files_than_anybody_means_are_refused(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MOST_FILES", 3)
    with pytest.raises(UsageFailure, match="more than 3 files"):
        found([tree])
