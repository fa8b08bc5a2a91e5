"""Builds the contracts' stubs into the wheel. It is built in the repository, beside the contracts."""

from __future__ import annotations

import importlib.resources
import os
import sys
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

CONTRACTS = Path(__file__).resolve().parents[2] / "protos"


class BuildWithStubs(build_py):
    """Adds the package `meldrag`, made by protoc."""

    def run(self) -> None:
        """Builds the modules, then the stubs. Ends the build when protoc does not take a contract."""
        from grpc_tools import protoc  # noqa: PLC0415 - needed to build a wheel, not to read what it is called

        super().run()
        contracts = sorted((CONTRACTS / "meldrag").rglob("*.proto"))
        if not contracts:
            sys.exit(f"setup.py: the contracts are not in {CONTRACTS}; build the wheel in the repository")
        # protoc looks its plugins up on PATH; mypy-protobuf lies beside the interpreter.
        os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
        out = Path(self.build_lib)
        status = protoc.main(
            [
                "protoc",
                f"-I{CONTRACTS}",
                f"-I{importlib.resources.files('grpc_tools') / '_proto'}",
                f"--python_out={out}",
                f"--pyi_out={out}",
                f"--grpc_python_out={out}",
                f"--mypy_grpc_out=quiet:{out}",
                *(str(path) for path in contracts),
            ]
        )
        if status != 0:
            sys.exit(f"setup.py: protoc ended with {status}")
        (out / "meldrag" / "py.typed").touch()


setup(cmdclass={"build_py": BuildWithStubs})
