"""Hydrant as a service of systemd, installed on a machine of its own as the page says."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy_files import DEPLOY, commands
from deploy_machine import UNITS, Machine
from keys import Key
from ports import free_port
from server import BINARY, REPOSITORY, Hydrant

SERVICE = "hydrant.service"

OPERATOR, PRODUCER = Key("operator", "operators-secret"), Key("producer", "producers-secret")
"""The keys of the sample, with secrets."""

ETC, CHECKOUT = Path("/etc/hydrant"), "/srv/checkout"

OUTPUT = "/run/hydrant.log"

LOG_TO_FILE = f"[Service]\nStandardOutput=append:{OUTPUT}\nStandardError=append:{OUTPUT}\n"
"""The machine has no journal."""


class Service(Hydrant):
    """The service of a machine. What `Hydrant` does with its process, systemd does here."""

    def __init__(self, machine: Machine, folder: Path):
        super().__init__(folder)
        self.machine = machine
        self.data = machine.path("/var/lib/hydrant")
        self.port = free_port()
        self.checked = ""
        """What `hydrant serve --check` said before the first start."""

    # MARK: Installation

    def install(self, **settings) -> None:
        """Does what the page says up to the start; `settings` are changes of the sample."""
        checkout = self.machine.path(CHECKOUT)
        shutil.copytree(DEPLOY, checkout / "deploy", ignore=shutil.ignore_patterns("demo"))
        (checkout / ".build/release").mkdir(parents=True)
        shutil.copy(BINARY, checkout / ".build/release/hydrant")
        install, self._start = commands("systemd")
        build, _, install = install.partition("\n")
        assert build.startswith("swift build -c release")
        self.machine.do("sh", "-exc", f"cd {CHECKOUT}; {install}")
        self.configure(port=self.port, **settings)
        self.write_secrets(OPERATOR, PRODUCER)
        self.machine.write(UNITS / f"{SERVICE}.d/log.conf", LOG_TO_FILE)

    def configure(self, **settings) -> None:
        """Changes settings in hydrant.json."""
        path = self.machine.path(ETC / "hydrant.json")
        changed = json.loads(path.read_text()) | settings
        path.write_text(json.dumps(changed))

    def write_secrets(self, *keys: Key) -> None:
        """Fills in credentials.json: the sample's keys with these secrets."""
        path = self.machine.path(ETC / "credentials.json")
        secrets = {each.access_key: each.secret_key for each in keys}
        content = json.loads(path.read_text())
        for entry in content["keys"]:
            entry["secretAccessKey"] = secrets.pop(entry["accessKeyId"])
        assert not secrets
        path.write_text(json.dumps(content))

    def write_environment(self, variables: dict[str, str]) -> None:
        """Fills in hydrant.env."""
        path = self.machine.path(ETC / "hydrant.env")
        text = path.read_text()
        for name, value in variables.items():
            assert f"{name}=\n" in text, f"the sample has no {name}"
            text = text.replace(f"{name}=\n", f"{name}={value}\n")
        path.write_text(text)

    def add_transform(self, name: str, program: Path) -> None:
        """Installs a Python program as a transform."""
        folder = ETC / "transforms" / name
        self.machine.copy(program, folder / "transform.py")
        settings = {"command": ["/usr/bin/python3", "transform.py"], "timeoutSeconds": 60}
        self.machine.write(folder / "transform.json", json.dumps(settings))

    @contextmanager
    def changed(self, *lines: str, **settings) -> Iterator[None]:
        """Stops the service and adds lines to its unit and settings to hydrant.json for a while."""
        drop_in = self.machine.path(UNITS / f"{SERVICE}.d/test.conf")
        file = self.machine.path(ETC / "hydrant.json")
        before = file.read_text()
        self.order("stop")
        try:
            drop_in.write_text("\n".join(["[Service]", *lines, ""]))
            self.configure(**settings)
            self.systemctl("daemon-reload")
            yield
        finally:
            drop_in.unlink()
            file.write_text(before)
            self.systemctl("daemon-reload")
            self.order("restart")

    # MARK: Start and stop

    def first_start(self) -> None:
        """Does what the page says from the check of the settings on."""
        self.checked = self.machine.do("sh", "-exc", self._start)

    def systemctl(self, *arguments: str) -> str:
        """Gives systemd an order that it must carry out."""
        done = self.machine.run("systemctl", *arguments)
        assert done.returncode == 0, f"{arguments}: {done.stderr}\n{self.log_tail()}"
        return done.stdout

    def order(self, verb: str) -> None:
        """Has systemd start, stop, restart or reload the service."""
        self.systemctl(verb, SERVICE)

    def show(self, name: str) -> str:
        """One property of the service."""
        return self.machine.show(SERVICE, name)

    @property
    def main_process(self) -> int:
        """The server, as it is called outside of the machine."""
        return self.machine.main_process(SERVICE)

    def log(self) -> str:
        """All that the service has printed."""
        path = self.machine.path(OUTPUT)
        return path.read_text(errors="replace") if path.exists() else ""


def sample_refusal(folder: Path) -> str:
    """What a server says about the sample of credentials as it is."""
    credentials = folder / "credentials.json"
    shutil.copy(REPOSITORY / "deploy/credentials.json", credentials)
    credentials.chmod(0o600)
    return Hydrant(folder, "--credentials", str(credentials)).refusal_to_start()
