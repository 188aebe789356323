"""Hydrant as its container runs, without one: the image's and Compose's command line, environment,
user and folders, with the other containers' addresses and the image's paths mapped to what is here.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

from deploy_files import Stage, mounts, readable_by_all
from ports import free_port
from server import BINARY, Hydrant, clean_environment

PORT = 4573
"""Where the server listens in its container."""


class Container(Hydrant):
    """A server that is started as one service of a Compose file says.

    `folder` must be one that every user of the machine can get into; `addresses` are where the
    other services are, by what the file calls them (`store:9000`).
    """

    def __init__(self, folder: Path, image: Stage, service: dict, addresses: dict[str, str]):
        super().__init__(folder)
        self._image = image
        self._service = service
        self._addresses = addresses | {f"127.0.0.1:{PORT}": f"127.0.0.1:{free_port()}"}
        self._own_port = self._addresses[f"127.0.0.1:{PORT}"].partition(":")[2]
        self._user, self._group = map(int, image.only("USER").split(":"))
        self._binary = folder / "hydrant"
        self._paths = self._mount()
        self.data = self._paths[image.only("VOLUME")]

    def _mount(self) -> dict[str, Path]:
        """Lays out the container's folders; returns where they are by their names inside."""
        shutil.copy(BINARY, self._binary)
        found = {}
        for number, mount in enumerate(mounts(self._service)):
            place = found[mount.target] = self.folder / f"mount-{number}"
            if mount.is_volume:
                # An empty volume gets the owner of what the image has there.
                place.mkdir(mode=0o700)
                os.chown(place, self._user, self._group)
                continue
            shutil.copytree(mount.source, place)
            for file in filter(Path.is_file, place.rglob("*")):
                if file.suffix == ".json":
                    file.write_text(self._here(file.read_text()))
            readable_by_all(place)
        self.folder.chmod(0o755)
        return found

    def _here(self, text: str) -> str:
        for there, here in self._addresses.items():
            text = re.sub(rf"(?<=//){re.escape(there)}\b", here, text)
        return text

    def _value(self, text: str) -> str:
        """A word of the command line or the environment, as it is outside."""
        if text.startswith("/"):
            for inside, outside in self._paths.items():
                if text == inside or text.startswith(f"{inside}/"):
                    return f"{outside}{text.removeprefix(inside)}"
            raise AssertionError(f"{text} is in no volume")
        return self._here(text)

    @property
    def variables(self) -> dict[str, str]:
        """What the image and the service put into the environment, as it is outside."""
        given = self._image.environment | self._service["environment"]
        return {name: self._value(str(value)) for name, value in given.items()}

    # MARK: What runs in it

    def spawn(self) -> subprocess.Popen:
        assert self.process is None, "the server runs already"
        with self._stdout.open("wb") as stdout, self._stderr.open("ab") as stderr:
            self.process = subprocess.Popen(
                self._command_line(),
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                **self._inside,
            )
        return self.process

    def run(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Runs the image's program with other arguments, beside the server if that runs."""
        return subprocess.run(
            self._command_line(*arguments),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            **self._inside,
        )

    def ask_health(self) -> subprocess.CompletedProcess[str]:
        """Runs the service's health check."""
        kind, *command = self._service["healthcheck"]["test"]
        assert kind == "CMD"
        return self._run_check([self._here(each) for each in command])

    def ask_image_health(self) -> subprocess.CompletedProcess[str]:
        """Runs the image's own health check."""
        return self._run_check(["/bin/sh", "-c", self._image.health_command])

    def _run_check(self, command: list[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, capture_output=True, text=True, timeout=30, **self._inside
        )

    def _command_line(self, *arguments: str) -> list[str]:
        program, *entry = self._service.get("entrypoint") or self._image.form("ENTRYPOINT")
        assert program == "hydrant"
        given = arguments or self._service.get("command") or self._image.form("CMD")
        return [str(self._binary), *map(self._value, [*entry, *given])]

    @property
    def _inside(self) -> dict:
        """How a process of the container is started."""
        return {
            "env": clean_environment() | self.variables | {"HYDRANT_PORT": self._own_port},
            "cwd": self._paths[self._image.only("WORKDIR")],
            "user": self._user,
            "group": self._group,
            "extra_groups": [],
            "umask": 0o022,
            "start_new_session": True,
        }
