"""Builds the Python stubs of every contract into protos/gen.

Run it with the project's interpreter: ``python protos/build.py``. It does
nothing when the stubs were built from these very contracts; ``--force`` builds
anyway, ``--check`` only tells by its exit code whether they were.
"""

from __future__ import annotations

import hashlib
import importlib.resources
import os
import shutil
import sys
import tempfile
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent
OUT = ROOT / "gen"
STAMP = OUT / ".contracts.sha256"


def contracts() -> list[Path]:
    """The .proto files, in a fixed order."""
    return sorted((ROOT / "meldrag").rglob("*.proto"))


def fingerprint() -> str:
    """SHA-256 over names and contents of the contracts and of this builder."""
    digest = hashlib.sha256()
    for path in [*contracts(), Path(__file__)]:
        digest.update(str(path.relative_to(ROOT)).encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def build() -> None:
    """Builds into a fresh folder and puts it in the place of the old one."""
    wanted = fingerprint()
    # protoc looks its plugins up on PATH; mypy-protobuf lies beside the interpreter.
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    fresh = Path(tempfile.mkdtemp(prefix="gen-", dir=ROOT))
    fresh.chmod(0o755)
    well_known = str(importlib.resources.files("grpc_tools") / "_proto")
    status = protoc.main(
        [
            "protoc",
            f"-I{ROOT}",
            f"-I{well_known}",
            f"--python_out={fresh}",
            f"--pyi_out={fresh}",
            f"--grpc_python_out={fresh}",
            f"--mypy_grpc_out=quiet,generate_concrete_servicer_stubs:{fresh}",
            *(str(path) for path in contracts()),
        ]
    )
    if status != 0:
        shutil.rmtree(fresh)
        sys.exit(f"protos/build.py: protoc ended with {status}")
    (fresh / STAMP.name).write_text(wanted)
    old = fresh.with_name(f"{fresh.name}-old")
    if OUT.exists():
        OUT.rename(old)
    fresh.rename(OUT)
    shutil.rmtree(old, ignore_errors=True)


def up_to_date() -> bool:
    """Whether the stubs were built from the contracts as they are now."""
    return STAMP.exists() and STAMP.read_text() == fingerprint()


if __name__ == "__main__":
    if "--check" in sys.argv[1:]:
        sys.exit(not up_to_date())
    if "--force" in sys.argv[1:] or not up_to_date():
        build()
