"""Calls of the kernel that the standard library does not offer."""

from __future__ import annotations

import ctypes
import os

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_CAPBSET_DROP = 24
PR_SET_SECUREBITS = 28
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38
PR_CAP_AMBIENT = 47

_PR_CAP_AMBIENT_CLEAR_ALL = 4
# NOROOT, NO_SETUID_FIXUP and NO_CAP_AMBIENT_RAISE, each with its lock: user 0 is a user like any other.
_SECUREBITS = 0b11101111
_CAPABILITY_VERSION_3 = 0x20080522
_SYS_CAPSET = {"x86_64": 126, "aarch64": 91}

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def syscall(number: int, *arguments: object) -> int:
    """The call's result. Integers, bytes and ctypes objects are arguments. Raises OSError."""
    passed = [ctypes.c_long(value) if isinstance(value, int) else value for value in arguments]
    result = int(_libc.syscall(ctypes.c_long(number), *passed))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def prctl(option: int, value: int = 0, *more: int) -> None:
    """Raises OSError."""
    rest = [*more, 0, 0, 0][:3]
    if _libc.prctl(option, ctypes.c_ulong(value), *(ctypes.c_ulong(number) for number in rest)) < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"prctl {option}: {os.strerror(code)}")


def drop_capabilities() -> None:
    """For good, also for user 0. Raises OSError when any is left."""
    prctl(PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL)
    for capability in range(64):
        try:
            prctl(PR_CAPBSET_DROP, capability)
        except OSError:
            # Unknown to this kernel, or not ours to drop: then the sets below are empty as it is.
            break
    try:
        prctl(PR_SET_SECUREBITS, _SECUREBITS)
    except OSError:
        if os.geteuid() == 0 and _held():
            raise
    header = _CAPABILITY_VERSION_3.to_bytes(4, "little") + bytes(4)
    syscall(_SYS_CAPSET[os.uname().machine], header, bytes(24))
    if _held():
        raise OSError("a capability is left")


def _held() -> bool:
    """Whether this process has, or may get, a capability."""
    with open("/proc/self/status", encoding="ascii") as status:
        sets = dict(line.split(":", 1) for line in status if line.startswith("Cap"))
    return any(int(sets[name], 16) for name in ("CapPrm", "CapEff", "CapInh", "CapAmb"))
