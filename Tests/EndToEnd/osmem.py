"""A search server for the tests: osmem, from the PyPI package `osmem-server`.

It speaks OpenSearch's API with a real mapper behind it, and keeps its documents in memory: what was
killed has lost them. It knows no data streams, no credentials, and no bulk action with a `_type`.
"""

import http.client
import json
import os
import subprocess
from pathlib import Path

from osmem_server import resolve_binary

from ports import free_port
from waiting import wait_until

TIME_OUT_SECONDS = 60

MOST_DOCUMENTS = 1_000_000
"""How many documents one search may answer."""

STORED_LONG = {"type": "long", "index": False, "doc_values": False}
"""A number that is checked and not indexed: osmem takes such documents four times as fast."""


class Osmem:
    """One osmem process after another on the same port. `folder` takes what they say."""

    def __init__(self, folder: Path):
        self.port = free_port()
        self._folder = folder
        self._process: subprocess.Popen | None = None
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def endpoint(self) -> str:
        """The URL that clients talk to."""
        return f"http://127.0.0.1:{self.port}"

    # MARK: Start and stop

    def start(self) -> "Osmem":
        """Starts the server, on the same port each time, and waits until it listens."""
        assert self._process is None, "osmem runs already"
        with self._stdout.open("wb") as stdout, (self._folder / "stderr.log").open("ab") as stderr:
            self._process = subprocess.Popen(
                [resolve_binary(), "-addr", f"127.0.0.1:{self.port}"]
                + ["-no-stdin-watch", "-no-ja", "-parent-pid", str(os.getpid())],
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,
            )
        wait_until(self._is_listening, "osmem to listen", pause=0.01)
        return self

    def kill(self) -> None:
        """Ends the server and all that it holds."""
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None

    def restart(self) -> None:
        """Ends the server and starts an empty one on the same port."""
        self.kill()
        self.start()

    @property
    def _stdout(self) -> Path:
        return self._folder / "stdout.log"

    def _is_listening(self) -> bool:
        assert self._process is not None
        if (status := self._process.poll()) is not None:
            said = (self._folder / "stderr.log").read_text(errors="replace")
            raise AssertionError(f"osmem ended with {status}:\n{said[-2_000:]}")
        # One line of JSON says that it listens.
        return self._stdout.read_text().endswith("}\n")

    # MARK: Indices

    def create_index(self, name: str, **properties: dict) -> None:
        """Creates an index in which a member of a document must be what `properties` say.

        Other members can be anything.
        """
        settings = {"index": {"max_result_window": MOST_DOCUMENTS}}
        mappings = {"dynamic": False, "properties": properties}
        self._do("PUT", f"/{name}", {"settings": settings, "mappings": mappings})

    def put_mapping(self, name: str, **properties: dict) -> None:
        """Adds members to an index's mapping."""
        self._do("PUT", f"/{name}/_mapping", {"properties": properties})

    def put_settings(self, name: str, **settings) -> None:
        """Changes an index's settings; `None` has the default back."""
        self._do("PUT", f"/{name}/_settings", {"index": settings})

    def block(self, name: str) -> None:
        """Has an index answer 429 for every document, as one whose disk is full."""
        self.put_settings(name, **{"blocks.read_only_allow_delete": True})

    def unblock(self, name: str) -> None:
        """Undoes `block`."""
        self.put_settings(name, **{"blocks.read_only_allow_delete": None})

    def indices(self, beginning: str = "") -> list[str]:
        """The names of the indices that begin so, sorted."""
        found = self._do("GET", "/_cat/indices?format=json")
        return sorted(each["index"] for each in found if each["index"].startswith(beginning))

    # MARK: Documents

    def count(self, name: str) -> int:
        """How many documents are in an index; none if there is no such index."""
        status, answer = self.request("GET", f"/{name}/_count")
        assert status in (200, 404), answer
        return answer["count"] if status == 200 else 0

    def documents(self, name: str) -> dict[str, dict]:
        """All documents of an index by their ids; none if there is no such index."""
        if not self.count(name):
            return {}
        self.put_settings(name, max_result_window=MOST_DOCUMENTS)
        hits = self._do("GET", f"/{name}/_search?size={MOST_DOCUMENTS}")["hits"]["hits"]
        found = {each["_id"]: each["_source"] for each in hits}
        assert len(found) == len(hits), "two documents have one id"
        return found

    def request(self, method: str, path: str, body: dict | None = None) -> tuple[int, dict]:
        """Makes a request; returns the answer's status and its JSON."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=TIME_OUT_SECONDS)
        try:
            data = None if body is None else json.dumps(body)
            connection.request(method, path, data, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def _do(self, method: str, path: str, body: dict | None = None):
        status, answer = self.request(method, path, body)
        assert status == 200, answer
        return answer
