"""What may shut foreign code in on this machine, and how each is started."""

from __future__ import annotations

import enum
import functools
import os
import shutil
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from pathlib import Path

# Where a room is in a file system of its own.
ROOM = "/room"
_SERVICES = Path(__file__).resolve().parents[1]
_LIBRARIES = ("/lib", "/lib32", "/lib64", "/usr/lib", "/usr/lib64", "/etc/ld.so.cache", "/usr/share/zoneinfo")
# Programs of the system that a job may name where they are installed, and what each reads besides libraries.
_INSTALLED: Mapping[str, tuple[str, ...]] = {
    "tesseract": ("/usr/share/tesseract-ocr", "/usr/share/tessdata"),
}
_INSTALLED_IN = "/usr/local/bin:/usr/bin"
# The launcher's code is the only thing of this house that is in reach of the launcher.
_BOOT = (
    "import sys; sys.path.insert(0, {root!r}); from services.sandbox.room import launcher; launcher.{start}()"
)


class Layer(enum.Enum):
    """What shuts a run in, besides the filter of system calls and the limits that both have.

    BUBBLEWRAP: namespaces of its own, where bubblewrap is installed and may make them; Landlock as well,
        where the kernel has it.
    LANDLOCK: Landlock alone. Needs no privilege and no namespace, so it works in a hardened container.
    """

    BUBBLEWRAP = "bubblewrap"
    LANDLOCK = "landlock"


def python() -> str:
    """The interpreter of this service, with its packages."""
    return sys.executable


def program(name: str) -> str | None:
    """Path of "python", of a program that is installed beside it, or of one of the system's that jobs may
    name; None when there is none.
    """
    if name == "python":
        return python()
    if name in _INSTALLED:
        return shutil.which(name, path=_INSTALLED_IN)
    if not name or "/" in name or name.startswith("."):
        return None
    path = Path(sys.prefix) / "bin" / name
    return str(path) if path.is_file() and os.access(path, os.X_OK) else None


@functools.cache
def readable() -> tuple[str, ...]:
    """What a run may read and execute: the interpreter, its packages, the libraries of the system, and those
    of its programs that jobs may name.
    """
    kinds = ("stdlib", "platstdlib", "purelib", "platlib")
    paths = [sysconfig.get_path(kind) for kind in kinds]
    # The standard library of the interpreter that a virtual environment was made with.
    base = {"base": sys.base_prefix, "platbase": sys.base_exec_prefix}
    paths += [sysconfig.get_path(kind, vars=base) for kind in kinds[:2]]
    paths += [python(), os.path.realpath(python()), *_links(python())]
    paths += map(str, (Path(sys.base_prefix) / "lib").glob("libpython*"))
    if sys.prefix != sys.base_prefix:
        paths.append(sys.prefix)
    paths += _LIBRARIES
    for name, read in _INSTALLED.items():
        if path := program(name):
            paths += [path, *read]
    existing = dict.fromkeys(path for path in paths if os.path.exists(path))
    return tuple(path for path in existing if not any(_below(path, other) for other in existing))


def _links(path: str) -> Iterator[str]:
    """Each link on the way from the interpreter's name to its file."""
    for _ in range(16):
        if not os.path.islink(path):
            return
        path = os.path.join(os.path.dirname(path), os.readlink(path))
        yield path


def _below(path: str, other: str) -> bool:
    return path.startswith(f"{other}/")


def command(layer: Layer, disk_bytes: int, bubblewrap: str = "", second: bool = True) -> list[str]:
    """What the service executes. bubblewrap: its path, where that is the layer; second: Landlock as well."""
    if layer is Layer.LANDLOCK:
        return _launch(str(_SERVICES.parent), "guarded")
    mounts: list[str] = []
    paths = readable()
    for path in paths:
        target = os.path.realpath(path)
        # As where /lib64 is a link to /usr/lib64: the same file may not have two places for the loader.
        if os.path.islink(path) and any(target == os.path.realpath(real) for real in paths if real != path):
            mounts += ["--symlink", os.readlink(path), path]
        else:
            mounts += ["--ro-bind", path, path]
    for part in ("__init__.py", "sandbox/__init__.py", "sandbox/room"):
        mounts += ["--ro-bind", str(_SERVICES / part), f"/launcher/services/{part}"]
    return [
        bubblewrap,
        "--unshare-all",
        "--unshare-user",
        "--disable-userns",
        "--die-with-parent",
        "--new-session",
        "--cap-drop",
        "ALL",
        "--clearenv",
        "--hostname",
        "room",
        *mounts,
        "--proc",
        "/proc",
        "--dev",
        "/dev",
        # Landlock keeps /proc away from the foreign code. Without it, settings of the kernel could be written
        # where the service runs as user 0; the launcher then cannot tell whom to end when memory is short.
        *([] if second else ["--remount-ro", "/proc"]),
        # More than is allowed, so that passing the limit is told as such; the launcher looks at it as well.
        "--size",
        str(disk_bytes + disk_bytes // 4 + (1 << 20)),
        "--tmpfs",
        ROOM,
        # What bubblewrap put together is memory too, and nobody limits it.
        "--remount-ro",
        "/dev",
        "--remount-ro",
        "/",
        "--chdir",
        ROOM,
        *_launch("/launcher", "main"),
    ]


def _launch(root: str, start: str) -> list[str]:
    return [python(), "-I", "-S", "-c", _BOOT.format(root=root, start=start)]


def find_bubblewrap() -> str:
    """Its path; empty when it is not installed."""
    return shutil.which("bwrap") or ""


def environment() -> dict[str, str]:
    """What every run gets to know. Nothing of the service's own."""
    return {
        "PATH": os.path.dirname(python()),
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        "PYTHONDONTWRITEBYTECODE": "1",
        # Address space is limited: no arena and no pool of threads for each core.
        "MALLOC_ARENA_MAX": "2",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        # The system's file is out of reach, which OpenSSL takes for a fault.
        "OPENSSL_CONF": "/dev/null",
    }
