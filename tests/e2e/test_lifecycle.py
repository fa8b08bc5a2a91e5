"""How the house starts, refuses to start, and ends."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import launched as launching
from tests.support.launched import ROOT, House, free_ports, launched
from tests.support.waits import promised

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]


@pytest.fixture
def own_house(tmp_path: Path) -> Iterator[House]:
    """A house that only this test knows; not started."""
    house = House(tmp_path / "data")
    yield house
    house.end()


def refusal(house: House) -> tuple[int, list[str]]:
    """Exit code and lines of a launcher that should not start."""
    done = subprocess.run(
        [sys.executable, "-m", "services.local"],
        cwd=ROOT,
        env=house.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=promised(20),
        check=False,
    )
    return done.returncode, done.stdout.splitlines()


@pytest.mark.parametrize(
    ("name", "variable"),
    [("redis", "REDIS_PORT"), ("vector", "MELD_VECTOR_ADDRESS"), ("gateway", "FLASK_PORT")],
)
def test_a_port_in_use_is_one_line_and_nothing_starts(own_house: House, name: str, variable: str) -> None:
    port = own_house.ports[name]
    with socket.create_server(("127.0.0.1", port)):
        code, lines = refusal(own_house)

    assert code == 1
    assert lines == [f"make run: port {port} is in use (set {variable})"]
    assert not (own_house.directory / "logs").exists()


def test_a_house_of_a_test_takes_another_port_where_one_was_taken_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = {**free_ports(), "vector": other.getsockname()[1]}
        chosen = iter([taken, free_ports()])
        monkeypatch.setattr(launching, "free_ports", lambda: next(chosen))
        with launched(tmp_path / "data") as house:
            assert house.ports["vector"] != taken["vector"]
            house.wait_ready(5)


def test_a_bad_setting_is_one_line_that_names_it(own_house: House) -> None:
    own_house.environment["FLASK_PORT"] = "fivethousand"

    code, lines = refusal(own_house)

    assert code == 1
    assert lines == ["make run: FLASK_PORT must be a whole number from 1 to 65535"]


def test_a_bad_setting_of_a_service_ends_the_start_with_its_name(own_house: House) -> None:
    own_house.environment["PERMANENT_SESSION_LIFETIME"] = "a day"

    code, lines = refusal(own_house)

    assert code == 1
    assert any("PERMANENT_SESSION_LIFETIME" in line for line in lines)
    assert own_house.family() == set()


def test_a_second_start_on_the_same_data_is_one_line(house: House) -> None:
    second = House(house.directory)

    code, lines = refusal(second)

    assert code == 1
    assert lines == [f"make run: {house.directory} is in use by another `make run` (set MELD_DATA_DIR)"]
    house.wait_ready(5)


def test_a_missing_python_is_one_line(tmp_path: Path) -> None:
    """A machine that has make and a shell, and no Python of the right age."""
    for program in ("make", "sh", "awk"):
        found = shutil.which(program)
        assert found is not None
        (tmp_path / program).symlink_to(found)
    for name in ("Makefile", "services"):
        (tmp_path / name).symlink_to(ROOT / name)

    done = subprocess.run(
        ["make", "run"],
        cwd=tmp_path,
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode != 0
    assert done.stderr.splitlines()[0].startswith("make: Python 3.11 or newer")


@pytest.mark.slow
def test_it_starts_again_and_every_way_to_end_it_leaves_nothing(own_house: House) -> None:
    own_house.start()
    assert len(own_house.family()) > 5  # so that an empty family means something

    # Below nohup the launcher does not hear of a hang-up, and must not.
    hangups = {signal.SIGHUP} if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL else set()
    for number in (signal.SIGINT, signal.SIGTERM, *hangups):
        assert own_house.stop(number) < promised(5), own_house.output
        assert own_house.process.returncode == 0
        assert own_house.family() == set()
        own_house.start()

    # Nobody can prepare for SIGKILL; the guard clears up behind it.
    own_house.process.kill()
    own_house.process.wait()
    end = time.monotonic() + promised(5)
    while own_house.family() and time.monotonic() < end:
        time.sleep(0.05)
    assert own_house.family() == set()


def test_what_is_killed_comes_back_by_itself(house: House) -> None:
    for name in ("gateway", "agents", "vector", "session", "redis"):
        before = house.pid(name)
        os.killpg(before, signal.SIGKILL)
        end = time.monotonic() + promised(5)
        while house.readiness()[0] == 200 and time.monotonic() < end:
            time.sleep(0.01)  # the loss is noticed at the next ping
        house.wait_ready(10)
        assert house.pid(name) != before
