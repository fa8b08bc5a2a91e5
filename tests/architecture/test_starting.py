"""What a service may load before it starts."""

from __future__ import annotations

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
