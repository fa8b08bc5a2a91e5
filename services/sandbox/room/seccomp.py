"""The filter of system calls: what code in the room may not even ask the kernel for.

A program for the kernel's classic BPF machine, assembled here (man 2 seccomp). It knows x86_64 and aarch64;
calls of another architecture, as by int 0x80, kill the process. Calls younger than this list do not exist
(ENOSYS). Those that start a process or send a signal are put before the supervisor, which counts and looks.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import struct
from dataclasses import dataclass

from services.sandbox.room import kernel

# Data that a filter sees: number, architecture, address, six arguments of 64 bits.
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16

_LOAD, _AND, _RETURN = 0x20, 0x54, 0x06
_EQUAL, _AT_LEAST, _ANY_BIT = 0x15, 0x35, 0x45

_KILL = 0x80000000
_ERRNO = 0x00050000
_NOTIFY = 0x7FC00000
_ALLOW = 0x7FFF0000

_AUDIT = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_COLUMN = {"x86_64": 0, "aarch64": 1}
_SYS_SECCOMP = {"x86_64": 317, "aarch64": 277}
_SET_MODE_FILTER = 1
_NEW_LISTENER = 1 << 3

# The last call that was looked at, set_mempolicy_home_node; those that came later are unknown here.
_LAST_CALL = 450
_X32 = 0x40000000

# Number on x86_64 and on aarch64; -1: the call is not there.
Numbers = dict[str, tuple[int, int]]

_REFUSED: Numbers = {
    # Sockets of every family.
    "socket": (41, 198),
    "connect": (42, 203),
    "bind": (49, 200),
    "listen": (50, 201),
    "accept": (43, 202),
    "accept4": (288, 242),
    # What is sent must not carry descriptors: an open file in flight is seen by nobody.
    "sendmsg": (46, 211),
    "sendmmsg": (307, 269),
    # Other processes.
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "process_madvise": (440, 440),
    "process_mrelease": (448, 448),
    "pidfd_open": (434, 434),
    "pidfd_getfd": (438, 438),
    "pidfd_send_signal": (424, 424),
    "kcmp": (312, 272),
    "migrate_pages": (256, 238),
    "move_pages": (279, 239),
    "ioprio_set": (251, 30),
    # A filter of one's own could answer in the supervisor's place.
    "seccomp": (317, 277),
    # The kernel itself.
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "keyctl": (250, 219),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "reboot": (169, 142),
    "syslog": (103, 116),
    "acct": (163, 89),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "clock_adjtime": (305, 266),
    "adjtimex": (159, 171),
    "sethostname": (170, 161),
    "setdomainname": (171, 162),
    "personality": (135, 92),
    "lookup_dcookie": (212, 18),
    "nfsservctl": (180, 42),
    "uselib": (134, -1),
    "iopl": (172, -1),
    "ioperm": (173, -1),
    "modify_ldt": (154, -1),
    "vhangup": (153, 58),
    # The disk as a whole.
    "sync": (162, 81),
    "syncfs": (306, 267),
    # Namespaces and mounts.
    "unshare": (272, 97),
    "setns": (308, 268),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    # Files by another way than their path, and the eyes on files of others.
    "open_by_handle_at": (304, 265),
    "name_to_handle_at": (303, 264),
    "fanotify_init": (300, 262),
    "fanotify_mark": (301, 263),
    "inotify_init": (253, -1),
    "inotify_init1": (294, 26),
    "inotify_add_watch": (254, 27),
    "truncate": (76, 45),
    # Memory and messages that are shared by the whole machine.
    "shmget": (29, 194),
    "shmat": (30, 196),
    "shmctl": (31, 195),
    "semget": (64, 190),
    "semop": (65, 193),
    "semtimedop": (220, 192),
    "semctl": (66, 191),
    "msgget": (68, 186),
    "msgsnd": (69, 189),
    "msgrcv": (70, 188),
    "msgctl": (71, 187),
    "mq_open": (240, 180),
    "mq_unlink": (241, 181),
    "mq_notify": (244, 184),
}
# As if the kernel did not have them: programs then take an older way, which is looked at.
_ABSENT: Numbers = {
    "clone3": (435, 435),
    "openat2": (437, 437),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    # Space that no limit of files and no look at the working directory would see.
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
}
# Modes, owners, times and labels of files: Landlock does not watch them. Refused where the files of the
# host are there to be changed.
_METADATA: Numbers = {
    "chmod": (90, -1),
    "fchmod": (91, 52),
    "fchmodat": (268, 53),
    "chown": (92, -1),
    "fchown": (93, 55),
    "lchown": (94, -1),
    "fchownat": (260, 54),
    "utime": (132, -1),
    "utimes": (235, -1),
    "futimesat": (261, -1),
    "utimensat": (280, 88),
    "setxattr": (188, 5),
    "lsetxattr": (189, 6),
    "fsetxattr": (190, 7),
    "removexattr": (197, 14),
    "lremovexattr": (198, 15),
    "fremovexattr": (199, 16),
}
# What the supervisor is asked about.
STARTS: Numbers = {"clone": (56, 220), "fork": (57, -1), "vfork": (58, -1)}
SIGNALS: Numbers = {
    "kill": (62, 129),
    "tkill": (200, 130),
    "tgkill": (234, 131),
    "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240),
}
# Only for the caller itself: the first argument, a process, must be 0.
_OF_ONESELF: Numbers = {
    "sched_setaffinity": (203, 122),
    "sched_setscheduler": (144, 119),
    "sched_setparam": (142, 118),
    "sched_setattr": (314, 274),
    "prlimit64": (302, 261),
}
# A namespace of any kind, or a child that would not be the caller's.
_CLONE_REFUSED = 0x7E020000 | 0x00000080 | 0x00008000
# Owners of a descriptor's signals, and their number; leases and notices on files.
_FCNTL_REFUSED = (8, 10, 15, 1024, 1026)
# Keys typed into a terminal, and owners of signals again.
_IOCTL_REFUSED = (0x5412, 0x541C, 0x8901, 0x8902)
_PRCTL_REFUSED = (kernel.PR_SET_DUMPABLE, 22, 35, kernel.PR_SET_PDEATHSIG)
_AF_UNIX, _SOCK_STREAM, _SOCK_FLAGS = 1, 1, 0o2004000
_O_TRUNC, _O_ACCMODE = 0o1000, 3


class _Assembler:
    """Instructions, each a code, two jumps and an operand."""

    def __init__(self) -> None:
        self.program: list[tuple[int, int, int, int]] = []

    def load(self, offset: int) -> None:
        self.program.append((_LOAD, 0, 0, offset))

    def argument(self, index: int, high: bool = False) -> None:
        """Loads the low (or high) half of an argument."""
        self.load(_ARGUMENTS + 8 * index + (4 if high else 0))

    def mask(self, bits: int) -> None:
        self.program.append((_AND, 0, 0, bits))

    def give(self, action: int) -> None:
        self.program.append((_RETURN, 0, 0, action))

    def give_if(self, test: int, operand: int, action: int) -> None:
        self.program.append((test, 0, 1, operand))
        self.give(action)

    def give_unless(self, test: int, operand: int, action: int) -> None:
        self.program.append((test, 1, 0, operand))
        self.give(action)

    def block(self, number: int, inner: _Assembler) -> None:
        """Runs `inner`, which must end in an answer, for one call."""
        self.program.append((_EQUAL, 0, len(inner.program), number))
        self.program += inner.program

    def code(self) -> bytes:
        return b"".join(struct.pack("=HBBI", *line) for line in self.program)


def _begin(machine: str) -> _Assembler:
    out = _Assembler()
    out.load(_ARCHITECTURE)
    out.give_unless(_EQUAL, _AUDIT[machine], _KILL)
    out.load(_NUMBER)
    return out


def questions(machine: str) -> bytes:
    """The filter that puts calls before the supervisor. What the other one refuses does not get there.

    Raises KeyError when the architecture is not known.
    """
    out = _begin(machine)
    for both in (*STARTS.values(), *SIGNALS.values()):
        if both[_COLUMN[machine]] >= 0:
            out.give_if(_EQUAL, both[_COLUMN[machine]], _NOTIFY)
    out.give(_ALLOW)
    return out.code()


def refusals(machine: str, metadata: bool) -> bytes:
    """The filter that refuses. metadata: modes and times of files may be changed. Raises KeyError."""
    column = _COLUMN[machine]
    refuse, absent = _ERRNO | errno.EPERM, _ERRNO | errno.ENOSYS
    out = _begin(machine)
    out.give_if(_AT_LEAST, _X32, _KILL)
    out.give_if(_AT_LEAST, _LAST_CALL + 1, absent)
    refused = _REFUSED if metadata else {**_REFUSED, **_METADATA}
    for numbers, action in ((refused, refuse), (_ABSENT, absent)):
        for both in numbers.values():
            if both[column] >= 0:
                out.give_if(_EQUAL, both[column], action)
    for both, inner in _looked_into(refuse):
        if both[column] >= 0:
            out.block(both[column], inner)
    out.give(_ALLOW)
    return out.code()


def _looked_into(refuse: int) -> list[tuple[tuple[int, int], _Assembler]]:
    """Calls whose arguments decide."""
    found: list[tuple[tuple[int, int], _Assembler]] = []

    def call(numbers: tuple[int, int]) -> _Assembler:
        inner = _Assembler()
        found.append((numbers, inner))
        return inner

    start = call(STARTS["clone"])
    start.argument(0)
    start.give_if(_ANY_BIT, _CLONE_REFUSED, refuse)
    start.give(_ALLOW)

    for numbers in _OF_ONESELF.values():
        own = call(numbers)
        own.argument(0)
        own.give_unless(_EQUAL, 0, refuse)
        own.give(_ALLOW)

    priority = call((141, 140))
    for index in (0, 1):
        priority.argument(index)
        priority.give_unless(_EQUAL, 0, refuse)
    priority.give(_ALLOW)

    # Both ends of a stream pair are connected for good. A pair of datagrams could be sent anywhere.
    pair = call((53, 199))
    pair.argument(0)
    pair.give_unless(_EQUAL, _AF_UNIX, refuse)
    pair.argument(1)
    pair.mask(0xFFFFFFFF ^ _SOCK_FLAGS)
    pair.give_unless(_EQUAL, _SOCK_STREAM, refuse)
    pair.give(_ALLOW)
    send = call((44, 206))
    for high in (False, True):
        send.argument(4, high)
        send.give_unless(_EQUAL, 0, refuse)
    send.give(_ALLOW)

    # Opened for reading, and cut to nothing by that: old versions of Landlock let it pass.
    for numbers, index in (((2, -1), 1), ((257, 56), 2)):
        opening = call(numbers)
        opening.argument(index)
        opening.mask(_O_ACCMODE)
        opening.give_if(_EQUAL, _O_ACCMODE, refuse)
        opening.argument(index)
        opening.mask(_O_ACCMODE | _O_TRUNC)
        opening.give_if(_EQUAL, _O_TRUNC, refuse)
        opening.give(_ALLOW)

    for numbers, index, values in (
        ((72, 25), 1, _FCNTL_REFUSED),
        ((16, 29), 1, _IOCTL_REFUSED),
        ((157, 167), 0, _PRCTL_REFUSED),
    ):
        several = call(numbers)
        several.argument(index)
        for value in values:
            several.give_if(_EQUAL, value, refuse)
        several.give(_ALLOW)
    return found


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def install(code: bytes, asks: bool = False) -> int:
    """Puts a filter on this thread and what it starts; filters add up, and the stricter answer counts.

    asks: the descriptor of its questions is returned. Raises OSError. Needs no_new_privs.
    """
    buffer = ctypes.create_string_buffer(code, len(code))
    program = _Program(len(code) // 8, ctypes.cast(buffer, ctypes.c_void_p))
    number = _SYS_SECCOMP[os.uname().machine]
    return kernel.syscall(number, _SET_MODE_FILTER, _NEW_LISTENER if asks else 0, ctypes.byref(program))


@dataclass(frozen=True)
class Question:
    """A call that waits for an answer: of which thread, its number and its arguments."""

    id: int
    thread: int
    number: int
    arguments: tuple[int, ...]


# struct seccomp_notif and seccomp_notif_resp, and the ioctls that take them.
_QUESTION = struct.Struct("=QIIiIQ6Q")
_ANSWER = struct.Struct("=QqiI")
_RECEIVE, _SEND = 0xC0502100, 0xC0182101
_CONTINUE = 1


def receive(listener: int) -> Question | None:
    """The next question; None when the one who asked is gone."""
    buffer = bytearray(_QUESTION.size)
    try:
        fcntl.ioctl(listener, _RECEIVE, buffer)
    except FileNotFoundError:
        return None
    id_, thread, _flags, number, _architecture, _address, *arguments = _QUESTION.unpack(buffer)
    return Question(id_, thread, number, tuple(arguments))


def answer(listener: int, question: Question, refused: int = 0) -> None:
    """Lets the call go on, or fail with the error number `refused`."""
    said = _ANSWER.pack(question.id, 0, -refused, 0 if refused else _CONTINUE)
    try:
        fcntl.ioctl(listener, _SEND, bytearray(said))
    except FileNotFoundError:
        # Killed meanwhile.
        return
