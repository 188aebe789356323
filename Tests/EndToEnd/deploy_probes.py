"""What a service may do: a program for a machine's own Python, as a transform or by itself.

It needs nothing but the standard library. `walls` are by directives of systemd.exec(5) and say
whether what that forbids is refused; `works` are things that programs do and must be able to.
"""

import base64
import ctypes
import errno
import json
import mmap
import multiprocessing
import os
import platform
import socket
import sqlite3
import ssl
import subprocess
import sys
import tempfile
import threading

LIBC = ctypes.CDLL(None, use_errno=True)

CLONE_NEWUSER, PTRACE_ATTACH, PRIO_PROCESS, ADDR_NO_RANDOMIZE = 0x10000000, 16, 0, 0x0040000

SPACES = ["cgroup", "ipc", "mnt", "net", "pid", "user", "uts"]

# mov eax, 1 (exit); mov ebx, 42; int 0x80: for the other architecture that the processor knows.
FOREIGN_CODE = bytes.fromhex("b801000000 bb2a000000 cd80")


def error_of(function: str, *arguments) -> str:
    """Calls a C function in a process of its own; returns the name of its error, or nothing."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        failed = getattr(LIBC, function)(*arguments) == -1
        os.write(writer, bytes([ctypes.get_errno() if failed else 0]))
        os._exit(0)
    os.close(writer)
    number = (os.read(reader, 1) or b"\xff")[0]
    os.close(reader)
    os.waitpid(child, 0)
    return errno.errorcode.get(number, str(number)) if number else ""


def fails(action, *arguments) -> bool:
    """Whether something is refused."""
    try:
        action(*arguments)
    except OSError:
        return True
    return False


def status(name: str) -> str:
    """A line of what the kernel says about this process."""
    with open("/proc/self/status") as file:
        return dict(line.split(":\t", 1) for line in file)[name].strip()


def is_read_only(path: str) -> bool:
    """Whether a file system is mounted so."""
    return bool(os.statvfs(path).f_flag & os.ST_RDONLY)


def set_user_id_bit() -> None:
    """Makes a file that would run as its owner."""
    with tempfile.NamedTemporaryFile() as file:
        os.chmod(file.name, 0o4700)


def foreign_program() -> bool | None:
    """Whether a program of the other architecture is refused; nothing where there is no other."""
    if platform.machine() != "x86_64":
        return None
    address, size = 0x08048000, 84 + len(FOREIGN_CODE)
    header = b"\x7fELF\1\1\1" + bytes(9) + b"\2\0\3\0\1\0\0\0"
    numbers = [address + 84, 52, 0, 0, 52 | 32 << 16, 1, 0]
    segment = [1, 0, address, address, size, size, 5, 0x1000]
    words = b"".join(each.to_bytes(4, "little") for each in numbers + segment)
    folder = tempfile.mkdtemp()
    path = os.path.join(folder, "program")
    with open(path, "wb") as file:
        file.write(header + words + FOREIGN_CODE)
    os.chmod(path, 0o700)
    try:
        return subprocess.run([path], stderr=subprocess.DEVNULL).returncode != 42
    except OSError:
        return True


def walls() -> dict[str, bool | None]:
    """What is refused, by the directive that refuses it."""
    return {
        "NoNewPrivileges": status("NoNewPrivs") == "1",
        "CapabilityBoundingSet": int(status("CapBnd"), 16) == 0,
        "PrivateUsers": open("/proc/self/uid_map").read().split()[2] != "4294967295",
        "UMask": status("Umask") == "0077",
        "ProtectSystem": all(is_read_only(each) for each in ("/", "/usr", "/etc", "/var", "/srv")),
        "ProtectHome": fails(os.listdir, "/home"),
        "PrivateTmp": not os.path.exists("/tmp/of-somebody-else"),
        "PrivateDevices": not os.path.exists("/dev/kmsg"),
        "ProtectClock": error_of("adjtimex", None) == "EPERM",
        "ProtectControlGroups": is_read_only("/sys/fs/cgroup"),
        "ProtectKernelModules": not os.access("/usr/lib/modules", os.R_OK),
        "ProtectKernelTunables": is_read_only("/sys"),
        "ProtectProc": not os.path.exists("/proc/1"),
        "ProcSubset": not os.path.exists("/proc/meminfo"),
        "LockPersonality": error_of("personality", ADDR_NO_RANDOMIZE) == "EPERM",
        "MemoryDenyWriteExecute": fails(
            mmap.mmap, -1, 4096, mmap.MAP_PRIVATE, mmap.PROT_WRITE | mmap.PROT_EXEC
        ),
        "RestrictNamespaces": error_of("unshare", CLONE_NEWUSER) == "EPERM",
        "RestrictRealtime": error_of("sched_setscheduler", -1, 1, ctypes.create_string_buffer(4))
        == "EPERM",
        "RestrictSUIDSGID": fails(set_user_id_bit),
        "RestrictAddressFamilies": fails(socket.socket, socket.AF_NETLINK, socket.SOCK_RAW, 0),
        "SystemCallArchitectures": foreign_program(),
        "SystemCallFilter": status("Seccomp") == "2"
        and error_of("setpriority", PRIO_PROCESS, 0, 5) != ""
        and error_of("ptrace", PTRACE_ATTACH, -1, None, None) != "ESRCH",
        "SystemCallErrorNumber": error_of("ptrace", PTRACE_ATTACH, -1, None, None) == "EPERM",
    }


def certificates() -> bool:
    """TLS with the system's authorities."""
    return ssl.create_default_context().verify_mode == ssl.CERT_REQUIRED


def temporary_file() -> bool:
    """Files in the temporary folder."""
    with tempfile.TemporaryFile() as file:
        return file.write(b"text") == 4


def shell_pipeline() -> bool:
    """Programs that start others."""
    done = subprocess.run(["sh", "-c", "echo hello | tr a-z A-Z"], capture_output=True)
    return done.stdout == b"HELLO\n"


def lowered_limit() -> bool:
    """A shell's ulimit."""
    done = subprocess.run(["sh", "-c", "ulimit -n 64 && ulimit -n"], capture_output=True)
    return done.stdout == b"64\n"


def connection() -> bool:
    """TCP on the loopback address, by name."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        addresses = socket.getaddrinfo("localhost", port, socket.AF_INET, socket.SOCK_STREAM)
        with socket.create_connection(addresses[0][4], timeout=5):
            return True


def two_sockets() -> bool:
    """Sockets of this machine."""
    one, other = socket.socketpair(socket.AF_UNIX)
    with one, other:
        return one.send(b"text") == 4 and other.recv(4) == b"text"


def thread() -> bool:
    """A thread."""
    found: list[int] = []
    worker = threading.Thread(target=found.append, args=[1])
    worker.start()
    worker.join()
    return found == [1]


def database() -> bool:
    """A database in a file."""
    with tempfile.TemporaryDirectory() as folder:
        connection = sqlite3.connect(os.path.join(folder, "database"))
        connection.execute("CREATE TABLE t (n)")
        connection.execute("INSERT INTO t VALUES (42)")
        connection.commit()
        return connection.execute("SELECT n FROM t").fetchall() == [(42,)]


def processes() -> bool:
    """Processes that share work, by semaphores and pipes."""
    with multiprocessing.Pool(2) as pool:
        return pool.map(abs, [-1, -2, -3]) == [1, 2, 3]


WORKS = [certificates, temporary_file, shell_pipeline, lowered_limit, connection, two_sockets]
WORKS += [thread, database, processes]


def works() -> dict[str, bool | str]:
    """What can be done; what cannot says why."""
    found: dict[str, bool | str] = {}
    for each in WORKS:
        try:
            found[each.__name__] = each()
        except Exception as error:
            found[each.__name__] = repr(error)
    return found


def report() -> dict:
    """All of it."""
    spaces = {each: os.readlink(f"/proc/self/ns/{each}") for each in SPACES}
    return {"walls": walls(), "works": works(), "spaces": spaces}


if __name__ == "__main__":
    if sys.argv[1:] == ["--print"]:
        print(json.dumps(report()))
    else:
        data = base64.b64encode(json.dumps(report()).encode() + b"\n").decode()
        records = [
            {"recordId": each["recordId"], "result": "Ok", "data": data}
            for each in json.load(sys.stdin)["records"]
        ]
        print(json.dumps({"records": records}))
