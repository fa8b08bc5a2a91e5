"""Who may import whom."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import pytest

from tests.architecture.sources import ROOT, SERVICES, Module, modules

MODULES = modules()
BY_PATH = pytest.mark.parametrize("module", MODULES, ids=lambda module: module.path)


def below(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


# Who runs code that others wrote.
SANDBOXED = {"agents", "vector"}
# The program that makes backups is a client of contracts; over HTTP it is the same one.
ALSO = {"gateway": {"backup"}}


@BY_PATH
def test_no_service_imports_another(module: Module) -> None:
    allowed = {"chassis", module.package, *({"sandbox"} if module.package in SANDBOXED else ())}
    allowed |= ALSO.get(module.package, set())
    foreign = [
        name
        for name in module.imports()
        if name.startswith("services.") and name.split(".")[1] not in allowed
    ]

    assert foreign == []


@BY_PATH
def test_contracts_are_the_only_shared_meaning(module: Module) -> None:
    """The launcher and the chassis know no contract but the options; a service knows those that it calls."""
    calls = {
        "agents": {"agents", "session", "vector"},
        "backup": {"session", "vector"},
        "fsck": {"vector"},
        "gateway": {"agents", "session", "vector"},
        "session": {"session"},
        "vector": {"vector"},
    }.get(module.package, set())
    known = {name.split(".")[1] for name in module.imports() if name.startswith("meldrag.")}

    assert known <= calls | {"options"}


def test_what_stands_beside_foreign_code_is_of_the_standard_library() -> None:
    """Started by exec, never having imported gRPC: a fork beside live gRPC objects can hang."""
    foreign = [
        (module.path, name)
        for module in MODULES
        if module.path.startswith("services/sandbox/room/")
        for name in module.imports()
        if name.split(".")[0] not in sys.stdlib_module_names and not below(name, "services.sandbox.room")
    ]

    assert foreign == []


# Libraries and generated calls, and the only places that know them. What is behind a place can be exchanged.
DOORS = {
    "chromadb": ("services/vector/index/",),
    "sqlite3": ("services/vector/record/",),
    "redis": ("services/session/redis_store.py",),
    "openai": ("services/agents/adapters/", "services/vector/embedding/openai.py"),
    "flask": ("services/gateway/",),
    "mcp": ("services/gateway/mcp/", "services/agents/adapters/mcp_client.py"),
    "mcp_types": ("services/gateway/mcp/", "services/agents/adapters/mcp_client.py"),
    "grpc_calls": (
        "services/agents/adapters/",
        "services/backup/clients.py",
        "services/fsck/clients.py",
        "services/gateway/clients.py",
        "services/chassis/",
        "services/local/readiness.py",
    ),
}
# Where a service is put together and where it is translated.
BORDERS = ("__main__.py", "hosting.py", "servicer.py")


@BY_PATH
def test_libraries_are_known_to_their_adapters_only(module: Module) -> None:
    roots = {name.split(".")[0] for name in module.imports()}
    known = {library for library in DOORS if library in roots}
    if any(name.endswith("_pb2_grpc") for name in module.imports()) and not module.path.endswith(BORDERS):
        known.add("grpc_calls")

    assert [library for library in known if not module.path.startswith(DOORS[library])] == []


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_a_program(name: str) -> None:
    assert (ROOT / "services" / name / "__main__.py").is_file()


@BY_PATH
def test_entrypoints_fit_a_screen(module: Module) -> None:
    if Path(module.path).name == "__main__.py":
        assert len((ROOT / module.path).read_text().splitlines()) <= 70


@BY_PATH
def test_names_tell_what_is_inside(module: Module) -> None:
    empty_words = {"utils", "util", "helpers", "helper", "common", "misc"}

    assert not empty_words & set(Path(module.path).with_suffix("").parts)


def test_the_chassis_has_no_domain_word() -> None:
    domain = r"document|chunk|passage|citation|embed|collection|conversation|chroma|prompt"
    named = [
        (module.path, node.name)
        for module in MODULES
        if module.package == "chassis"
        for node in ast.walk(module.tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        and re.search(domain, node.name.lower())
    ]

    assert named == []


@BY_PATH
def test_the_environment_is_read_in_settings_only(module: Module) -> None:
    """Typed settings read it. The launcher passes it on, crash points must work before there are settings,
    a child process needs to know where programs and modules are, and some libraries are set by it alone."""
    allowed = module.path == "services/chassis/crash.py" or module.package == "local"
    reads = re.findall(
        r'os\.environ(?!\.get\("(?:PATH|PYTHONPATH)"|\.setdefault)|os\.getenv',
        (ROOT / module.path).read_text(),
    )

    assert allowed or reads == []


@BY_PATH
def test_importing_does_nothing(module: Module) -> None:
    """At the top of a module stand definitions; a program starts at its end, in __main__ alone."""
    started = [
        ast.unparse(node)
        for node in module.tree.body
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call | ast.Await)
    ]

    assert Path(module.path).name == "__main__.py" or started == []
