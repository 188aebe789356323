"""Test servers that answer in a thread of this process."""

import threading
from http.server import HTTPServer
from typing import Self


class InBackground:
    """Serves from entry to exit."""

    def __init__(self, server: HTTPServer):
        self._server = server
        self._thread = threading.Thread(target=server.serve_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def port(self) -> int:
        """Where it listens, on 127.0.0.1."""
        return self._server.server_address[1]

    @property
    def endpoint(self) -> str:
        """The URL that clients talk to."""
        return f"http://127.0.0.1:{self.port}"
