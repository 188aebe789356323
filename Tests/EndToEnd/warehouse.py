"""A warehouse for the tests: a real PostgreSQL with `warehouse.sql`, which loads manifests from S3.

Its programs are those of Debian's `postgresql` and `postgresql-plpython3-15`. It demands passwords,
and offers TLS to whoever asks for it.
"""

import csv
import io
import os
import shutil
import signal
import subprocess
import tempfile
import uuid
from pathlib import Path

from certificates import Authority
from ports import free_port
from server import clean_environment
from waiting import wait_until

DATABASE = "warehouse"

LOADER = "loader"
"""The user whom streams load as. The database is theirs."""

RESTART_SECONDS = 30
"""How long the processes of a killed server may hold on to its memory."""

SQL = Path(__file__).with_name("warehouse.sql")

SETTINGS = {
    # What is committed must outlive the server's death, not the machine's.
    "fsync": "off",
    "full_page_writes": "off",
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "50",
    "ssl": "on",
    "ssl_cert_file": "server.pem",
    "ssl_key_file": "server.key",
}


class QueryFailed(Exception):
    """What the server said about a statement of the test's own."""


class Postgres:
    """One PostgreSQL process after another on the same port and data.

    `environment` has the credentials for S3 that a role stands for.
    """

    def __init__(self, environment: dict[str, str]):
        self.port = free_port()
        self.password = f"Loader-{uuid.uuid4().hex}"
        """That of `LOADER`."""
        self._admin_password = uuid.uuid4().hex
        self._environment = environment
        # pytest's own folders are closed to other users, and PostgreSQL does not run as root.
        self._folder = Path(tempfile.mkdtemp(prefix="hydrant-postgres-"))
        self._process: subprocess.Popen | None = None

    @property
    def jdbc_url(self) -> str:
        """What a stream's configuration calls the database."""
        return f"jdbc:redshift://127.0.0.1:{self.port}/{DATABASE}"

    @property
    def authority(self) -> Path:
        """The CA that the server's certificate is from."""
        return self._folder / "authority.pem"

    # MARK: Start and stop

    def create(self) -> "Postgres":
        """Makes the data folder, starts the server and fills it."""
        Authority(self._folder).server()
        password = self._folder / "password"
        password.write_text(self._admin_password)
        if user := _user():
            for path in (self._folder, *self._folder.iterdir()):
                shutil.chown(path, user, user)
        arguments = ["--username=postgres", f"--pwfile={password}", "--auth=scram-sha-256"]
        arguments += ["--encoding=UTF8", "--locale=C.UTF-8", "--no-sync", f"--pgdata={self._data}"]
        done = subprocess.run(
            [_program("initdb"), *arguments], capture_output=True, text=True, **self._as_user
        )
        assert done.returncode == 0, done.stderr
        for name in ("server.pem", "server.key"):
            (self._folder / name).rename(self._data / name)
        self.start()
        self.query(f"CREATE ROLE {LOADER} LOGIN PASSWORD '{self.password}'", database="postgres")
        self.query(f"CREATE DATABASE {DATABASE} OWNER {LOADER}", database="postgres")
        self.query(SQL.read_text(), user="postgres")
        return self

    def start(self) -> None:
        """Starts the server and waits until it answers."""

        def answers() -> bool:
            if self._process is None or self._process.poll() is not None:
                # A process of the one before it may have been there still.
                self._spawn()
            arguments = ["--host=127.0.0.1", f"--port={self.port}", "--quiet"]
            return subprocess.run([_program("pg_isready"), *arguments]).returncode == 0

        wait_until(answers, "PostgreSQL to answer", timeout=RESTART_SECONDS, pause=0.02)

    def stop(self) -> None:
        """Ends the server at once and properly: what is under way is rolled back."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """Kills all processes of the server."""
        if self._process:
            children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
            workers = [int(each) for each in children.read_text().split()]
            self._end(signal.SIGKILL)
            for each in workers:
                try:
                    os.kill(each, signal.SIGKILL)
                except ProcessLookupError:
                    pass

    def remove(self) -> None:
        """Ends the server and deletes all that it has."""
        self.kill()
        wait_until(self._is_removed, "the folder to be gone", pause=0.05)

    def _is_removed(self) -> bool:
        shutil.rmtree(self._folder, ignore_errors=True)
        return not self._folder.exists()

    def _spawn(self) -> None:
        settings = SETTINGS | {"port": str(self.port)}
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [_program("postgres"), "-D", str(self._data)]
                + [f"--{name}={value}" for name, value in settings.items()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                **self._as_user,
            )

    def _end(self, number: signal.Signals) -> None:
        if self._process:
            process, self._process = self._process, None
            process.send_signal(number)
            process.wait(timeout=RESTART_SECONDS)

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    @property
    def _as_user(self) -> dict:
        """How a program is started as somebody who is not root."""
        whose = {"user": _user(), "group": _user(), "extra_groups": []} if _user() else {}
        environment = clean_environment() | self._environment
        return {"env": environment, "cwd": self._folder} | whose

    # MARK: What is in it

    def query(
        self, sql: str, *, user: str | None = None, database: str = DATABASE
    ) -> list[list[str]]:
        """Runs statements, and returns the rows that they answer.

        They run as `LOADER`, or as the administrator in other databases.
        """
        user = user or (LOADER if database == DATABASE else "postgres")
        environment = clean_environment() | {
            "PGPASSWORD": self.password if user == LOADER else self._admin_password,
            "PGHOST": "127.0.0.1",
            "PGPORT": str(self.port),
            "PGUSER": user,
            "PGDATABASE": database,
            "PGSSLMODE": "disable",
        }
        done = subprocess.run(
            ["psql", "--no-psqlrc", "--quiet", "--csv", "--tuples-only", "--set=ON_ERROR_STOP=1"],
            input=sql,
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
        )
        if done.returncode:
            raise QueryFailed(done.stderr)
        return list(csv.reader(io.StringIO(done.stdout)))

    def numbers(self, table: str, column: str = "n") -> list[int]:
        """A column of a table, sorted. Both are as in SQL."""
        return sorted(int(each) for (each,) in self.query(f"SELECT {column} FROM {table}"))

    def count(self, table: str) -> int:
        """How many rows a table has."""
        ((count,),) = self.query(f"SELECT count(*) FROM {table}")
        return int(count)

    def log(self) -> str:
        """All that the server said."""
        return (self._folder / "log").read_text(errors="replace")


def _user() -> str | None:
    """Whom the server runs as, if not as whoever runs the tests."""
    return "postgres" if os.geteuid() == 0 else None


def _program(name: str) -> str:
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda each: each.parent.name)
    path = os.pathsep.join([*map(str, folders[-1:]), os.environ["PATH"]])
    program = shutil.which(name, path=path)
    assert program, f"`{name}` is missing: `make tools` installs it"
    return program
