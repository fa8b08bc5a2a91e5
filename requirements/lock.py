"""Compiles pyproject.toml into the hash-pinned requirement files.

dev.txt holds everything that runs on the machine itself; the others are parts of
it with the same versions. development.txt and notebook.txt are for containers
and have more, beside the same versions. foreign.txt is an environment of its own.
`python requirements/lock.py` keeps the versions that still fit, `--upgrade`
takes the newest. model.txt is written by hand. No file names an index: the
installing machine's own is used.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SERVICES = ("gateway", "agents", "vector", "session")
LOCAL = (*SERVICES, "stubs", "local", "cli")
CONTAINERS = ("development", "notebook")


def extras(names: tuple[str, ...]) -> list[str]:
    """The options that choose these extras."""
    return [word for name in names for word in ("--extra", name)]


def parts() -> dict[str, list[str]]:
    """For each file, the options that choose what is in it. dev first: it bounds the others."""
    bounded = ["--constraint", "requirements/dev.txt"]
    return {
        "dev": ["pyproject.toml", *extras(LOCAL), "--group", "dev"],
        "local": ["pyproject.toml", *extras(LOCAL), *bounded],
        **{
            name: ["pyproject.toml", *extras((name,)), *bounded] for name in (*SERVICES, "stubs", *CONTAINERS)
        },
        "foreign": ["--group", "foreign"],
    }


def main(arguments: list[str]) -> int:
    """Compiles all files. Returns the exit code."""
    uv = Path(sys.executable).with_name("uv")
    for name, options in parts().items():
        command = [
            *(
                str(uv),
                "pip",
                "compile",
                "--quiet",
                "--generate-hashes",
                "--no-header",
                "--no-emit-index-url",
            ),
            *("--python-version", "3.11", *options),
            *("--output-file", f"requirements/{name}.txt"),
            # What fits dev.txt needs no second choice.
            *(arguments if name in ("dev", "foreign") else ()),
        ]
        print(f"requirements/{name}.txt", flush=True)
        status = subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL, check=False).returncode
        if status != 0:
            return status
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
