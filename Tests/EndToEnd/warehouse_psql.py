"""psql as a server starts it, and programs that stand for it."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path

from server import Hydrant

PROGRAM = """\
#!{python}
import json, os, sys
script = sys.stdin.read()
call = {{"arguments": sys.argv[1:], "environment": dict(os.environ), "script": script}}
with open({log!r}, "a") as log:
    log.write(json.dumps(call) + "\\n")
{then}
"""

ECHO = """\
for line in script.splitlines():
    if line.startswith("\\\\echo "):
        print(line.split(maxsplit=1)[1])
    if line.startswith("SELECT 'hydrant:"):
        print(line.split("'")[1])
"""


@dataclass(frozen=True)
class Call:
    """How psql was called."""

    arguments: list[str]
    environment: dict[str, str]
    script: str


class FakePsql:
    """A program in `folder`. `then` is what it does in the end, in Python.

    By default it behaves as if every statement were carried out.
    """

    def __init__(self, folder: Path, then: str = ECHO):
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / "psql"
        self._log = folder / "calls"
        self.path.write_text(PROGRAM.format(python=sys.executable, log=str(self._log), then=then))
        self.path.chmod(0o755)

    @property
    def calls(self) -> list[Call]:
        """All calls so far."""
        lines = self._log.read_text().splitlines() if self._log.exists() else []
        return [Call(**json.loads(each)) for each in lines]


def children(hydrant: Hydrant) -> list[int]:
    """The processes that a server has started, and those that they have."""
    assert hydrant.process is not None
    found = [hydrant.process.pid]
    for pid in found:
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += map(int, (task / "children").read_text().split())
    return found[1:]


def command_lines(hydrant: Hydrant) -> str:
    """What `ps` says about a server and psql."""
    pids = [hydrant.process.pid, *children(hydrant)]
    found = "\n".join(Path(f"/proc/{pid}/cmdline").read_text() for pid in pids)
    assert "psql" in found
    return found.replace("\0", " ")
