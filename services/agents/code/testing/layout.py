"""How the modules of a project are imported, and where its new tests stand."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

_NO_MODULES = {"setup.py", "conftest.py", "__main__.py"}


@dataclass(frozen=True)
class Layout:
    """modules: name of each module with its path. roots: folders to import from; "." is the project's own."""

    modules: Mapping[str, str]
    roots: tuple[str, ...]

    def to_json(self) -> dict[str, object]:
        """As a plain object."""
        return {"modules": dict(self.modules), "roots": list(self.roots)}


def layout(files: Mapping[str, str], tests: Mapping[str, str]) -> Layout:
    """The layout of a project's Python files, told by their paths and by what they import from each other."""
    paths = [path for path in files if path.endswith(".py")]
    roots = {"src"} if any(path.startswith("src/") for path in paths) else set()
    roots |= _folders_of_plain_imports(paths, [*files.values(), *tests.values()])
    modules: dict[str, str] = {}
    for path in paths:
        if PurePosixPath(path).name in _NO_MODULES:
            continue
        root = max((r for r in roots if path.startswith(f"{r}/")), key=len, default="")
        inner = PurePosixPath(path[len(root) + 1 :] if root else path).with_suffix("")
        parts = inner.parts[:-1] if inner.name == "__init__" else inner.parts
        if parts and all(part.isidentifier() for part in parts):
            modules.setdefault(".".join(parts), path)
    return Layout(modules, (".", *sorted(roots)))


def _folders_of_plain_imports(paths: Iterable[str], texts: Iterable[str]) -> set[str]:
    """Folders without __init__.py whose modules are imported by their bare names."""
    known = set(paths)
    imported: set[str] = set()
    for text in texts:
        try:
            tree = ast.parse(text)
        except SyntaxError:
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                imported.add(node.module.split(".")[0])
    found = set()
    for path in known:
        place = PurePosixPath(path)
        folder = str(place.parent)
        bare = f"{place.stem}.py" not in known and not any(p.startswith(f"{place.stem}/") for p in known)
        if folder != "." and place.stem in imported and bare and f"{folder}/__init__.py" not in known:
            found.add(folder)
    return found


def place(module: str, tests: Mapping[str, str], taken: Iterable[str]) -> str:
    """Where the new tests of a module stand: beside the tests that there are, else in its own folder."""
    folder = next((str(PurePosixPath(path).parent) for path in tests), ".")
    used = {*tests, *taken}
    stem = f"test_{module.replace('.', '_')}"
    for ending in ("", "_observed", *(f"_observed_{number}" for number in range(2, 100))):
        path = f"{stem}{ending}.py" if folder == "." else f"{folder}/{stem}{ending}.py"
        if path not in used:
            return path
    raise ValueError(f"there are too many tests of {module}")
