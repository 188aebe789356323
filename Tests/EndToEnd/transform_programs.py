"""Transform programs that tests write: the same body in each of the three modes, or any program.

Programs leave traces: one JSON object a line in a file that `Programs.traces` reads.
"""

import json
import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from streams import fresh_name
from waiting import wait_until

MODES = ["once", "worker", "lambda"]

PYTHON_FIRST = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
"""The PATH of a server whose transforms say `python3` and mean the one that has awslambdaric."""

PRELUDE = '''\
import base64, json, os, signal, sys, time, zlib

def trace(**members):
    """Tells the test something: a line in a file, whole even when many processes write."""
    line = json.dumps({"pid": os.getpid(), **members}) + "\\n"
    descriptor = os.open(TRACES, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(descriptor, line.encode())
    os.close(descriptor)

def traced():
    """All that was traced so far."""
    return [json.loads(line) for line in open(TRACES)] if os.path.exists(TRACES) else []

def content(record):
    return base64.b64decode(record["data"])

def answer(record, data=None, result="Ok", **members):
    found = {"recordId": record["recordId"], "result": result, **members}
    return found if data is None else found | {"data": base64.b64encode(data).decode()}

def each(transform):
    """Makes a handler of events of a function of records."""
    return lambda event: {"records": [transform(record) for record in event["records"]]}

def trace_event(event, size):
    records = json.dumps(event["records"]).encode()
    ids = [each["recordId"] for each in event["records"]] if len(records) < 200_000 else None
    trace(invocation=event["invocationId"], ids=ids, count=len(event["records"]), bytes=size,
          checksum=zlib.crc32(records), now=time.time())

def say(response):
    sys.stdout.write(json.dumps(response) + "\\n")
    sys.stdout.flush()
'''

ONCE = """
text = sys.stdin.read()
event = json.loads(text)
trace_event(event, len(text))
say(handle(event))
"""

WORKER = """
signal.signal(signal.SIGTERM, lambda *_: (trace(end="SIGTERM"), os._exit(0)))
trace(start=True)
for text in sys.stdin:
    event = json.loads(text)
    trace_event(event, len(text))
    say(handle(event))
trace(end="EOF")
"""

LAMBDA = """
def lambda_handler(event, context):
    trace_event(event, len(json.dumps(event)))
    return handle(event)
"""

ENDINGS = {"once": ONCE, "worker": WORKER, "lambda": LAMBDA}

IDENTITY = "handle = each(lambda record: answer(record, content(record)))"

UPPER = "handle = each(lambda record: answer(record, content(record).upper()))"

FAILING = 'handle = each(lambda record: answer(record, result="ProcessingFailed"))'

FILTER = """
@each
def handle(record):
    keep = b"keep" in content(record)
    return answer(record, content(record)) if keep else answer(record, result="Dropped")
"""

HANGING = """
def handle(event):
    trace(hangs=True)
    time.sleep(600)
"""
"""Never answers, and ends when it is asked to."""

DEAF = """
def handle(event):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    trace(hangs=True)
    while True:
        time.sleep(600)
"""
"""Never answers, and does not end when it is asked to."""


@dataclass(frozen=True)
class Event:
    """What a program saw of one invocation."""

    invocation: str
    ids: list[str] | None
    """The ids of the records, of an event that is not large."""
    count: int
    bytes: int
    checksum: int
    """That of the records."""
    now: float
    pid: int


class Programs:
    """The folder that `--transforms` names, and beside it what its programs traced."""

    def __init__(self, folder: Path):
        self.folder = folder / "transforms"
        self._traces = folder / "traces"
        self.folder.mkdir(parents=True)
        self._traces.mkdir()

    @property
    def options(self) -> tuple[str, str]:
        """What makes a server use the folder."""
        return ("--transforms", str(self.folder))

    # MARK: Writing programs

    def write(self, mode: str, body: str, *, name: str | None = None, **settings) -> str:
        """Writes a program of a mode that answers with `body`'s function `handle`.

        It is a plain file where that does; `settings` and the mode `lambda` make it a folder.
        Returns its name.
        """
        source = f"{body}\n{ENDINGS[mode]}"
        if mode != "lambda" and not settings:
            name = name or fresh_name(mode) + (".worker" if mode == "worker" else "")
            return self.write_file(source, name=name)
        return self.write_folder(source, mode=mode, name=name, **settings)

    def write_file(self, source: str, *, name: str | None = None) -> str:
        """Writes a plain executable file in Python; returns its name."""
        name = name or fresh_name("program")
        # Without `site` and the user's settings, an interpreter starts in half the time.
        shebang = f"#!{sys.executable} -SE\n"
        return self.write_executable(shebang + self._whole(name, source), name=name)

    def write_executable(self, source: str | bytes, *, name: str | None = None) -> str:
        """Writes a plain executable file, anything; returns its name."""
        name = name or fresh_name("program")
        # A file that is being written cannot be executed: it is renamed when it is whole.
        path = self.folder.parent / f"unfinished-{name}"
        path.write_bytes(source.encode() if isinstance(source, str) else source)
        path.chmod(0o755)
        path.replace(self.folder / name)
        return name

    def write_folder(
        self, source: str, *, mode: str = "once", name: str | None = None, **settings
    ) -> str:
        """Writes a folder with `app.py` and a `transform.json` of `settings`; returns its name."""
        name = name or fresh_name(mode)
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        (folder / "app.py").write_text(self._whole(name, source))
        command = ["python3", "-SE", "app.py"]
        if mode == "lambda":
            command = ["python3", "-m", "awslambdaric", "app.lambda_handler"]
        self.configure(name, **{"command": command, "mode": mode} | settings)
        return name

    def configure(self, name: str, **settings) -> None:
        """Writes the `transform.json` of a folder, over one that is there already."""
        self.configure_text(name, json.dumps(settings))

    def configure_text(self, name: str, text: str) -> None:
        """As `configure`, with any text."""
        (self.folder / name).mkdir(exist_ok=True)
        path = self.folder.parent / f"unfinished-{name}"
        path.write_text(text)
        path.replace(self.folder / name / "transform.json")

    def _whole(self, name: str, source: str) -> str:
        return f"TRACES = {str(self.traces_path(name))!r}\n{PRELUDE}\n{source}\n"

    # MARK: What they traced

    def traces_path(self, name: str) -> Path:
        """The file that a program traces to."""
        return self._traces / name

    def traces(self, name: str, *having: str) -> list[dict]:
        """What a program traced, in order; of it the lines that have all these members."""
        path = self.traces_path(name)
        lines = path.read_text().splitlines(keepends=True) if path.exists() else []
        found = [json.loads(line) for line in lines if line.endswith("\n")]
        return [each for each in found if set(having) <= each.keys()]

    def wait_for_traces(self, name: str, *having: str, count: int = 1) -> list[dict]:
        """Waits until a program traced so many lines with these members."""

        def enough() -> list[dict]:
            found = self.traces(name, *having)
            return found if len(found) >= count else []

        return wait_until(enough, f"{count} traces of {name} with {having}")

    def events(self, name: str) -> list[Event]:
        """The invocations that a program saw, in the order in which it read them."""
        return [Event(**each) for each in self.traces(name, "invocation")]

    def pids(self, name: str) -> set[int]:
        """The processes that traced anything."""
        return {each["pid"] for each in self.traces(name)}

    def wait_until_dead(self, name: str, *, timeout: float = 10) -> None:
        """Waits until no process that traced anything is alive."""
        self.wait_until_gone(self.pids(name), f"the processes of {name}", timeout=timeout)

    @staticmethod
    def wait_until_gone(pids: Iterable[int], whose: str, *, timeout: float = 10) -> None:
        """Waits until none of these processes is alive."""
        wait_until(
            lambda: not any(map(is_alive, pids)), f"the end of {whose}: {pids}", timeout=timeout
        )


def is_alive(pid: int) -> bool:
    """Whether a process still runs. A zombie does not: it may be left to somebody else to reap."""
    return process_state(pid) not in (None, "Z", "X")


def process_state(pid: int) -> str | None:
    """A process's state as /proc has it in one letter; None if there is no such process."""
    fields = _stat(pid)
    return fields[0] if fields else None


def children(pid: int) -> dict[int, str]:
    """The processes that a process has started, zombies among them, with their states."""
    found = {int(each.name): _stat(int(each.name)) for each in Path("/proc").glob("[0-9]*")}
    return {child: stat[0] for child, stat in found.items() if stat and int(stat[1]) == pid}


def _stat(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []
