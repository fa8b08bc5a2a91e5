"""Runs inside the sandbox and tries to get out: `python attempts.py` with a description of the world on stdin.

Each attempt is one function. It gets the world, and returns what it got hold of; whatever is not None is an
escape, and so is every effect that the world outside sees. Each runs in a process of its own, so that one
that is killed says nothing of the others. The last line of each is {"name", "got", "refused"}.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from typing import Any

World = dict[str, Any]
ATTEMPTS: dict[str, Callable[[World], object]] = {}
_SECONDS = 4

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long
# x86_64, aarch64
_NUMBERS = {
    "memfd_create": (319, 279), "shmget": (29, 194), "shmat": (30, 196), "msgget": (68, 186),
    "semget": (64, 190), "ptrace": (101, 117), "process_vm_readv": (310, 270), "pidfd_open": (434, 434),
    "pidfd_getfd": (438, 438), "pidfd_send_signal": (424, 424), "process_madvise": (440, 440),
    "rt_sigqueueinfo": (129, 138), "tgkill": (234, 131), "tkill": (200, 130), "io_uring_setup": (425, 425),
    "bpf": (321, 280), "perf_event_open": (298, 241), "userfaultfd": (323, 282), "keyctl": (250, 219),
    "add_key": (248, 217), "request_key": (249, 218), "kexec_load": (246, 104), "init_module": (175, 105),
    "finit_module": (313, 273), "syslog": (103, 116), "reboot": (169, 142), "unshare": (272, 97),
    "setns": (308, 268), "clone": (56, 220), "clone3": (435, 435), "mount": (165, 40), "umount2": (166, 39),
    "pivot_root": (155, 41), "fsopen": (430, 430), "open_tree": (428, 428), "chroot": (161, 51),
    "seccomp": (317, 277), "personality": (135, 92), "capset": (126, 91), "openat2": (437, 437),
    "name_to_handle_at": (303, 264), "open_by_handle_at": (304, 265), "inotify_init1": (294, 26),
    "inotify_add_watch": (254, 27), "fanotify_init": (300, 262), "mq_open": (240, 180), "truncate": (76, 45),
    "settimeofday": (164, 170), "swapon": (167, 224), "acct": (163, 89), "sendmsg": (46, 211),
    "fchmodat2": (452, 452), "kcmp": (312, 272), "move_pages": (279, 239), "migrate_pages": (256, 238),
    "sethostname": (170, 161), "quotactl": (179, 60), "ioprio_set": (251, 30), "sched_setattr": (314, 274),
    "io_setup": (206, 0), "socket": (41, 198),
}  # fmt: skip


def call(name: str, *arguments: object) -> int:
    """A system call by its number. Raises OSError."""
    number = _NUMBERS[name][0 if os.uname().machine == "x86_64" else 1]
    passed = [ctypes.c_long(value) if isinstance(value, int) else value for value in arguments]
    result = int(_libc.syscall(ctypes.c_long(number), *passed))
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def attempt(action: Callable[[World], object]) -> Callable[[World], object]:
    ATTEMPTS[action.__name__] = action
    return action


def content(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read(1 << 20)


def _unknown(folder: str) -> list[str] | None:
    """What is in a folder, but for the way to the interpreter, which is known as it is."""
    known = f"{sys.prefix}/{sys.base_prefix}".split("/")
    return [name for name in os.listdir(folder) if name not in known] or None


# --- files -------------------------------------------------------------------


@attempt
def read_a_file_of_the_host(world: World) -> object:
    return content(world["secret"])


@attempt
def read_the_users_of_the_machine(world: World) -> object:
    return content("/etc/passwd")


@attempt
def read_the_passwords_of_the_machine(world: World) -> object:
    return content("/etc/shadow")


@attempt
def list_a_folder_of_the_host(world: World) -> object:
    return os.listdir(world["folder"])


@attempt
def list_the_homes_of_the_host(world: World) -> object:
    return _unknown("/root") or _unknown("/home") or _unknown(os.path.expanduser("~root"))


@attempt
def read_through_a_symbolic_link(world: World) -> object:
    os.symlink(world["secret"], "link")
    return content("link")


@attempt
def read_through_a_linked_folder(world: World) -> object:
    os.symlink(world["folder"], "linked-folder")
    return content("linked-folder/secret")


@attempt
def read_through_a_hard_link(world: World) -> object:
    os.link(world["secret"], "hard")
    return content("hard")


@attempt
def read_by_many_steps_up(world: World) -> object:
    return content("../" * 30 + world["secret"])


@attempt
def read_through_the_root_of_a_process(world: World) -> object:
    return content("/proc/self/root" + world["secret"])


@attempt
def read_through_the_root_of_the_first_process(world: World) -> object:
    return content("/proc/1/root" + world["secret"])


@attempt
def read_by_openat2(world: World) -> object:
    how = (ctypes.c_uint64 * 3)(0, 0, 0)
    return os.read(call("openat2", -100, world["secret"].encode(), ctypes.byref(how), 24), 100)


@attempt
def read_by_a_handle(world: World) -> object:
    handle = ctypes.create_string_buffer(b"\x80\0\0\0", 136)
    mount = ctypes.c_int()
    call("name_to_handle_at", -100, world["secret"].encode(), handle, ctypes.byref(mount), 0)
    return os.read(call("open_by_handle_at", -100, handle, 0), 100)


@attempt
def write_a_file_of_the_host(world: World) -> object:
    with open(world["precious"], "a") as file:
        return file.write("changed")


@attempt
def write_a_new_file_on_the_host(world: World) -> object:
    with open(world["folder"] + "/planted", "w") as file:
        return file.write("planted")


@attempt
def make_a_folder_on_the_host(world: World) -> object:
    os.mkdir(world["folder"] + "/planted-folder")
    return True


@attempt
def remove_a_file_of_the_host(world: World) -> object:
    os.unlink(world["precious"])
    return True


@attempt
def rename_a_file_of_the_host(world: World) -> object:
    os.rename(world["precious"], "mine")
    return True


@attempt
def cut_a_file_of_the_host(world: World) -> object:
    os.truncate(world["precious"], 0)
    return True


@attempt
def cut_a_file_by_opening_it_for_reading(world: World) -> object:
    return os.open(world["precious"], os.O_RDONLY | os.O_TRUNC)


@attempt
def cut_a_file_by_opening_it_for_nothing(world: World) -> object:
    return os.open(world["precious"], os.O_ACCMODE | os.O_TRUNC)


@attempt
def change_the_mode_of_a_file(world: World) -> object:
    os.chmod(world["precious"], 0o777)
    return True


@attempt
def change_the_mode_through_a_link(world: World) -> object:
    os.symlink(world["precious"], "precious-link")
    os.chmod("precious-link", 0o777)
    return True


@attempt
def change_the_mode_through_a_linked_folder(world: World) -> object:
    os.symlink(world["folder"], "folder-link")
    os.chmod("folder-link/precious", 0o777)
    return True


@attempt
def change_the_mode_while_a_link_comes_and_goes(world: World) -> object:
    os.mkdir("swapped")
    open("swapped/precious", "w").close()
    os.symlink(world["folder"], "swap")
    child = os.fork()
    if child == 0:
        try:
            while True:
                os.rename("swapped", "aside")
                os.rename("swap", "swapped")
                os.rename("swapped", "swap")
                os.rename("aside", "swapped")
        finally:
            os._exit(1)
    done = 0
    for _ in range(300):
        try:
            os.chmod("swapped/precious", 0o777)
        except OSError:
            continue
        done += 1
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    # Whether one came through is seen from outside. Its own file it may change.
    raise PermissionError(f"{done} of 300 changed the file of the room")


@attempt
def change_the_time_by_steps_up(world: World) -> object:
    os.utime("../../.." + world["precious"], (1, 1))
    return True


@attempt
def change_the_mode_from_another_folder(world: World) -> object:
    os.chdir(os.path.dirname(os.__file__))
    os.chmod("os.py", 0o777)
    return True


@attempt
def change_the_mode_in_an_open_folder(world: World) -> object:
    folder = os.open(os.path.dirname(os.__file__), os.O_RDONLY)
    os.chmod("os.py", 0o777, dir_fd=folder)
    return True


@attempt
def change_the_mode_of_the_lock_of_the_room(world: World) -> object:
    os.chmod(os.path.dirname(os.getcwd()) + ".lock", 0o777)
    return True


@attempt
def change_a_mode_by_a_young_call(world: World) -> object:
    return call("fchmodat2", -100, world["precious"].encode(), 0o777, 0)


@attempt
def change_the_owner_of_a_file(world: World) -> object:
    os.chown(world["precious"], 12345, 12345)
    return True


@attempt
def change_the_time_of_a_file(world: World) -> object:
    os.utime(world["precious"], (1, 1))
    return True


@attempt
def label_a_file(world: World) -> object:
    os.setxattr(world["precious"], "user.label", b"x")
    return True


@attempt
def change_the_mode_of_the_interpreter(world: World) -> object:
    descriptor = os.open(os.__file__, os.O_RDONLY)
    os.fchmod(descriptor, os.fstat(descriptor).st_mode)
    return True


@attempt
def write_into_the_packages(world: World) -> object:
    with open(world["packages"] + "/planted.pth", "w") as file:
        return file.write("import os")


@attempt
def write_into_the_standard_library(world: World) -> object:
    with open(os.path.dirname(os.__file__) + "/planted.py", "w") as file:
        return file.write("x")


@attempt
def read_the_project_around_the_packages(world: World) -> object:
    if sys.prefix == sys.base_prefix:
        raise PermissionError("the interpreter is the system's")
    return _unknown(os.path.dirname(sys.prefix))


@attempt
def read_the_code_of_the_service(world: World) -> object:
    return content(world["source"])


@attempt
def read_the_rooms_of_others(world: World) -> object:
    return os.listdir(world["rooms"])


@attempt
def write_beside_the_room(world: World) -> object:
    with open("../../planted", "w") as file:
        return file.write("x")


@attempt
def watch_a_folder_of_the_host(world: World) -> object:
    return call("inotify_add_watch", call("inotify_init1", 0), world["folder"].encode(), 0xFFF)


@attempt
def watch_the_whole_machine(world: World) -> object:
    return call("fanotify_init", 0, 0)


@attempt
def set_the_flags_of_the_interpreter(world: World) -> object:
    import fcntl

    flags = bytearray(8)
    with open(os.__file__, "rb") as file:
        fcntl.ioctl(file, 0x80086601, flags)
        fcntl.ioctl(file, 0x40086602, flags)
    return True


@attempt
def seal_the_interpreter(world: World) -> object:
    import fcntl

    # fs-verity, with an unknown version: allowed or not, it does nothing. EINVAL would say that it was looked at.
    with open(os.__file__, "rb") as file:
        try:
            return fcntl.ioctl(file, 0x40806685, bytearray(128))
        except OSError as error:
            if error.errno == 22:
                return "reached the file system"
            raise


@attempt
def use_up_the_requests_of_the_machine(world: World) -> object:
    return call("io_setup", 1, ctypes.byref(ctypes.c_ulong(0))) + 1


@attempt
def make_a_pipe_larger(world: World) -> object:
    import fcntl

    return fcntl.fcntl(os.pipe()[1], 1031, 1 << 20)


@attempt
def wait_with_many_signals(world: World) -> object:
    # Real-time signals are kept one by one, and the whole user has a number of them.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGRTMIN})
    information = ctypes.create_string_buffer(b"\x22\0\0\0\0\0\0\0\xff\xff\xff\xff", 128)
    for _ in range(5000):
        call("rt_sigqueueinfo", os.getpid(), signal.SIGRTMIN, information)
    return True


@attempt
def lease_a_file(world: World) -> object:
    import fcntl

    fcntl.fcntl(os.open(os.__file__, os.O_RDONLY), 1024, 0)
    return True


@attempt
def be_told_of_changes_in_a_folder(world: World) -> object:
    import fcntl

    fcntl.fcntl(os.open(os.path.dirname(os.__file__), os.O_RDONLY), 1026, 0x80000001)
    return True


@attempt
def open_a_pipe_of_the_host(world: World) -> object:
    return os.open(world["pipe"], os.O_RDWR | os.O_NONBLOCK)


@attempt
def run_a_program_of_the_host(world: World) -> object:
    os.execv(world["program"], ["program"])


@attempt
def run_a_shell(world: World) -> object:
    os.execv("/bin/sh", ["sh", "-c", f"echo got > {world['folder']}/planted-by-shell; echo SHELL-RAN"])


@attempt
def read_the_memory_of_the_machine(world: World) -> object:
    for device in ("/dev/mem", "/dev/kmem", "/dev/kmsg", "/proc/kcore", "/dev/port"):
        try:
            return os.open(device, os.O_RDONLY)
        except OSError:
            continue
    raise PermissionError


@attempt
def read_the_disk(world: World) -> object:
    for device in ("/dev/vda", "/dev/sda", "/dev/nvme0n1", "/dev/loop0", "/dev/fuse"):
        try:
            return os.open(device, os.O_RDONLY)
        except OSError:
            continue
    raise PermissionError


@attempt
def make_a_device(world: World) -> object:
    os.mknod("disk", 0o60600, os.makedev(254, 0))
    return os.open("disk", os.O_RDONLY)


@attempt
def type_into_the_terminal(world: World) -> object:
    import fcntl

    for path in ("/dev/tty", "/dev/console", "/dev/ptmx"):
        try:
            fcntl.ioctl(os.open(path, os.O_RDWR), 0x5412, b"x")
        except OSError:
            continue
        return path
    raise PermissionError


@attempt
def set_where_core_files_go(world: World) -> object:
    return os.open("/proc/sys/kernel/core_pattern", os.O_WRONLY)


@attempt
def press_the_magic_key(world: World) -> object:
    return os.open("/proc/sysrq-trigger", os.O_WRONLY)


@attempt
def make_a_control_group(world: World) -> object:
    for path in ("/sys/fs/cgroup", "/sys/fs/cgroup/memory", "/sys/fs/cgroup/unified"):
        try:
            os.mkdir(path + "/meld-escape")
        except OSError:
            continue
        return path
    raise PermissionError


# --- network -----------------------------------------------------------------


def _connect(family: int, kind: int, address: Any) -> object:
    with socket.socket(family, kind) as line:
        line.settimeout(2)
        line.connect(address)
        line.send(b"hello from inside")
        return True


@attempt
def connect_over_tcp(world: World) -> object:
    return _connect(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", world["tcp"]))


@attempt
def connect_over_tcp_6(world: World) -> object:
    return _connect(socket.AF_INET6, socket.SOCK_STREAM, ("::1", world["tcp"]))


@attempt
def send_over_udp(world: World) -> object:
    return _connect(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", world["udp"]))


@attempt
def listen_on_a_port(world: World) -> object:
    return socket.create_server(("127.0.0.1", 0)).getsockname()


@attempt
def resolve_a_name(world: World) -> object:
    return socket.getaddrinfo("localhost", world["tcp"])[0] and _connect(
        socket.AF_INET, socket.SOCK_STREAM, ("localhost", world["tcp"])
    )


@attempt
def fetch_over_http(world: World) -> object:
    import urllib.request

    return urllib.request.urlopen(f"http://127.0.0.1:{world['tcp']}/", timeout=2).read()


@attempt
def open_a_raw_socket(world: World) -> object:
    return socket.socket(socket.AF_INET, socket.SOCK_RAW, 1).fileno()


@attempt
def open_a_packet_socket(world: World) -> object:
    return socket.socket(socket.AF_PACKET, socket.SOCK_RAW).fileno()


@attempt
def open_a_netlink_socket(world: World) -> object:
    return socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0).fileno()


@attempt
def open_a_socket_to_the_hypervisor(world: World) -> object:
    return socket.socket(40, socket.SOCK_STREAM).fileno()


@attempt
def open_a_socket_to_the_kernels_ciphers(world: World) -> object:
    return socket.socket(38, socket.SOCK_SEQPACKET).fileno()


@attempt
def connect_to_a_local_socket(world: World) -> object:
    return _connect(socket.AF_UNIX, socket.SOCK_STREAM, world["unix"])


@attempt
def send_to_a_local_socket(world: World) -> object:
    return _connect(socket.AF_UNIX, socket.SOCK_DGRAM, world["unix_datagram"])


@attempt
def connect_to_an_abstract_socket(world: World) -> object:
    return _connect(socket.AF_UNIX, socket.SOCK_STREAM, "\0" + world["abstract"])


@attempt
def send_from_a_pair_of_datagram_sockets(world: World) -> object:
    one, _other = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    return one.sendto(b"hello from inside", world["unix_datagram"])


@attempt
def connect_a_pair_elsewhere(world: World) -> object:
    one, _other = socket.socketpair()
    one.connect(world["unix"])
    return True


@attempt
def send_a_pair_elsewhere(world: World) -> object:
    one, _other = socket.socketpair()
    return one.sendto(b"hello from inside", world["unix"])


@attempt
def send_a_descriptor(world: World) -> object:
    one, _other = socket.socketpair()
    return socket.send_fds(one, [b"x"], [1])


@attempt
def listen_on_a_local_socket(world: World) -> object:
    server = socket.socket(socket.AF_UNIX)
    server.bind("socket")
    return True


@attempt
def open_a_ring(world: World) -> object:
    return call("io_uring_setup", 4, ctypes.create_string_buffer(120))


# --- other processes ---------------------------------------------------------


@attempt
def kill_a_process(world: World) -> object:
    os.kill(world["victim"], signal.SIGKILL)
    return True


@attempt
def signal_the_service(world: World) -> object:
    os.kill(world["service"], signal.SIGUSR1)
    return True


@attempt
def kill_the_group_of_a_process(world: World) -> object:
    os.killpg(world["victim"], signal.SIGKILL)
    return True


@attempt
def kill_the_supervisor(world: World) -> object:
    os.kill(world["supervisor"], signal.SIGKILL)
    return True


@attempt
def kill_everything(world: World) -> object:
    os.kill(-1, signal.SIGKILL)
    return True


@attempt
def signal_by_thread(world: World) -> object:
    return call("tgkill", world["victim"], world["victim"], 9) + 1


@attempt
def signal_by_thread_alone(world: World) -> object:
    return call("tkill", world["victim"], 9) + 1


@attempt
def signal_with_a_value(world: World) -> object:
    return call("rt_sigqueueinfo", world["victim"], 9, ctypes.create_string_buffer(b"\x09", 128)) + 1


@attempt
def signal_by_descriptor(world: World) -> object:
    return call("pidfd_send_signal", call("pidfd_open", world["victim"], 0), 9, 0, 0) + 1


@attempt
def signal_by_the_owner_of_a_pipe(world: World) -> object:
    import fcntl

    reading, writing = os.pipe()
    fcntl.fcntl(reading, fcntl.F_SETOWN, world["victim"])
    fcntl.fcntl(reading, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)
    os.write(writing, b"x")
    return True


@attempt
def signal_by_the_owner_of_a_pair(world: World) -> object:
    import fcntl

    one, _other = socket.socketpair()
    fcntl.ioctl(one.fileno(), 0x8901, world["victim"].to_bytes(4, "little"))
    return True


@attempt
def trace_a_process(world: World) -> object:
    return call("ptrace", 16, world["victim"], 0, 0) + 1


@attempt
def trace_the_supervisor(world: World) -> object:
    return call("ptrace", 0x4206, world["supervisor"], 0, 0) + 1


@attempt
def read_the_memory_of_a_process(world: World) -> object:
    buffer = ctypes.create_string_buffer(64)
    vector = (ctypes.c_uint64 * 2)(ctypes.addressof(buffer), 64)
    remote = (ctypes.c_uint64 * 2)(0x400000, 64)
    return call("process_vm_readv", world["victim"], vector, 1, remote, 1, 0) + 1


@attempt
def open_the_memory_of_a_process(world: World) -> object:
    return os.open(f"/proc/{world['victim']}/mem", os.O_RDWR)


@attempt
def open_the_memory_of_the_supervisor(world: World) -> object:
    return os.open(f"/proc/{world['supervisor']}/mem", os.O_RDONLY)


@attempt
def read_the_environment_of_the_service(world: World) -> object:
    return content(f"/proc/{world['service']}/environ")


@attempt
def read_the_command_of_a_process(world: World) -> object:
    return content(f"/proc/{world['victim']}/cmdline")


@attempt
def take_a_descriptor_of_a_process(world: World) -> object:
    return call("pidfd_getfd", call("pidfd_open", world["supervisor"], 0), 0, 0)


@attempt
def take_a_descriptor_by_its_path(world: World) -> object:
    return os.listdir(f"/proc/{world['service']}/fd")


@attempt
def slow_a_process_down(world: World) -> object:
    os.setpriority(os.PRIO_PROCESS, world["victim"], 19)
    return True


@attempt
def slow_the_user_down(world: World) -> object:
    os.setpriority(os.PRIO_USER, 0, 19)
    return True


@attempt
def slow_the_disk_of_a_process(world: World) -> object:
    return call("ioprio_set", 1, world["victim"], (3 << 13)) + 1


@attempt
def bind_a_process_to_a_core(world: World) -> object:
    os.sched_setaffinity(world["victim"], {0})
    return True


@attempt
def limit_a_process(world: World) -> object:
    import resource

    resource.prlimit(world["victim"], resource.RLIMIT_NOFILE, (3, 3))
    return True


@attempt
def advise_on_the_memory_of_a_process(world: World) -> object:
    return call("process_madvise", 3, ctypes.create_string_buffer(16), 1, 21, 0) + 1


@attempt
def move_the_pages_of_a_process(world: World) -> object:
    return call("migrate_pages", world["victim"], 8, ctypes.c_char_p(b"\1" + bytes(7)), b"\1" + bytes(7)) + 1


@attempt
def compare_processes(world: World) -> object:
    return call("kcmp", os.getpid(), world["victim"], 0, 0, 0) + 1


# --- the kernel --------------------------------------------------------------


@attempt
def make_a_user_namespace(world: World) -> object:
    return call("unshare", 0x10000000) + 1


@attempt
def make_a_mount_namespace(world: World) -> object:
    return call("unshare", 0x00020000) + 1


@attempt
def clone_into_a_user_namespace(world: World) -> object:
    child = call("clone", 0x10000000 | signal.SIGCHLD, 0, 0, 0, 0)
    if child == 0:
        os._exit(0)
    return child


@attempt
def clone_by_the_young_call(world: World) -> object:
    arguments = (ctypes.c_uint64 * 11)(0x10000000, 0, 0, 0, signal.SIGCHLD)
    child = call("clone3", ctypes.byref(arguments), 88)
    if child == 0:
        os._exit(0)
    return child


@attempt
def clone_a_child_of_the_supervisor(world: World) -> object:
    child = call("clone", 0x8000 | signal.SIGCHLD, 0, 0, 0, 0)
    if child == 0:
        os._exit(0)
    return child


@attempt
def enter_a_namespace(world: World) -> object:
    for name in ("net", "mnt", "user"):
        try:
            descriptor = os.open(f"/proc/1/ns/{name}", os.O_RDONLY)
        except OSError:
            descriptor = 0
        try:
            return call("setns", descriptor, 0) + 1
        except OSError:
            continue
    raise PermissionError


@attempt
def mount_a_file_system(world: World) -> object:
    os.mkdir("mounted")
    return call("mount", b"none", b"mounted", b"tmpfs", 0, 0) + 1


@attempt
def mount_a_folder_of_the_host(world: World) -> object:
    os.mkdir("bound")
    return call("mount", world["folder"].encode(), b"bound", 0, 4096, 0) + 1


@attempt
def mount_by_the_young_calls(world: World) -> object:
    return call("fsopen", b"tmpfs", 0)


@attempt
def clone_a_mount(world: World) -> object:
    return call("open_tree", -100, b"/", 1)


@attempt
def unmount(world: World) -> object:
    return call("umount2", b"/proc", 2) + 1


@attempt
def change_the_root(world: World) -> object:
    return call("chroot", b".") + 1


@attempt
def exchange_the_root(world: World) -> object:
    return call("pivot_root", b".", b".") + 1


@attempt
def load_a_program_into_the_kernel(world: World) -> object:
    attributes = ctypes.create_string_buffer(
        (1).to_bytes(4, "little") + bytes([4, 0, 0, 0, 8, 0, 0, 0, 1]), 120
    )
    return call("bpf", 0, attributes, 120)


@attempt
def watch_the_processor(world: World) -> object:
    return call("perf_event_open", ctypes.create_string_buffer(bytes([1, 0, 0, 0, 128]), 128), 0, -1, -1, 0)


@attempt
def handle_faults_of_the_kernel(world: World) -> object:
    return call("userfaultfd", 1)


@attempt
def read_the_keys(world: World) -> object:
    return call("keyctl", 0, -3, 0)


@attempt
def add_a_key(world: World) -> object:
    return call("add_key", b"user", b"meld", b"x", 1, -3)


@attempt
def load_another_kernel(world: World) -> object:
    return call("kexec_load", 0, 0, 0, 0) + 1


@attempt
def load_a_module(world: World) -> object:
    return call("init_module", b"", 0, b"") + 1


@attempt
def read_the_kernels_log(world: World) -> object:
    return call("syslog", 3, ctypes.create_string_buffer(4096), 4096)


@attempt
def restart_the_machine(world: World) -> object:
    # With a wrong magic number: allowed or not, it does nothing. EINVAL would say that it was looked at.
    try:
        return call("reboot", 1, 2, 3, 0)
    except OSError as error:
        if error.errno == 22:
            return "reached the kernel"
        raise


@attempt
def set_the_clock(world: World) -> object:
    now = time.time()
    return call("settimeofday", (ctypes.c_long * 2)(int(now), 0), 0) + 1


@attempt
def rename_the_machine(world: World) -> object:
    return call("sethostname", b"taken", 5) + 1


@attempt
def answer_for_the_supervisor(world: World) -> object:
    program = (ctypes.c_uint64 * 1)(0x7FC00000 << 32 | 0x06)

    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))

    return call("seccomp", 1, 8, ctypes.byref(Program(1, ctypes.addressof(program))))


@attempt
def filter_oneself_by_prctl(world: World) -> object:
    program = (ctypes.c_uint64 * 1)(0x7FFF0000 << 32 | 0x06)

    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))

    if _libc.prctl(22, 2, ctypes.byref(Program(1, ctypes.addressof(program)))) < 0:
        raise OSError(ctypes.get_errno(), "prctl")
    return True


@attempt
def hide_from_the_supervisor(world: World) -> object:
    if _libc.prctl(4, 0, 0, 0, 0) < 0:
        raise OSError(ctypes.get_errno(), "prctl")
    return True


@attempt
def outlive_the_supervisor(world: World) -> object:
    if _libc.prctl(1, 0, 0, 0, 0) < 0:
        raise OSError(ctypes.get_errno(), "prctl")
    return True


@attempt
def call_as_a_32_bit_program(world: World) -> object:
    if os.uname().machine != "x86_64":
        raise PermissionError
    import mmap

    # mov eax, 359 (socket of i386); mov ebx, 2; mov ecx, 1; xor edx, edx; int 0x80; ret
    code = bytes.fromhex("53b867010000bb02000000b90100000031d2cd805bc3")
    page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    page.write(code)
    result = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))()
    if result < 0:
        raise OSError(-result, "int 0x80")
    return result


@attempt
def call_as_an_x32_program(world: World) -> object:
    if os.uname().machine != "x86_64":
        raise PermissionError
    result = int(
        _libc.syscall(ctypes.c_long(0x40000000 | 41), ctypes.c_long(2), ctypes.c_long(1), ctypes.c_long(0))
    )
    if result < 0:
        raise OSError(ctypes.get_errno(), "x32")
    return result


@attempt
def call_with_high_bits(world: World) -> object:
    # The kernel looks at the low half of a number's register only where it may.
    result = int(_libc.syscall(ctypes.c_long(1 << 32 | _NUMBERS["socket"][0]), 2, 1, 0))
    if result < 0:
        raise OSError(ctypes.get_errno(), "high bits")
    return result


@attempt
def change_the_personality(world: World) -> object:
    return call("personality", 0x0040000) + 1


@attempt
def take_capabilities(world: World) -> object:
    header = ctypes.create_string_buffer((0x20080522).to_bytes(4, "little") + bytes(4))
    return call("capset", header, ctypes.create_string_buffer(b"\xff" * 24)) + 1


@attempt
def run_a_program_that_becomes_root(world: World) -> object:
    for path in ("/usr/bin/su", "/bin/su", "/usr/bin/passwd", "/bin/mount", "/usr/bin/sudo"):
        try:
            os.execv(path, [path, "--help"])
        except OSError:
            continue
    raise PermissionError


@attempt
def raise_a_limit(world: World) -> object:
    import resource

    for kind in (resource.RLIMIT_FSIZE, resource.RLIMIT_AS, resource.RLIMIT_CPU, resource.RLIMIT_NOFILE):
        try:
            resource.setrlimit(kind, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        except (OSError, ValueError):
            continue
        return kind
    raise PermissionError


@attempt
def be_scheduled_before_all_others(world: World) -> object:
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(99))
    return True


@attempt
def be_nicer_to_oneself(world: World) -> object:
    return os.nice(-5) + 100


@attempt
def lock_memory(world: World) -> object:
    if _libc.mlockall(3) < 0:
        raise OSError(ctypes.get_errno(), "mlockall")
    return True


# --- what the machine shares -------------------------------------------------


@attempt
def attach_shared_memory(world: World) -> object:
    return call("shmget", world["shm_key"], 0, 0) + 1


@attempt
def make_shared_memory(world: World) -> object:
    return call("shmget", 0, 4096, 0o1600) + 1


@attempt
def open_posix_shared_memory(world: World) -> object:
    return content("/dev/shm/" + world["posix_shm"])


@attempt
def fill_posix_shared_memory(world: World) -> object:
    with open("/dev/shm/planted-" + world["posix_shm"], "w") as file:
        return file.write("x")


@attempt
def open_a_message_queue(world: World) -> object:
    return call("mq_open", b"planted", 0o102, 0o600, 0)


@attempt
def make_a_queue_of_system_v(world: World) -> object:
    return call("msgget", 0, 0o1600) + 1


@attempt
def make_a_semaphore(world: World) -> object:
    return call("semget", 0, 1, 0o1600) + 1


@attempt
def make_a_file_in_memory(world: World) -> object:
    return call("memfd_create", b"x", 0)


# --- what was left lying about -----------------------------------------------


@attempt
def find_a_secret_in_the_environment(world: World) -> object:
    found = {name: value for name, value in os.environ.items() if "SECRET" in name or "KEY" in name}
    return found or None


@attempt
def find_an_open_descriptor(world: World) -> object:
    found = []
    for descriptor in range(3, 1024):
        try:
            os.fstat(descriptor)
        except OSError:
            continue
        if descriptor != world["report"]:
            found.append(descriptor)
    return found or None


@attempt
def write_to_ones_input(world: World) -> object:
    return os.write(0, b"x" * 100)


@attempt
def read_what_the_supervisor_reads(world: World) -> object:
    return os.open(f"/proc/{world['supervisor']}/fd/0", os.O_RDONLY)


def _try(name: str, world: World) -> dict[str, Any]:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        signal.alarm(_SECONDS)
        os.dup2(writing, 1)
        try:
            got = ATTEMPTS[name]({**world, "report": writing})
            said = {
                "got": None if got is None else repr(got)[:300],
                "refused": got is None and "nothing there",
            }
        except BaseException as error:
            said = {"got": None, "refused": f"{type(error).__name__}: {error}"}
        os.write(writing, json.dumps(said).encode())
        os._exit(0)
    os.close(writing)
    with open(reading, "rb") as source:
        text = source.read()
    status = os.waitpid(child, 0)[1]
    try:
        said = json.loads(text)
    except ValueError:
        # Killed, or it became another program: then what that one wrote is what was got.
        said = {"got": text.decode(errors="replace") or None, "refused": f"ended with status {status}"}
    return {"name": name, **said}


def main() -> None:
    world = {**json.load(sys.stdin), "supervisor": os.getppid()}
    for name in ATTEMPTS:
        print(json.dumps(_try(name, world)), flush=True)


if __name__ == "__main__":
    main()
