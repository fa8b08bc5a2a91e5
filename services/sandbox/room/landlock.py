"""Landlock: which files a process and all its children can reach, whoever they are.

Rules of the kernel's documentation (userspace-api/landlock). Every right that the kernel at hand can
take away is taken away, and given back below the named paths only. Not covered by Landlock: metadata
(stat, readlink), and changes of metadata, which the system call filter refuses.
"""

from __future__ import annotations

import ctypes
import os
import stat
import struct
from collections.abc import Iterable

from services.sandbox.room import kernel

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION = 1
_PATH_BENEATH = 1

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_REMOVE_DIR, _REMOVE_FILE = 1 << 4, 1 << 5
_MAKE_DIR, _MAKE_REG, _MAKE_FIFO, _MAKE_SYM = 1 << 7, 1 << 8, 1 << 10, 1 << 12
_REFER, _TRUNCATE = 1 << 13, 1 << 14

# Rights on files by version of the interface: 1 has the first thirteen, 2 REFER, 3 TRUNCATE, 5 IOCTL_DEV.
_RIGHTS = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 4: (1 << 15) - 1, 5: (1 << 16) - 1}
# Version 4: bind and connect of TCP. Version 6: abstract sockets and signals beyond this domain.
_NETWORK = 0b11
_SCOPES = 0b11

_READ = _READ_FILE | _READ_DIR | _EXECUTE
# Programs of one's own making are not executed.
_WRITE = (
    _READ_FILE
    | _READ_DIR
    | _WRITE_FILE
    | _REMOVE_DIR
    | _REMOVE_FILE
    | _MAKE_DIR
    | _MAKE_REG
    | _MAKE_FIFO
    | _MAKE_SYM
    | _REFER
    | _TRUNCATE
)
_OF_A_FILE = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE


def version() -> int:
    """The version of the kernel's interface; 0 without one."""
    try:
        return kernel.syscall(_CREATE_RULESET, 0, 0, _VERSION)
    except OSError:
        return 0


def restrict(readable: Iterable[str], writable: Iterable[str], devices: Iterable[str], abi: int) -> None:
    """Confines this thread and what it starts. Paths that do not exist are left out.

    readable: read and execute below. writable: all but executing, sockets and device nodes below.
    devices: read and write. abi: the version to use. Raises OSError. Needs no_new_privs.
    """
    rights = _RIGHTS[min(abi, max(_RIGHTS))]
    attributes = struct.pack("=Q", rights)
    if abi >= 4:
        attributes += struct.pack("=Q", _NETWORK)
    if abi >= 6:
        attributes += struct.pack("=Q", _SCOPES)
    ruleset = kernel.syscall(_CREATE_RULESET, attributes, len(attributes), 0)
    try:
        for path in readable:
            _allow(ruleset, path, _READ & rights)
        for path in writable:
            _allow(ruleset, path, _WRITE & rights)
        for path in devices:
            _allow(ruleset, path, (_READ_FILE | _WRITE_FILE) & rights)
        kernel.syscall(_RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: str, rights: int) -> None:
    try:
        beneath = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        if not stat.S_ISDIR(os.fstat(beneath).st_mode):
            rights &= _OF_A_FILE
        rule = struct.pack("=Qi", rights, beneath)
        kernel.syscall(_ADD_RULE, ruleset, _PATH_BENEATH, ctypes.create_string_buffer(rule, len(rule)), 0)
    finally:
        os.close(beneath)
