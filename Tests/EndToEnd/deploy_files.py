"""What is in the folder `deploy`, as the programs that read it understand it."""

import json
import os
import re
import shlex
import subprocess
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

import yaml

from server import REPOSITORY, clean_environment

DEPLOY = REPOSITORY / "deploy"

UNIT = DEPLOY / "hydrant.service"

COMPOSE = DEPLOY / "docker-compose.yml"

README = DEPLOY / "README.md"


# MARK: Compose


def compose_config(settings: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Has docker-compose check and resolve the file, with the settings of an .env file."""
    return subprocess.run(
        ["docker-compose", "--env-file", str(settings), "-f", str(COMPOSE), "config", *options],
        capture_output=True,
        text=True,
        env=clean_environment(),
        timeout=60,
    )


def services(settings: Path) -> dict[str, dict]:
    """The services as docker-compose resolves them. Its own escape, $$, is a $ again."""
    done = compose_config(settings)
    assert done.returncode == 0, done.stderr
    return _unescaped(yaml.safe_load(done.stdout)["services"])


def _unescaped(value):
    if isinstance(value, dict):
        return {name: _unescaped(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_unescaped(each) for each in value]
    return value.replace("$$", "$") if isinstance(value, str) else value


@dataclass(frozen=True)
class Mount:
    """A place in a container where something of the outside is."""

    source: str
    """A folder outside, or a volume's name."""
    target: str
    is_read_only: bool

    @property
    def is_volume(self) -> bool:
        """Whether it is a named volume."""
        return "/" not in self.source


def mounts(service: dict) -> list[Mount]:
    """What is mounted in a service's container."""
    found = [each.split(":") for each in service.get("volumes", [])]
    return [Mount(source, target, mode == "ro") for source, target, mode in found]


def made_buckets(service: dict) -> list[str]:
    """The buckets that a service's commands create: `mc mb ALIAS/BUCKET...`."""
    found = []
    for line in service["command"][-1].splitlines():
        words = shlex.split(line)
        if words[:2] == ["mc", "mb"]:
            found += [each.split("/", 1)[1] for each in words[2:] if not each.startswith("-")]
    return found


# MARK: Dockerfile


@dataclass
class Stage:
    """One stage of a Dockerfile: instructions and what follows them."""

    base: str
    name: str
    instructions: list[tuple[str, str]] = field(default_factory=list)

    def all(self, instruction: str) -> list[str]:
        """What follows every instruction of a kind."""
        return [text for name, text in self.instructions if name == instruction]

    def only(self, instruction: str) -> str:
        """What follows the one instruction of a kind."""
        (text,) = self.all(instruction)
        return text

    def run_with(self, text: str) -> str:
        """The RUN that has a text in it."""
        (found,) = [each for each in self.all("RUN") if text in each]
        return found

    def form(self, instruction: str) -> list[str]:
        """An instruction in exec form."""
        words = json.loads(self.only(instruction))
        assert all(isinstance(each, str) for each in words)
        return words

    @property
    def environment(self) -> dict[str, str]:
        """What ENV sets."""
        words = [each for text in self.all("ENV") for each in shlex.split(text)]
        return dict(each.split("=", 1) for each in words)

    @property
    def health_command(self) -> str:
        """What HEALTHCHECK has the shell run."""
        return self.only("HEALTHCHECK").partition("CMD ")[2]


def dockerfile(path: Path = DEPLOY / "Dockerfile") -> list[Stage]:
    """The stages of a Dockerfile."""
    kept = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    text = re.sub(r"\\\n\s*", "", "\n".join(kept))
    stages: list[Stage] = []
    for line in filter(None, text.splitlines()):
        instruction, _, rest = line.partition(" ")
        if instruction == "FROM":
            base, _, name = rest.partition(" AS ")
            stages.append(Stage(base, name))
        else:
            stages[-1].instructions.append((instruction, rest.strip()))
    return stages


def is_in_context(path: str) -> bool:
    """Whether .dockerignore lets a file, named from the top of the repository, into a build."""
    kept = True
    for line in (REPOSITORY / ".dockerignore").read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        pattern = line.removeprefix("!").removeprefix("**/")
        names = ["/".join(path.split("/")[:length]) for length in range(1, path.count("/") + 2)]
        if "**/" in line:
            names += path.split("/")
        if any(fnmatchcase(each, pattern) for each in names):
            kept = line.startswith("!")
    return kept


# MARK: The unit


def unit(path: Path = UNIT) -> dict[str, list[str]]:
    """The directives of a unit's [Service], each with all its values."""
    text = re.sub(r"(?m)^[#;].*\n", "", path.read_text())
    section = text.partition("[Service]\n")[2].partition("\n[")[0]
    found: dict[str, list[str]] = {}
    for line in filter(None, section.splitlines()):
        name, _, value = line.partition("=")
        found.setdefault(name, []).append(value)
    return found


# MARK: The page


def commands(heading: str) -> list[str]:
    """The blocks of commands below a heading of the page."""
    section = README.read_text().partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    found = re.findall(r"(?s)```\n(.*?)```", section)
    assert found, f"no commands below {heading}"
    return found


def links() -> list[str]:
    """What the page links to."""
    return re.findall(r"\]\(([^)#]+)", README.read_text())


# MARK: The samples


def settings_of(text: str) -> dict[str, str]:
    """The variables of an environment file."""
    lines = [each for each in text.splitlines() if each and not each.startswith("#")]
    return dict(each.split("=", 1) for each in lines)


def readable_by_all(folder: Path) -> None:
    """Lets every user of the machine into a folder."""
    for path in (folder, *folder.rglob("*")):
        os.chmod(path, 0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)
