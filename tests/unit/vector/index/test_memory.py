"""Chroma's files have nothing of what was in the memory of the process."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

# With one heap for all threads what Python gives back is what Chroma gets.
_PROGRAM = """
import random, sys, tempfile
from pathlib import Path
import numpy as np
from services.vector.index import chroma

if sys.argv[1] == "left as it is":
    chroma.overwrite_what_is_given_back = lambda: True
draw, secret = random.Random(7), "".join(reversed("kxvyranaczq")).encode() + b" "
rows = np.random.default_rng(7)
found = 0
for _ in range(3 if sys.argv[1] == "overwritten" else 20):
    with tempfile.TemporaryDirectory() as folder:
        index = chroma.ChromaIndex.embedded(Path(folder), "p", 4)
        for number in range(8):
            texts = [secret * draw.randint(100, 9_000) for _ in range(60)]
            del texts
            keys = list(range(number * 6, number * 6 + 6))
            index.add(1, keys, rows.random((6, 64), dtype=np.float32))
            index.nearest(1, rows.random(64, dtype=np.float32), 3)
        index.close()
        files = [path for path in Path(folder).rglob("*") if path.is_file()]
        found += sum(secret in path.read_bytes() for path in files)
    if found:
        break
print(found)
"""


@pytest.mark.parametrize(("memory", "is_found"), [("overwritten", False), ("left as it is", True)])
def test_nothing_of_a_text_that_was_given_back_gets_into_a_file(memory: str, is_found: bool) -> None:
    """And without that it does; when the second fails, it need not be overwritten any more."""
    ended = subprocess.run(
        [sys.executable, "-c", _PROGRAM, memory],
        env={**os.environ, "MALLOC_ARENA_MAX": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert (int(ended.stdout) > 0) == is_found
