"""A server of PostgreSQL's protocol that writes down what it is sent, and fails when told to.

By itself it takes every statement and does nothing; in front of a real server it lets all through.
It speaks the simple query protocol, without TLS, which is what psql uses for a script.
"""

import re
import socket
import socketserver
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Self

PROTOCOL, CANCEL, TLS, GSS = 196608, 80877102, 80877103, 80877104
"""What a connection's first message can say that it wants."""

DATABASE_URL = "jdbc:redshift://127.0.0.1:{}/records"


class Drop(Enum):
    """An answer that is the end of the connection."""

    BEFORE = "the statement is not carried out"
    AFTER = "the statement is carried out, by the server behind if there is one"


MARK = "SELECT 'hydrant:"
"""What the client has the server say, to know that it has come so far. It is no statement here."""


@dataclass(frozen=True)
class Rows:
    """An answer of one column."""

    values: tuple[str, ...] = ()
    column: str = "value"


@dataclass(frozen=True)
class Refusal:
    """An error that a statement ends with."""

    code: str
    """The SQLSTATE."""
    message: str = "the test wants this"
    severity: str = "ERROR"
    """After FATAL, the connection ends."""
    detail: str = ""


Answer = Drop | Rows | Refusal | None


@dataclass(eq=False)
class Session:
    """One connection."""

    number: int
    """How many there were before it."""
    parameters: dict[str, str]
    """What it began with: `user`, `database`, `application_name` and others."""
    password: str | None = None
    statements: list[str] = field(default_factory=list)
    """As they came, without a semicolon at the end."""
    is_over: bool = False


Plan = Callable[[Session, str], Answer]
"""Says how to answer a statement, and may take its time; None is how a server would."""


def on(word: str, *answers: Answer) -> Plan:
    """Answers the first statements that have a word so, and all others as a server would."""
    left = list(answers)

    def plan(_: Session, statement: str) -> Answer:
        return left.pop(0) if left and word in statement else None

    return plan


def always(word: str, answer: Answer) -> Plan:
    """Answers every statement that has a word so."""
    return lambda _, statement: answer if word in statement else None


class Hold:
    """A plan that keeps the statements that have a word waiting until they are let go."""

    def __init__(self, word: str):
        self._word = word
        self.reached, self._let_go = threading.Event(), threading.Event()

    def __call__(self, _: Session, statement: str) -> Answer:
        if self._word in statement:
            self.reached.set()
            assert self._let_go.wait(60), "nobody let the statement go"
        return None

    def wait(self) -> None:
        """Waits for a statement to wait."""
        assert self.reached.wait(30), f"no statement with {self._word}"

    def let_go(self) -> None:
        """Lets all statements go, also those that come."""
        self._let_go.set()


class Wire:
    """Serves from entry to exit. `upstream` is the port of a server to stand in front of.

    `password` is asked for, in clear. `standard_strings` says what backslashes in literals are:
    themselves, or an escape as in Redshift.
    """

    def __init__(
        self,
        *,
        upstream: int | None = None,
        password: str | None = None,
        standard_strings: bool = True,
    ):
        self.upstream = upstream
        self.password = password
        self.standard_strings = standard_strings
        self.plan: Plan = lambda *_: None
        self.sessions: list[Session] = []
        self.busiest = 0
        """The most connections that there were at once."""
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        # It has to look often: that is how long its end takes.
        run = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        run.start()
        return self

    def __exit__(self, *_) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def port(self) -> int:
        """Where it listens, on 127.0.0.1."""
        return self._server.server_address[1]

    @property
    def jdbc_url(self) -> str:
        """What a stream's configuration calls it, if nothing is behind it."""
        return DATABASE_URL.format(self.port)

    def statements(self, word: str = "") -> list[str]:
        """All statements that came and have a word, by connection."""
        return [each for one in self.sessions for each in one.statements if word in each]

    def open(self, parameters: dict[str, str]) -> Session:
        """Writes down that a connection has begun."""
        with self._lock:
            session = Session(len(self.sessions), parameters)
            self.sessions.append(session)
            open_now = sum(not each.is_over for each in self.sessions)
            self.busiest = max(self.busiest, open_now)
            return session


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 64

    def handle_error(self, request, client_address) -> None:
        """Clients that are killed, and plans that are waited for in vain, show in the tests."""


class _Ended(Exception):
    """The connection is over."""


def _handler(wire: Wire) -> type[socketserver.BaseRequestHandler]:
    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            startup = self._startup()
            session = wire.open(_parameters(startup)) if startup else None
            if session is None:
                return
            try:
                serve = _forward if wire.upstream else _answer
                serve(wire, session, self.request, startup)
            except (_Ended, OSError):
                pass
            finally:
                session.is_over = True

        def _startup(self) -> bytes | None:
            """The message that begins a session; None if there is none."""
            try:
                while True:
                    (length,) = struct.unpack("!I", _read(self.request, 4))
                    body = _read(self.request, length - 4)
                    (code,) = struct.unpack("!I", body[:4])
                    if code not in (TLS, GSS):
                        return body if code == PROTOCOL else None
                    self.request.sendall(b"N")
            except (_Ended, OSError):
                return None

    return Handler


# MARK: A server by itself


def _answer(wire: Wire, session: Session, client: socket.socket, _: bytes) -> None:
    if wire.password is not None:
        client.sendall(_message(b"R", struct.pack("!I", 3)))
        kind, body = _receive(client)
        assert kind == b"p"
        session.password = body.rstrip(b"\0").decode()
        if session.password != wire.password:
            user = session.parameters["user"]
            said = f'password authentication failed for user "{user}"'
            client.sendall(_error(Refusal("28P01", said, "FATAL")))
            return
    settings = {
        "server_version": "8.0.2",
        "server_encoding": "UTF8",
        "client_encoding": "UTF8",
        "DateStyle": "ISO, MDY",
        "integer_datetimes": "on",
        "standard_conforming_strings": "on" if wire.standard_strings else "off",
    }
    told = b"".join(
        _message(b"S", f"{name}\0{value}\0".encode()) for name, value in settings.items()
    )
    ready = _message(b"Z", b"I")
    client.sendall(_message(b"R", struct.pack("!I", 0)) + told + ready)
    state = b"I"
    for text in _queries(client):
        reply, state = _reply(wire, session, text, state)
        client.sendall(reply + _message(b"Z", state))


def _reply(wire: Wire, session: Session, text: str, state: bytes) -> tuple[bytes, bytes]:
    """The answer to a query, and the state of the transaction behind it."""
    if text.startswith(MARK):
        column = struct.pack("!H", 1) + b"mark\0" + struct.pack("!IHIhih", 0, 0, 25, -1, -1, 0)
        value = text.split("'")[1].encode()
        row = _message(b"D", struct.pack("!HI", 1, len(value)) + value)
        return _message(b"T", column) + row + _message(b"C", b"SELECT 1\0"), state
    session.statements.append(text)
    answer = wire.plan(session, text)
    word = text.split(maxsplit=1)[0].upper() if text else ""
    if isinstance(answer, Drop):
        raise _Ended
    if state == b"E" and word not in ("ROLLBACK", "COMMIT", "END", "ABORT"):
        answer = Refusal("25P02", "current transaction is aborted")
    if isinstance(answer, Refusal):
        return _error(answer), b"I" if state == b"I" else b"E"
    if word in ("BEGIN", "START"):
        return _message(b"C", b"BEGIN\0"), b"T"
    if word in ("ROLLBACK", "COMMIT", "END", "ABORT"):
        tag = b"COMMIT\0" if word in ("COMMIT", "END") and state != b"E" else b"ROLLBACK\0"
        return _message(b"C", tag), b"I"
    if word == "SELECT" or answer is not None:
        rows = answer or Rows(("1",))
        column = rows.column.encode() + b"\0" + struct.pack("!IHIhih", 0, 0, 25, -1, -1, 0)
        reply = _message(b"T", struct.pack("!H", 1) + column)
        for each in map(str.encode, rows.values):
            reply += _message(b"D", struct.pack("!HI", 1, len(each)) + each)
        return reply + _message(b"C", f"SELECT {len(rows.values)}\0".encode()), state
    tags = {"INSERT": "INSERT 0 1", "LOCK": "LOCK TABLE", "CREATE": "CREATE TABLE"}
    return _message(b"C", f"{tags.get(word, word)}\0".encode()), state


# MARK: In front of a server


def _forward(wire: Wire, session: Session, client: socket.socket, startup: bytes) -> None:
    """Lets a session through; its password is not seen."""
    with socket.create_connection(("127.0.0.1", wire.upstream)) as server:
        server.sendall(struct.pack("!I", len(startup) + 4) + startup)
        ended = threading.Event()
        silent = threading.Event()
        quiet = threading.Event()
        quiet.set()

        def back() -> None:
            try:
                while True:
                    kind, body = _receive(server)
                    if kind == b"Z":
                        quiet.set()
                    if not silent.is_set():
                        client.sendall(_message(kind, body))
            except (_Ended, OSError):
                pass
            finally:
                ended.set()
                quiet.set()
                _shut(client)

        threading.Thread(target=back, daemon=True).start()
        try:
            while True:
                kind, body = _receive(client)
                answer = None
                if kind == b"Q":
                    text = _text(body)
                    if not text.startswith(MARK):
                        session.statements.append(text)
                    answer = wire.plan(session, text)
                if answer is Drop.BEFORE:
                    raise _Ended
                if isinstance(answer, Refusal):
                    # The server must know of it, or the transaction would go on.
                    kind, body = b"Q", _raising(answer)
                if answer is Drop.AFTER:
                    silent.set()
                    quiet.clear()
                server.sendall(_message(kind, body))
                if answer is Drop.AFTER:
                    quiet.wait(60)
                    raise _Ended
        finally:
            _shut(server)
            _shut(client)
            ended.wait(60)


def _raising(refusal: Refusal) -> bytes:
    """A statement that fails as it is told to."""
    message = refusal.message.replace("'", "''")
    block = f"BEGIN RAISE EXCEPTION USING ERRCODE = '{refusal.code}', MESSAGE = '{message}'; END"
    return f"DO $block$ {block} $block$".encode() + b"\0"


def _shut(one: socket.socket) -> None:
    try:
        one.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass


# MARK: Messages


def _queries(client: socket.socket) -> Iterator[str]:
    while True:
        kind, body = _receive(client)
        if kind == b"X":
            return
        assert kind == b"Q", f"a message of kind {kind!r}"
        yield _text(body)


def _text(body: bytes) -> str:
    return re.sub(r"\s*;\s*$", "", body.rstrip(b"\0").decode())


def _receive(peer: socket.socket) -> tuple[bytes, bytes]:
    kind, length = struct.unpack("!cI", _read(peer, 5))
    return kind, _read(peer, length - 4)


def _read(peer: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        piece = peer.recv(count - len(data))
        if not piece:
            raise _Ended
        data += piece
    return data


def _message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!I", len(body) + 4) + body


def _error(refusal: Refusal) -> bytes:
    fields = {"S": refusal.severity, "V": refusal.severity, "C": refusal.code}
    fields |= {"M": refusal.message} | ({"D": refusal.detail} if refusal.detail else {})
    body = b"".join(name.encode() + text.encode() + b"\0" for name, text in fields.items())
    return _message(b"E", body + b"\0")


def _parameters(startup: bytes) -> dict[str, str]:
    texts = startup[4:].decode().split("\0")
    return {name: value for name, value in zip(texts[::2], texts[1::2], strict=False) if name}
