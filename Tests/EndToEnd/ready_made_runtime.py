"""AWS's Lambda Runtime API for one process, so that a transform runs without a server."""

import json
import queue
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from background import InBackground
from server import ACCOUNT, REGION

BASE = "/2018-06-01/runtime"


class RuntimeAPI(InBackground):
    """Hands out events to a process that asks for them, and keeps what it reports."""

    def __init__(self, name: str, timeout_seconds: int):
        self.invocations: queue.Queue[tuple[str, bytes]] = queue.Queue()
        """Request ids and events that the process has not asked for yet."""
        self.reports: queue.Queue[tuple[str, bytes]] = queue.Queue()
        """The paths and bodies of what it reported."""
        self.function_arn = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}"
        self.timeout_seconds = timeout_seconds
        server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        server.daemon_threads = True
        super().__init__(server)

    @property
    def address(self) -> str:
        """What the process finds in AWS_LAMBDA_RUNTIME_API."""
        return f"127.0.0.1:{self.port}"

    def begin(self, event: bytes) -> str:
        """Hands out an event; returns the path that its response comes to."""
        request = str(uuid.uuid4())
        self.invocations.put((request, event))
        return f"{BASE}/invocation/{request}/response"


def _handler(api: RuntimeAPI) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            if self.path != f"{BASE}/invocation/next":
                return self._answer(404, b"{}")
            request, event = api.invocations.get()
            deadline = int((time.time() + api.timeout_seconds) * 1000)
            trace = request.replace("-", "")
            self._answer(
                200,
                event,
                **{
                    "Lambda-Runtime-Aws-Request-Id": request,
                    "Lambda-Runtime-Deadline-Ms": str(deadline),
                    "Lambda-Runtime-Invoked-Function-Arn": api.function_arn,
                    "Lambda-Runtime-Trace-Id": f"Root=1-{trace[:8]}-{trace[8:]};Sampled=0",
                },
            )

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            api.reports.put((self.path, body))
            self._answer(202, json.dumps({"status": "OK"}).encode())

        def _answer(self, status: int, body: bytes, **headers: str) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_) -> None:
            pass

    return Handler
