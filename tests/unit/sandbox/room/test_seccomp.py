"""The filter as the kernel would read it, for both architectures."""

from __future__ import annotations

import errno
import struct

import pytest

from services.sandbox.room import seccomp

KILL, ALLOW, ASK = 0x80000000, 0x7FFF0000, 0x7FC00000
NO_TERMINAL = 0x00050000 | errno.ENOTTY
REFUSE, ABSENT = 0x00050000 | errno.EPERM, 0x00050000 | errno.ENOSYS
AUDIT = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
MACHINES = ("x86_64", "aarch64")


def decide(code: bytes, architecture: int, number: int, *arguments: int) -> int:
    """Runs a program of the classic BPF machine, as far as filters use it."""
    values = [*arguments, 0, 0, 0, 0, 0, 0][:6]
    data = struct.pack("=IIQ6Q", number, architecture, 0, *(value & (1 << 64) - 1 for value in values))
    program = [struct.unpack("=HBBI", code[at : at + 8]) for at in range(0, len(code), 8)]
    accumulator = at = 0
    while True:
        instruction, yes, no, operand = program[at]
        at += 1
        match instruction:
            case 0x20:
                (accumulator,) = struct.unpack_from("=I", data, operand)
            case 0x54:
                accumulator &= operand
            case 0x06:
                return operand
            case 0x15:
                at += yes if accumulator == operand else no
            case 0x35:
                at += yes if accumulator >= operand else no
            case 0x45:
                at += yes if accumulator & operand else no
            case _:
                raise AssertionError(instruction)


# Name, numbers on x86_64 and aarch64 (None: not there), arguments, and what the refusing filter says.
CALLS = [
    ("read", (0, 63), (), ALLOW),
    ("execve", (59, 221), (), ALLOW),
    ("mmap", (9, 222), (), ALLOW),
    ("socket", (41, 198), (1,), REFUSE),
    ("connect", (42, 203), (), REFUSE),
    ("bind", (49, 200), (), REFUSE),
    ("sendmsg", (46, 211), (), REFUSE),
    ("sendto without an address", (44, 206), (3, 0, 0, 0, 0), ALLOW),
    ("sendto with an address", (44, 206), (3, 0, 0, 0, 0x7FFF_0000_1000), REFUSE),
    ("sendto with a high address", (44, 206), (3, 0, 0, 0, 1 << 32), REFUSE),
    ("socketpair", (53, 199), (1, 1), ALLOW),
    ("socketpair, closed on exec", (53, 199), (1, 1 | 0o2004000), ALLOW),
    ("socketpair of datagrams", (53, 199), (1, 2), REFUSE),
    ("socketpair of packets", (53, 199), (1, 5), REFUSE),
    ("socketpair over IP", (53, 199), (2, 1), REFUSE),
    ("ptrace", (101, 117), (), REFUSE),
    ("unshare", (272, 97), (0,), REFUSE),
    ("setns", (308, 268), (), REFUSE),
    ("clone of a thread", (56, 220), (0x3D0F00,), ALLOW),
    ("clone of a process", (56, 220), (0x1200011,), ALLOW),
    *[
        (f"clone into a namespace {flag:x}", (56, 220), (flag | 17,), REFUSE)
        for flag in (0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000, 0x80)
    ],
    ("clone for the parent", (56, 220), (0x8000 | 17,), REFUSE),
    ("clone3", (435, 435), (), ABSENT),
    ("io_uring_setup", (425, 425), (), ABSENT),
    ("openat2", (437, 437), (), ABSENT),
    ("memfd_create", (319, 279), (), ABSENT),
    ("a call of tomorrow", (900, 900), (), ABSENT),
    ("fchmodat2", (452, 452), (), ABSENT),
    ("seccomp", (317, 277), (), REFUSE),
    ("prctl: name", (157, 167), (15,), ALLOW),
    ("prctl: dumpable", (157, 167), (4,), REFUSE),
    ("prctl: seccomp", (157, 167), (22,), REFUSE),
    ("prctl: death signal", (157, 167), (1,), REFUSE),
    ("openat to read", (257, 56), (0, 0, 0), ALLOW),
    ("openat to write and cut", (257, 56), (0, 0, 0o1001), ALLOW),
    ("openat to read and cut", (257, 56), (0, 0, 0o1000), REFUSE),
    ("openat for nothing", (257, 56), (0, 0, 3), REFUSE),
    ("open to read and cut", (2, None), (0, 0o1000), REFUSE),
    ("truncate", (76, 45), (), REFUSE),
    ("ftruncate", (77, 46), (), ALLOW),
    ("fcntl: copy", (72, 25), (0, 0), ALLOW),
    ("fcntl: owner", (72, 25), (0, 8), REFUSE),
    ("fcntl: lease", (72, 25), (0, 1024), REFUSE),
    ("fcntl: larger pipe", (72, 25), (0, 1031), REFUSE),
    ("io_setup", (206, 0), (), ABSENT),
    ("ioctl: size of the terminal", (16, 29), (0, 0x5413), ALLOW),
    ("ioctl: type into it", (16, 29), (0, 0x5412), NO_TERMINAL),
    ("ioctl: type into it, with high bits", (16, 29), (0, 1 << 32 | 0x5412), NO_TERMINAL),
    ("ioctl: flags of a file", (16, 29), (0, 0x40086602), NO_TERMINAL),
    ("limits of oneself", (302, 261), (0,), ALLOW),
    ("limits of another", (302, 261), (1234,), REFUSE),
    ("affinity of another", (203, 122), (1234,), REFUSE),
    ("priority of oneself", (141, 140), (0, 0), ALLOW),
    ("priority of another", (141, 140), (0, 1234), REFUSE),
    ("priority of a user", (141, 140), (2, 0), REFUSE),
    ("mount", (165, 40), (), REFUSE),
    ("bpf", (321, 280), (), REFUSE),
    ("keyctl", (250, 219), (), REFUSE),
    ("shmget", (29, 194), (), REFUSE),
    ("inotify_add_watch", (254, 27), (), REFUSE),
    ("kill, of which the other filter asks", (62, 129), (), ALLOW),
]


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize(("name", "numbers", "arguments", "expected"), CALLS, ids=[call[0] for call in CALLS])
def test_what_is_refused(
    name: str, numbers: tuple[int, int | None], arguments: tuple[int, ...], expected: int, machine: str
) -> None:
    number = numbers[MACHINES.index(machine)]
    if number is not None:
        code = seccomp.refusals(machine, metadata=False)

        assert decide(code, AUDIT[machine], number, *arguments) == expected


@pytest.mark.parametrize("machine", MACHINES)
def test_calls_of_another_architecture_kill(machine: str) -> None:
    other = next(AUDIT[name] for name in MACHINES if name != machine)

    for code in (seccomp.refusals(machine, metadata=False), seccomp.questions(machine, metadata=False)):
        assert decide(code, other, 0) == KILL
        assert decide(code, 0x40000003, 0) == KILL
    assert decide(seccomp.refusals(machine, metadata=False), AUDIT[machine], 0x40000000 | 41) == KILL


# chown, setxattr, utimes on the one and fchownat on the other
@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("numbers", [(92, 55), (188, 5), (235, 54)])
def test_owners_and_labels_change_only_where_the_host_has_no_files(
    numbers: tuple[int, int], machine: str
) -> None:
    number = numbers[MACHINES.index(machine)]

    assert decide(seccomp.refusals(machine, metadata=False), AUDIT[machine], number) == REFUSE
    assert decide(seccomp.refusals(machine, metadata=True), AUDIT[machine], number) == ALLOW


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("numbers", [(90, 53), (91, 52), (268, 53), (280, 88)])
def test_modes_and_times_are_asked_about_where_the_host_has_files(
    numbers: tuple[int, int], machine: str
) -> None:
    number = numbers[MACHINES.index(machine)]

    assert decide(seccomp.questions(machine, metadata=False), AUDIT[machine], number) == ASK
    assert decide(seccomp.questions(machine, metadata=True), AUDIT[machine], number) == ALLOW
    assert decide(seccomp.refusals(machine, metadata=False), AUDIT[machine], number) == ALLOW


@pytest.mark.parametrize("machine", MACHINES)
def test_starts_and_signals_are_asked_about(machine: str) -> None:
    code = seccomp.questions(machine, metadata=True)
    column = MACHINES.index(machine)

    for numbers in ((56, 220), (57, None), (58, None), (62, 129), (200, 130), (234, 131), (129, 138)):
        if (number := numbers[column]) is not None:
            assert decide(code, AUDIT[machine], number) == ASK
    assert decide(code, AUDIT[machine], (0, 63)[column]) == ALLOW


def test_an_unknown_architecture_has_no_filter() -> None:
    with pytest.raises(KeyError):
        seccomp.refusals("riscv64", metadata=False)
