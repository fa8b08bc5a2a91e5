"""What the architecture tests look at: the repository's own files."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SERVICES = ("agents", "gateway", "session", "vector")


@dataclass(frozen=True)
class Module:
    """A module of services/: its path from the root, and its syntax tree."""

    path: str
    tree: ast.Module

    @property
    def package(self) -> str:
        """The folder below services/."""
        return self.path.split("/")[1]

    def imports(self) -> Iterator[str]:
        """Full names of all modules that it imports, wherever in it."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                base = node.module or ""
                yield base
                yield from (f"{base}.{alias.name}" for alias in node.names)


def modules() -> list[Module]:
    """All modules of services/."""
    paths = sorted((ROOT / "services").rglob("*.py"))
    return [Module(str(path.relative_to(ROOT)), ast.parse(path.read_text())) for path in paths]


def tracked_texts() -> Iterator[tuple[str, str]]:
    """Path and content of each text file that git tracks."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    for name in filter(None, listed.split("\0")):
        path = ROOT / name
        if path.is_file():
            content = path.read_bytes()
            if b"\0" not in content[:4096]:
                yield name, content.decode("utf-8")
