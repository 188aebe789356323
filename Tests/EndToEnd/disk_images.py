"""What a power cut may leave of a folder: a recording of all changes to it, and images made of that.

A program that is `watched` preloads `Tests/Faults/disk.c`, which writes down what the program does to the
files below a folder. `Recording` reads that and makes images of the folder: at any moment, with all that
was synced by then, and with whatever a file system may have kept of the rest.
"""

import mmap
import random
import struct
import subprocess
import sysconfig
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from server import Hydrant
from waiting import wait_until

SOURCE = Path(__file__).resolve().parents[1] / "Faults" / "disk.c"

OPEN, WRITE, TRUNCATE, ALLOCATE, SYNC_BEGIN, SYNC_END, RENAME, UNLINK = range(1, 9)
MAKE_FOLDER, REMOVE_FOLDER, CLOSE, FAULT, READ, LIST, STAT = range(9, 16)

CONTROL = struct.Struct("<iiIIIIII")

HEAD = struct.Struct("<IiQQIIQ")

O_CREAT, O_TRUNC, O_DIRECTORY = 0o100, 0o1000, 0o200000

PAGE_BYTES, SECTOR_BYTES = 4096, 512

DATA_MODES = ("nothing", "everything", "data only", "sizes only", "pages", "sectors", "torn")
"""What is kept of a file's changes that were not synced."""

NAME_MODES = ("none", "all", "prefix", "subset")
"""Which changes of names that were not synced are kept."""


@cache
def library() -> Path:
    """Builds the library that is preloaded; returns where it is."""
    target = SOURCE.parents[2] / ".build" / "faults" / f"disk-{sysconfig.get_platform()}.so"
    if not target.exists() or target.stat().st_mtime < SOURCE.stat().st_mtime:
        target.parent.mkdir(parents=True, exist_ok=True)
        # Under another name first: several processes may do so at the same time.
        made = target.with_suffix(f".{random.randrange(2**32)}")
        command = ["cc", "-shared", "-fPIC", "-O2", "-o", made, SOURCE, "-ldl", "-lpthread"]
        subprocess.run(command, check=True)
        made.replace(target)
    return target


class Watch:
    """What a server that preloads the library is told: where to write down, and what to make fail."""

    def __init__(self, root: Path, folder: Path):
        self.trace = folder / "trace"
        self._path = folder / "control"
        self._path.write_bytes(bytes(CONTROL.size))
        self._root = root
        with self._path.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), CONTROL.size)
        self.faults_alone = False
        """Whether only faults are written down."""
        self.disarm()

    @property
    def environment(self) -> dict[str, str]:
        """The server's environment."""
        return {
            "LD_PRELOAD": str(library()),
            "DISK_ROOT": str(self._root),
            "DISK_TRACE": str(self.trace),
            "DISK_CONTROL": str(self._path),
            "DISK_FAULTS_ALONE": "1" if self.faults_alone else "0",
        }

    def _set(self, place: int, value: int, form: str = "<i") -> None:
        struct.pack_into(form, self._memory, 4 * place, value)

    def _get(self, place: int) -> int:
        return struct.unpack_from("<I", self._memory, 4 * place)[0]

    def arm(self, countdown: int, error: int, kinds: Iterable[int]) -> None:
        """Makes one of the calls of some kinds fail: that behind so many."""
        self._set(1, error)
        self._set(2, sum(1 << each for each in kinds), "<I")
        self._set(0, countdown)

    def disarm(self) -> None:
        self._set(0, -1)

    @property
    def hits(self) -> int:
        """How many calls have failed."""
        return self._get(3)

    def kill(self, server: Hydrant) -> None:
        """Kills a server that is at work between two changes, so that the last is written down."""
        self._set(5, 1)
        wait_until(lambda: self._get(6), "the last change", pause=0.001)
        server.sigkill()
        self._set(5, 0)
        self._set(6, 0)


@dataclass(frozen=True)
class Entry:
    """One change, as the library wrote it down."""

    kind: int
    file: int
    time: float
    """By the monotonic clock."""
    offset: int
    path: str
    extra: int
    data: memoryview = field(repr=False)


def entries(trace: bytes) -> Iterator[Entry]:
    """All entries of a trace; one that its end cuts is left out."""
    view, place = memoryview(trace), 0
    while place + HEAD.size <= len(trace):
        kind, file, time, offset, path_bytes, extra, data_bytes = HEAD.unpack_from(trace, place)
        start = place + HEAD.size
        end = start + path_bytes + data_bytes
        if end > len(trace):
            return
        path = bytes(view[start : start + path_bytes]).decode()
        yield Entry(kind, file, time / 1e9, offset, path, extra, view[start + path_bytes : end])
        place = end


@dataclass(eq=False)
class Inode:
    """A file or a folder, whatever it is called."""

    is_folder: bool
    changes: list[tuple[int, int, int, memoryview | None]] = field(default_factory=list)
    """Of a file: number of the entry, kind, offset or size, data."""
    synced: int = 0
    """How many of them are durable for sure."""


@dataclass(eq=False)
class NameChange:
    """An atomic change of names: what is `gone` and what is `new`, each a folder, a name and what it is."""

    number: int
    gone: tuple[Inode, str, Inode] | None
    new: tuple[Inode, str, Inode] | None
    needs: list["NameChange"] = field(default_factory=list)
    """Earlier changes of the same names or of the same file."""
    is_durable: bool = False

    def keep(self) -> None:
        """It is durable, and with it what it needs."""
        waiting = [self]
        while waiting:
            change = waiting.pop()
            if not change.is_durable:
                change.is_durable = True
                waiting += change.needs

    @property
    def folders(self) -> set[int]:
        return {id(each[0]) for each in (self.gone, self.new) if each}


class Recording:
    """A trace, and the folder as it was when it began: empty."""

    def __init__(self, root: Path, trace: bytes):
        self._root = str(root)
        self.entries = list(entries(trace))
        self.times = [each.time for each in self.entries]

    def index(self, time: float) -> int:
        """How many entries were made until then."""
        return bisect_right(self.times, time)

    def image(self, count: int, target: Path, chance: random.Random, data: str, names: str) -> None:
        """Makes a folder as the first `count` entries may have left it."""
        state = _State(self._root)
        for number, entry in enumerate(self.entries[:count]):
            state.apply(number, entry)
        kept = state.kept_names(chance, names)
        _write(target, state.tree(kept), state.root, chance, data)

    def faults(self) -> list[tuple[float, int, int, str]]:
        """The calls that were made to fail: when, the kind, errno, the path."""
        return [
            (each.time, each.extra >> 16, each.extra & 0xFFFF, each.path)
            for each in self.entries
            if each.kind == FAULT
        ]


class _State:
    """Files, names, and what of them is durable, after some entries."""

    def __init__(self, root: str):
        self._path = root
        self.root = Inode(is_folder=True)
        self._files: dict[int, Inode] = {}
        self._names: dict[int, dict[str, Inode]] = {id(self.root): {}}
        self.changes: list[NameChange] = []
        self._last: dict[object, NameChange] = {}
        """The last change of a name, or of a file."""
        self._syncs: dict[int, tuple[Inode, int]] = {}

    # MARK: Entries

    def apply(self, number: int, entry: Entry) -> None:
        kind = entry.kind
        if kind == OPEN:
            self._open(number, entry)
        elif kind in (WRITE, TRUNCATE, ALLOCATE):
            data = entry.data if kind == WRITE else None
            self._files[entry.file].changes.append((number, kind, entry.offset, data))
        elif kind == SYNC_BEGIN:
            self._syncs[entry.offset] = (self._files[entry.file], number)
        elif kind == SYNC_END:
            self._sync(*self._syncs.pop(entry.offset))
        elif kind == RENAME:
            source, target = self._find(entry.path), self._find(bytes(entry.data).decode())
            inode = self._names[id(source[0])][source[1]]
            self._change(number, (*source, inode), (*target, inode))
        elif kind in (UNLINK, REMOVE_FOLDER):
            folder, name = self._find(entry.path)
            self._change(number, (folder, name, self._names[id(folder)][name]), None)
        elif kind == MAKE_FOLDER and entry.path != self._path:
            made = Inode(is_folder=True)
            self._names[id(made)] = {}
            self._change(number, None, (*self._find(entry.path), made))
        elif kind == CLOSE:
            self._files.pop(entry.file, None)
        elif kind == FAULT and entry.extra >> 16 == SYNC_BEGIN:
            self._lose(entry.path)

    def _lose(self, path: str) -> None:
        """A sync of a file failed: what it had to write is lost for good, as on Linux, whatever comes."""
        folder, name = self._find(path)
        inode = self._names[id(folder)].get(name)
        if inode and not inode.is_folder:
            lost = [each for each in inode.changes[inode.synced :] if each[1] == WRITE]
            inode.changes = [each for each in inode.changes if each not in lost]

    def _open(self, number: int, entry: Entry) -> None:
        if entry.path == self._path:
            self._files[entry.file] = self.root
            return
        folder, name = self._find(entry.path)
        inode = self._names[id(folder)].get(name)
        if inode is None:
            inode = Inode(is_folder=False)
            self._change(number, None, (folder, name, inode))
        elif entry.offset & O_TRUNC:
            inode.changes.append((number, TRUNCATE, 0, None))
        self._files[entry.file] = inode

    def _find(self, path: str) -> tuple[Inode, str]:
        """The folder in which a path lies, and the last name."""
        *folders, name = path.removeprefix(self._path).strip("/").split("/")
        found = self.root
        for each in filter(None, folders):
            found = self._names[id(found)][each]
        return found, name

    def _change(self, number: int, gone, new) -> None:
        change = NameChange(number, gone, new)
        for each in filter(None, (gone, new)):
            folder, name, inode = each
            for key in ((id(folder), name), id(inode)):
                if (last := self._last.get(key)) and last is not change:
                    change.needs.append(last)
                self._last[key] = change
        if gone:
            del self._names[id(gone[0])][gone[1]]
        if new:
            self._names[id(new[0])][new[1]] = new[2]
        self.changes.append(change)

    def _sync(self, inode: Inode, begin: int) -> None:
        if inode.is_folder:
            for change in self.changes:
                if change.number > begin:
                    break
                if not change.is_durable and id(inode) in change.folders:
                    change.keep()
            return
        known = inode.synced
        while known < len(inode.changes) and inode.changes[known][0] < begin:
            known += 1
        inode.synced = known

    # MARK: Images

    def kept_names(self, chance: random.Random, mode: str) -> list[NameChange]:
        """The changes of names that an image has, in order."""
        open_ = [each for each in self.changes if not each.is_durable]
        if mode == "all":
            chosen = open_
        elif mode == "prefix":
            chosen = open_[: chance.randint(0, len(open_))]
        elif mode == "subset":
            chosen = [each for each in open_ if chance.random() < 0.5]
        else:
            chosen = []
        kept = {id(each) for each in self.changes if each.is_durable}
        waiting = list(chosen)
        while waiting:
            change = waiting.pop()
            if id(change) not in kept:
                kept.add(id(change))
                waiting += change.needs
        return [each for each in self.changes if id(each) in kept]

    def tree(self, kept: Iterable[NameChange]) -> dict[int, dict[str, Inode]]:
        """What is in each folder after some changes."""
        tree: dict[int, dict[str, Inode]] = {}
        for change in kept:
            if change.gone:
                tree.get(id(change.gone[0]), {}).pop(change.gone[1], None)
            if change.new:
                tree.setdefault(id(change.new[0]), {})[change.new[1]] = change.new[2]
        return tree


def _write(target: Path, tree, folder: Inode, chance: random.Random, mode: str) -> None:
    target.mkdir(exist_ok=True)
    for name, inode in tree.get(id(folder), {}).items():
        path = target / name
        if inode.is_folder:
            _write(path, tree, inode, chance, mode)
        else:
            content = _content(inode, chance, mode)
            with path.open("wb") as file:
                file.write(content.rstrip(b"\0"))
                file.truncate(len(content))


def _apply(content: bytearray, changes) -> None:
    for _, kind, offset, data in changes:
        if kind == WRITE:
            end = offset + len(data)
            if end > len(content):
                content.extend(bytes(end - len(content)))
            content[offset:end] = data
        elif kind == TRUNCATE and offset < len(content):
            del content[offset:]
        elif offset > len(content):
            content.extend(bytes(offset - len(content)))


def _size(size: int, changes) -> int:
    for _, kind, offset, data in changes:
        if kind == TRUNCATE:
            size = offset
        else:
            size = max(size, offset + (len(data) if kind == WRITE else 0))
    return size


def _content(inode: Inode, chance: random.Random, mode: str) -> bytearray:
    """A file's content: what was synced, and of the rest what the mode says."""
    content = bytearray()
    _apply(content, inode.changes[: inode.synced])
    rest = inode.changes[inode.synced :]
    if not rest or mode == "nothing":
        return content
    synced_size = len(content)
    full_size = _size(synced_size, rest)
    if mode == "sizes only":
        return _sized(content, full_size)
    if mode == "torn":
        return _torn(content, rest, chance)
    if mode in ("pages", "sectors"):
        unit = PAGE_BYTES if mode == "pages" else SECTOR_BYTES
        return _mixed(content, rest, unit, chance)
    _apply(content, rest)
    return _sized(content, synced_size) if mode == "data only" else content


def _sized(content: bytearray, size: int) -> bytearray:
    if size < len(content):
        del content[size:]
    else:
        content.extend(bytes(size - len(content)))
    return content


def _torn(content: bytearray, rest, chance: random.Random) -> bytearray:
    """All but the end of the last write."""
    number, kind, offset, data = rest[-1]
    _apply(content, rest[:-1])
    if kind == WRITE:
        _apply(content, [(number, kind, offset, data[: chance.randint(0, len(data))])])
    return content


def _mixed(content: bytearray, rest, unit: int, chance: random.Random) -> bytearray:
    """Each page or sector as it was at some moment since the last sync."""
    versions = [bytes(content)]
    for count in sorted({chance.randint(1, len(rest)) for _ in range(6)} | {len(rest)}):
        version = bytearray(versions[0])
        _apply(version, rest[:count])
        versions.append(bytes(version))
    longest = max(map(len, versions))
    mixed = bytearray(longest)
    touched = {
        page
        for _, kind, offset, data in rest
        if kind == WRITE
        for page in range(offset // unit, (offset + len(data) + unit - 1) // unit)
    }
    newest = versions[-1].ljust(longest, b"\0")
    mixed[:] = newest
    for page in touched:
        version = chance.choice(versions).ljust(longest, b"\0")
        mixed[page * unit : (page + 1) * unit] = version[page * unit : (page + 1) * unit]
    return _sized(mixed, len(chance.choice(versions)))


def differences(left: Path, right: Path) -> Counter[str]:
    """How two folders differ, by what is wrong; nothing where they are the same."""
    found: Counter[str] = Counter()
    names = {
        each.relative_to(root) for root in (left, right) for each in root.rglob("*")
    }
    for name in names:
        one, other = left / name, right / name
        if not (one.exists() and other.exists()):
            found[f"{name} is in one alone"] += 1
        elif one.is_dir() != other.is_dir():
            found[f"{name} is of two kinds"] += 1
        elif one.is_file() and one.read_bytes() != other.read_bytes():
            found[f"{name} has two contents"] += 1
    return found
