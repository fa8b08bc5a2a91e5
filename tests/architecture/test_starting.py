"""What a service may load before it starts."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest


@pytest.mark.parametrize("service", ["agents", "vector"])
def test_numpy_is_loaded_after_its_threads_are_set(service: str) -> None:
    program = (
        f"import os, sys, services.{service}.__main__\n"
        "from services.chassis.start import run_service\n"
        "assert 'numpy' not in sys.modules\n"
        "async def main(): print(os.environ['OPENBLAS_NUM_THREADS'])\n"
        "run_service(main, 'x')"
    )
    made = subprocess.run(
        [sys.executable, "-c", program], check=True, stdout=subprocess.PIPE, text=True, timeout=60
    )
    assert made.stdout.strip() == "1"


def test_a_service_that_fails_says_so_in_its_log() -> None:
    program = (
        "from services.chassis import telemetry\n"
        "from services.chassis.settings import ServiceSettings, load\n"
        "from services.chassis.start import run_service\n"
        "async def main():\n"
        "    with telemetry.configure('x', load(ServiceSettings)):\n"
        "        raise RuntimeError('it broke')\n"
        "run_service(main, 'x')"
    )
    made = subprocess.run(
        [sys.executable, "-c", program], check=False, capture_output=True, text=True, timeout=60
    )
    assert made.returncode == 1
    (line,) = (made.stdout + made.stderr).splitlines()
    told = json.loads(line)
    assert (told["level"], told["message"]) == ("ERROR", "the x service has ended with an error")
    assert "it broke" in told["exception"]
