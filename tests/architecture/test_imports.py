"""Who may import whom."""

from __future__ import annotations

import ast
import functools
import re
import sys
from pathlib import Path

import pytest

from tests.architecture.sources import ROOT, SERVICES, Module, modules


# Each rule is one test over all modules: a test for each of both would be a third of all tests there are.
@functools.cache
def read() -> list[Module]:
    return modules()


def below(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


# Who runs code that others wrote.
SANDBOXED = {"agents", "vector"}
# The program that makes backups is a client of contracts; over HTTP it is the same one.
ALSO = {"gateway": {"backup"}}


def test_no_service_imports_another() -> None:
    def allowed(package: str) -> set[str]:
        return {"chassis", package, *({"sandbox"} if package in SANDBOXED else ()), *ALSO.get(package, ())}

    foreign = [
        (module.path, name)
        for module in read()
        for name in module.imports()
        if name.startswith("services.") and name.split(".")[1] not in allowed(module.package)
    ]

    assert foreign == []


def test_contracts_are_the_only_shared_meaning() -> None:
    """The launcher and the chassis know no contract but the options; a service knows those that it calls."""
    calls = {
        "agents": {"agents", "session", "vector"},
        "backup": {"session", "vector"},
        "fsck": {"vector"},
        "gateway": {"agents", "session", "vector"},
        "session": {"session"},
        "vector": {"vector"},
    }
    unknown = [
        (module.path, name)
        for module in read()
        for name in module.imports()
        if name.startswith("meldrag.")
        and name.split(".")[1] not in calls.get(module.package, set()) | {"options"}
    ]

    assert unknown == []


def test_what_stands_beside_foreign_code_is_of_the_standard_library() -> None:
    """Started by exec, never having imported gRPC: a fork beside live gRPC objects can hang."""
    foreign = [
        (module.path, name)
        for module in read()
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


def test_libraries_are_known_to_their_adapters_only() -> None:
    def known(module: Module) -> set[str]:
        names = set(module.imports())
        known = DOORS.keys() & {name.split(".")[0] for name in names}
        if any(name.endswith("_pb2_grpc") for name in names) and not module.path.endswith(BORDERS):
            known.add("grpc_calls")
        return known

    assert [
        (module.path, library)
        for module in read()
        for library in known(module)
        if not module.path.startswith(DOORS[library])
    ] == []


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_a_program(name: str) -> None:
    assert (ROOT / "services" / name / "__main__.py").is_file()


def test_entrypoints_fit_a_screen() -> None:
    lengths = {
        module.path: len((ROOT / module.path).read_text().splitlines())
        for module in read()
        if Path(module.path).name == "__main__.py"
    }

    assert lengths
    assert {path: length for path, length in lengths.items() if length > 70} == {}


def test_names_tell_what_is_inside() -> None:
    empty_words = {"utils", "util", "helpers", "helper", "common", "misc"}
    paths = [module.path for module in read()]

    assert [path for path in paths if empty_words & set(Path(path).with_suffix("").parts)] == []


def test_the_chassis_has_no_domain_word() -> None:
    domain = r"document|chunk|passage|citation|embed|collection|conversation|chroma|prompt"
    named = [
        (module.path, node.name)
        for module in read()
        if module.package == "chassis"
        for node in ast.walk(module.tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        and re.search(domain, node.name.lower())
    ]

    assert named == []


def test_the_environment_is_read_in_settings_only() -> None:
    """Typed settings read it. The launcher passes it on, crash points must work before there are settings,
    a child process needs to know where programs and modules are, and some libraries are set by it alone."""
    reads = re.compile(r'os\.environ(?!\.get\("(?:PATH|PYTHONPATH)"|\.setdefault)|os\.getenv')

    assert [
        (module.path, found)
        for module in read()
        if module.path != "services/chassis/crash.py" and module.package != "local"
        for found in reads.findall((ROOT / module.path).read_text())
    ] == []


def test_importing_does_nothing() -> None:
    """At the top of a module stand definitions; a program starts at its end, in __main__ alone."""
    started = [
        (module.path, ast.unparse(node))
        for module in read()
        if Path(module.path).name != "__main__.py"
        for node in module.tree.body
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call | ast.Await)
    ]

    assert started == []
