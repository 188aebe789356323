"""A machine in a machine: systemd as the first process of its own namespaces.

Its file system is this machine's with a layer in memory over it, so that what is installed, written
and deleted in it is gone with it. Its network is this machine's. It needs root, and no systemd
outside.
"""

import os
import shutil
import signal
import subprocess
import uuid
from pathlib import Path

from waiting import wait_until

TARGET = "multi-user.target"
"""What the machine starts: nothing, until services are enabled."""

UNITS, STUBS = Path("/etc/systemd/system"), Path("/etc/systemd/stubs")
"""Units of the machine's administrator, and targets that are reached at once."""

TARGETS = ["basic", "multi-user", "network", "network-online", "shutdown", "sysinit"]
"""Targets that ordinary services speak of."""

MANAGER = {
    "container": "other",
    "SYSTEMD_UNIT_PATH": f"{UNITS}:{STUBS}",
    "SYSTEMD_GENERATOR_PATH": "",
    "SYSTEMD_ENVIRONMENT_GENERATOR_PATH": "",
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LANG": "C.UTF-8",
}
"""The environment of systemd and of commands in the machine."""

JOIN = """\
set -eu
mount --make-rprivate /
mkdir "$1/groups"
mount -t cgroup2 cgroup2 "$1/groups"
mkdir "$1/groups$2"
echo $$ >"$1/groups$2/cgroup.procs"
exec unshare --cgroup --pid --fork --kill-child --uts --ipc sh -c "$3" sh "$1"
"""
"""Becomes the only process of a control group, and that the root of all that comes."""

BOOT = """\
set -eu
mount -t tmpfs -o mode=0755 machine "$1"
cd "$1"
mkdir upper work root
mount -t overlay -o lowerdir=/,upperdir=upper,workdir=work overlay root
cd root
mkdir -p proc sys dev run tmp var/tmp outside
mount -t proc proc proc
mount --bind -o ro proc/sys proc/sys
mount -t sysfs sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=0755 run run
mount -t tmpfs -o mode=1777 tmp tmp
mount -t tmpfs -o mode=1777 tmp var/tmp
mount -t tmpfs -o mode=0755 dev dev
for name in null zero full random urandom tty; do
    touch dev/$name
    mount --bind /dev/$name dev/$name
done
mknod -m 0644 dev/kmsg c 1 11
mkdir dev/shm dev/pts
mount -t tmpfs -o mode=1777 shm dev/shm
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
mkdir -p usr/lib/modules
pivot_root . outside
umount -l outside
rm -rf /etc/systemd/system /etc/systemd/stubs /etc/machine-id
mkdir -p /etc/systemd/system /etc/systemd/stubs
cd /lib/systemd/system
for name in $targets; do
    cp $name.target /etc/systemd/stubs/
done
cd /
# As a systemd that the kernel has started does it; one in a container leaves it to others.
mount --make-rshared /
exec /lib/systemd/systemd --system --unit=$first --log-target=console --show-status=no
"""


class Machine:
    """One machine; `folder` takes what its systemd says."""

    def __init__(self, folder: Path):
        folder.mkdir(parents=True, exist_ok=True)
        self._log = folder / "systemd.log"
        self._root = folder / "root"
        self._group = f"{_own_group()}/hydrant-machine-{uuid.uuid4().hex[:12]}"
        self._process: subprocess.Popen | None = None
        self._first = 0

    # MARK: Start and stop

    def start(self) -> "Machine":
        """Boots the machine and waits until its systemd takes orders."""
        assert os.geteuid() == 0, "a machine in a machine takes root"
        self._root.mkdir()
        names = {"targets": " ".join(TARGETS), "first": TARGET}
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                # The machine must not outlive the tests.
                ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount"]
                + ["sh", "-c", JOIN, "sh", str(self._root), self._group, BOOT],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=MANAGER | names,
                start_new_session=True,
            )
        wait_until(self._is_running, "systemd to take orders", pause=0.05)
        return self

    def stop(self) -> None:
        """Ends all processes of the machine; nothing is left of it."""
        if self._process:
            process, self._process = self._process, None
            if self._first:
                os.kill(self._first, signal.SIGKILL)
            else:
                process.kill()
            process.wait(timeout=30)
            script = 'mount -t cgroup2 cgroup2 "$1" && find "$1$2" -depth -type d -delete'
            tidy = ["unshare", "--mount", "sh", "-c", script, "sh", str(self._root), self._group]
            wait_until(
                lambda: subprocess.run(tidy, capture_output=True).returncode == 0,
                "the control groups to be removed",
            )

    def _is_running(self) -> bool:
        assert self._process is not None
        if (status := self._process.poll()) is not None:
            self._process = None
            raise AssertionError(f"the machine ended with {status}:\n{self.log()}")
        self._first = self._first or self._first_process()
        return bool(self._first) and self.run("systemctl", "is-active", TARGET).returncode == 0

    def _first_process(self) -> int:
        """The machine's process 1, as it is called outside; 0 until it is systemd."""
        assert self._process is not None
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        for child in map(int, children.read_text().split()):
            if Path(f"/proc/{child}/comm").read_text().strip() == "systemd":
                return child
        return 0

    def log(self) -> str:
        """All that its systemd said."""
        return self._log.read_text(errors="replace")

    # MARK: What is done in it

    def run(self, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Runs a command in the machine as root."""
        assert self._process is not None
        enter = ["nsenter", f"--target={self._first}", "--mount", "--pid", "--uts", "--ipc"]
        return subprocess.run(
            [*enter, "--cgroup", "--root", "--wd", "--", *command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=MANAGER | variables,
            timeout=60,
        )

    def do(self, *command: str) -> str:
        """Runs a command that must succeed; returns what it printed."""
        done = self.run(*command)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}\n{self.log()[-2_000:]}"
        return done.stdout

    def path(self, path: str | Path) -> Path:
        """Where a file of the machine is for this process."""
        return Path(f"/proc/{self._first}/root{path}")

    def write(self, path: str | Path, text: str) -> None:
        """Writes a file; one that is there keeps owner and mode."""
        self.path(path).parent.mkdir(parents=True, exist_ok=True)
        self.path(path).write_text(text)

    def copy(self, source: Path, path: str | Path) -> None:
        """Copies a file or folder into the machine."""
        target = self.path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, dirs_exist_ok=True)
        else:
            shutil.copy(source, target)

    def spaces(self) -> dict[str, str]:
        """The namespaces of its first process, by their kinds."""
        folder = Path(f"/proc/{self._first}/ns")
        return {each.name: os.readlink(each) for each in folder.iterdir()}

    # MARK: Its services

    def show(self, unit: str, name: str) -> str:
        """One property of a unit."""
        return self.do("systemctl", "show", "--value", f"--property={name}", unit).strip()

    def main_process(self, unit: str) -> int:
        """A service's main process, as it is called outside."""
        inside = int(self.show(unit, "MainPID"))
        return self.outside(inside)

    def outside(self, inside: int) -> int:
        """What a process of the machine is called outside."""
        space = os.readlink(f"/proc/{self._first}/ns/pid")
        for status in Path("/proc").glob("[0-9]*/status"):
            try:
                if os.readlink(status.with_name("ns") / "pid") != space:
                    continue
                lines = status.read_text().splitlines()
            except OSError:
                continue  # it has ended
            (names,) = [each.split()[1:] for each in lines if each.startswith("NSpid:")]
            if int(names[-1]) == inside:
                return int(names[0])
        raise AssertionError(f"the machine has no process {inside}")


def _own_group() -> str:
    """This process's control group of version 2."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        if line.startswith("0::"):
            return line.removeprefix("0::").rstrip("/")
    return ""
