"""The installer as a program, in a repository of its own whose requirement files name no package."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from services.local import install

BUILD = """
import pathlib, sys
stamp = pathlib.Path(__file__).with_name("built")
if "--check" in sys.argv:
    sys.exit(not stamp.exists())
stamp.touch()
"""


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("repository")
    (root / "services" / "local").mkdir(parents=True)
    shutil.copy(install.__file__, root / "services" / "local")
    (root / "protos").mkdir()
    (root / "protos" / "build.py").write_text(BUILD)
    (root / "clients" / "meld" / "meldrag_cli").mkdir(parents=True)
    (root / "clients" / "meld" / "meldrag_cli" / "__main__.py").write_text("import sys; print(sys.argv[1:])")
    (root / "requirements").mkdir()
    for name in ("dev", "foreign", "local", "model"):
        (root / "requirements" / f"{name}.txt").write_text("# nothing\n")
    return root


def run(repository: Path, profile: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-I", repository / "services" / "local" / "install.py", profile],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


def test_the_first_run_makes_everything_and_the_second_nothing(repository: Path) -> None:
    code, output = run(repository, "local")
    assert code == 0, output
    assert [line.split(":")[0].strip() for line in output.splitlines() if "done in" in line] == [
        "environment",
        "packages (local)",
        "embedding model",
        "stubs",
    ]
    python = repository / ".venv" / "bin" / "python"
    found = subprocess.run(
        [python, "-c", "import services, sys; print(services.__path__[0])"],
        cwd="/",
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.strip() == str(repository / "services")

    elsewhere = repository / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "meldrag_cli.py").write_text("print('not this one')")
    said = subprocess.run(
        [repository / ".venv" / "bin" / "meld", "ask", "two words"],
        cwd=elsewhere,
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout.strip() == "['ask', 'two words']"

    assert run(repository, "local") == (0, "")


def test_a_changed_requirement_file_is_installed_again(repository: Path) -> None:
    run(repository, "local")
    (repository / "requirements" / "local.txt").write_text("# still nothing\n")

    code, output = run(repository, "local")

    assert code == 0
    assert "packages (local): done" in output
    assert run(repository, "local") == (0, "")


def test_who_has_the_development_packages_has_those_of_a_run(repository: Path) -> None:
    assert run(repository, "dev")[0] == 0

    assert run(repository, "local") == (0, "")


def test_clients_of_others_have_an_environment_of_their_own_in_development(repository: Path) -> None:
    (repository / "requirements" / "foreign.txt").write_text("# other nothing\n")

    code, output = run(repository, "dev")

    assert code == 0, output
    assert "packages (foreign): done" in output
    foreign = repository / ".venv" / "foreign" / "bin" / "python"
    found = subprocess.run(
        [foreign, "-c", "import sys; print(sys.prefix)"], capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == str(repository / ".venv" / "foreign")
    # It is not one of the house: the services are not to be found there.
    alien = subprocess.run([foreign, "-I", "-c", "import services"], capture_output=True, check=False)
    assert b"No module named" in alien.stderr
    assert run(repository, "dev") == (0, "")


def test_a_failed_step_says_why_and_is_tried_again_the_next_time(repository: Path) -> None:
    requirements = repository / "requirements" / "local.txt"
    before = requirements.read_text()
    requirements.write_text("this is ! no requirement\n")
    try:
        code, output = run(repository, "local")
        again = run(repository, "local")[0]
    finally:
        requirements.write_text(before)

    assert code == again == 1
    assert "this is ! no requirement" in output
    assert "packages (local) failed" in output
    assert run(repository, "local")[0] == 0
