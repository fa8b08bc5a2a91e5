"""Programs of others: the wheel in an environment of its own, the examples in TypeScript and Go."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.test_newcomer import ready_document
from tests.support.launched import ROOT, House

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

BIN = Path(sys.executable).parent
QUESTION = "How deep is the harbour of Elmsund?"
SENTENCE = "The harbour of Elmsund is fourteen metres deep."
HARBOUR = f"# Elmsund\n\n{SENTENCE} Its light has burned since 1871.\n"


def run(command: Sequence[str | Path], folder: Path, **more: str) -> subprocess.CompletedProcess[str]:
    """Runs a program that knows nothing of this process's import path."""
    known = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return subprocess.run(
        command, cwd=folder, env={**known, **more}, capture_output=True, text=True, check=False, timeout=400
    )


def good(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, f"{done.args}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def built(package: str, there: Path) -> Path:
    """The wheel of a package, built as a whole elsewhere: nothing is left in the repository."""
    shutil.copytree(ROOT / "clients" / package, there / "clients" / package)
    shutil.copytree(ROOT / "protos" / "meldrag", there / "protos" / "meldrag")
    build = [BIN / "uv", "build", "--wheel", "--no-build-isolation", "--offline", "--python", sys.executable]
    good(run([*build, "--out-dir", there / "wheel", f"clients/{package}"], there))
    [made] = (there / "wheel").glob("*.whl")
    return made


def installed(wheel: Path, there: Path) -> Path:
    """An interpreter that has the wheel and what it declares, and nothing else."""
    good(run([BIN / "uv", "venv", "--python", sys.executable, there], there.parent))
    install = [BIN / "uv", "pip", "install", "--only-binary", ":all:", "--python", there / "bin" / "python"]
    good(run([*install, wheel], there.parent))
    return there / "bin" / "python"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The client's wheel."""
    return built("python", tmp_path_factory.mktemp("sources"))


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The client in an environment of its own."""
    return installed(wheel, tmp_path_factory.mktemp("elsewhere") / "venv")


def addresses(house: House) -> dict[str, str]:
    return {name: f"127.0.0.1:{house.ports[name]}" for name in ("agents", "vector", "session")}


def test_the_wheel_has_the_version_of_the_house_and_needs_what_it_says(wheel: Path, python: Path) -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert wheel.name == f"meldrag_client-{version}-py3-none-any.whl"
    for package in ("python", "meld"):
        project = tomllib.loads((ROOT / "clients" / package / "pyproject.toml").read_text())["project"]
        assert project["version"] == version
    listed = json.loads(
        good(run([BIN / "uv", "pip", "list", "--format", "json", "--python", python], wheel.parent))
    )
    assert {each["name"] for each in listed} == {
        *("googleapis-common-protos", "grpcio", "meldrag-client", "protobuf", "typing-extensions")
    }


def test_the_wheel_alone_is_enough_for_a_program(house: House, python: Path, tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    (tmp_path / "harbour.md").write_text(HARBOUR)
    (tmp_path / "more" / "light.md").write_text("# Light\n\nThe light of Elmsund is white.\n")
    (tmp_path / "noise.bin").write_bytes(b"\0\1\2\3")
    program = ROOT / "tests" / "e2e" / "wheel_user.py"

    told = good(run([python, "-I", program, json.dumps(addresses(house)), tmp_path], tmp_path))

    seen: dict[str, Any] = json.loads(told)
    threads = seen["threads"]
    assert threads["twice"] == ["ALREADY_EXISTS", "COLLECTION_EXISTS"]
    noise = {"noise.bin": ["INVALID_ARGUMENT", "FORMAT_UNSUPPORTED"]}
    assert threads["first"] == {"harbour.md": False, "light.md": False, **noise}
    assert threads["again"] == {"harbour.md": True, "light.md": True, **noise}
    assert threads["stages"]
    assert threads["hits"] == ["Elmsund"]
    assert (threads["events"][0], threads["events"][-1]) == ("started", "ended")
    assert {"passages", "text"} <= set(threads["events"])
    assert SENTENCE in threads["text"]
    assert threads["verified"]
    assert all(threads["verified"])
    assert not any(threads["forged"])
    assert threads["steps"]
    assert SENTENCE in threads["workflow"]
    assert threads["nowhere"] == ["NOT_FOUND", "COLLECTION_NOT_FOUND"]
    assert threads["late"][0] == "DEADLINE_EXCEEDED"
    loop = seen["loop"]
    assert (loop["existing"], loop["hits"], loop["workflow"]) == ([True], ["Elmsund"], "ended")
    assert SENTENCE in loop["text"]
    assert all(loop["verified"])
    assert seen["foreign"] == []


def test_the_command_line_can_be_installed_elsewhere(house: House, tmp_path: Path) -> None:
    python = installed(built("meld", tmp_path / "sources"), tmp_path / "venv")
    told = good(run([python.with_name("meld"), "--url", house.base_url, "doctor", "--json"], tmp_path))
    assert json.loads(told)["status"] == "ready"


def test_the_example_of_the_documents_runs_as_it_stands(house: House, python: Path, tmp_path: Path) -> None:
    [example] = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "clients.md").read_text(), re.DOTALL)
    named = addresses(house)
    for name, port in {"agents": "50051", "vector": "50052", "session": "50053"}.items():
        assert f"127.0.0.1:{port}" in example
        example = example.replace(f"127.0.0.1:{port}", named[name])
    (tmp_path / "documents").mkdir()
    (tmp_path / "documents" / "harbour.md").write_text(HARBOUR)
    (tmp_path / "example.py").write_text(example)

    told = good(run([python, "-I", "example.py"], tmp_path))

    assert SENTENCE in told
    assert "True" in told


@pytest.fixture(scope="module")
def collection(house: House) -> str:
    """A collection with one document."""
    api = f"{house.base_url}/api/v1"
    httpx.post(f"{api}/collections", json={"name": "examples"}, timeout=30).raise_for_status()
    files = {"file": ("harbour.md", HARBOUR)}
    sent = httpx.post(f"{api}/collections/examples/documents", files=files, timeout=30)
    assert ready_document(house, sent.headers["Location"])["state"] == "READY"
    return "examples"


def needed(program: str) -> Path:
    """A program of the machine; the test is skipped without it, or fails where CI has to have it."""
    found = shutil.which(program)
    if found is None:
        if os.environ.get(f"MELD_REQUIRE_{program.upper()}"):
            pytest.fail(f"{program} is not here")
        pytest.skip(f"{program} is not here")
    return Path(found)


def copied(name: str, there: Path) -> Path:
    """An example as git has it, beside the contracts."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--", f"clients/{name}", "protos/meldrag", "protos/buf.yaml"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for path in filter(None, listed.split("\0")):
        (there / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, there / path)
    return there / "clients" / name


def fetched(done: subprocess.CompletedProcess[str]) -> None:
    """Skips the test where packages of others are not to be had."""
    if done.returncode != 0:
        pytest.skip(f"{done.args[0]} could not fetch packages: {done.stderr[-300:]}")


def generated(example: Path) -> None:
    good(run([BIN / "buf", "generate", "../../protos", "--template", "buf.gen.yaml"], example))


def told_by(command: Sequence[str | Path], example: Path, house: House, collection: str) -> None:
    """Asks through an example, and of a collection that is not there."""
    here = {"MELD_AGENTS_ADDRESS": f"127.0.0.1:{house.ports['agents']}"}
    answer = good(run([*command, QUESTION, collection], example, **here))
    assert answer.splitlines() == [
        f"{SENTENCE} [1]",
        f"[1] Elmsund, bytes 11-58: “{SENTENCE}”",
    ]
    refused = run([*command, QUESTION, "nowhere"], example, **here)
    assert refused.returncode == 1
    assert "there is no collection nowhere" in refused.stderr


def test_the_example_in_typescript_prints_an_answer_with_its_citations(
    house: House, collection: str, tmp_path: Path
) -> None:
    node, npm = needed("node"), needed("npm")
    example = copied("typescript", tmp_path)
    assert "resolved" not in (example / "package-lock.json").read_text()
    fetched(run([npm, "ci", "--no-audit", "--no-fund"], example))
    generated(example)
    good(run([npm, "run", "build"], example))
    told_by([node, "build/ask.js"], example, house, collection)


def test_the_example_in_go_prints_an_answer_with_its_citations(
    house: House, collection: str, tmp_path: Path
) -> None:
    go = needed("go")
    example = copied("go", tmp_path)
    fetched(run([go, "mod", "download"], example))
    generated(example)
    good(run([go, "build", "-mod=readonly", "-o", "asker", "./ask"], example))
    told_by([example / "asker"], example, house, collection)
