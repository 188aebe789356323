"""The programs that the pages on clients are about: where they are, and how they are run."""

import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from server import clean_environment

TIME_OUT_SECONDS = 150

VENV = Path(sys.executable).parent

STAND_INS = Path(__file__).parent / "client_stand_ins"
"""In place of SDKs that no package index at hand has."""

MIRRORS = [
    Path.home() / ".terraform.d/plugins",
    Path("/usr/local/share/terraform/plugins"),
    Path("/usr/share/terraform/plugins"),
    *(each.parent for each in Path("/opt").glob("*/registry.terraform.io")),
]
"""Where Terraform's providers may lie on a machine, as it lays them out itself."""


def program(name: str, variable: str | None = None) -> Path:
    """Where a program is, by a variable or on the path; a test without it is skipped."""
    found = (variable and os.environ.get(variable)) or shutil.which(name)
    if not found:
        hint = f", and {variable} does not name it" if variable else ""
        pytest.skip(f"there is no {name}{hint}")
    return Path(found)


def run(
    command: list[str | Path], folder: Path, *, check: bool = True, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Runs a program in a folder, which is its home as well; it sees no AWS_* but `variables`."""
    done = subprocess.run(
        command,
        cwd=folder,
        env=client_environment(folder) | variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=TIME_OUT_SECONDS,
    )
    assert done.returncode == 0 or not check, done.stdout
    return done


def run_shell(script: str, folder: Path, *, first: Path | None = None, **variables: str) -> str:
    """Runs a block as a shell does; `first` is a folder of programs that go before others.

    Returns what it printed.
    """
    path = os.environ["PATH"]
    variables |= {"PATH": f"{first}{os.pathsep}{path}" if first else path}
    return run(["sh", "-eu", "-c", script], folder, **variables).stdout


def client_environment(folder: Path) -> dict[str, str]:
    """An environment without the user's own settings, and without AWS's metadata service."""
    own = {"HOME": str(folder), "AWS_EC2_METADATA_DISABLED": "true", "AWS_PAGER": ""}
    return clean_environment() | own


# MARK: AWS CLI


def cli(version: int) -> Path:
    """The folder of an AWS CLI of that version. Version 1 is from the venv, 2 from the system."""
    if version == 1:
        return VENV
    known = [os.environ.get("CLIENT_AWS_CLI_2"), "/usr/local/bin/aws", "/usr/bin/aws"]
    for each in filter(None, known):
        if Path(each).is_file() and _cli_version(Path(each))[0] == 2:
            return Path(each).parent
    pytest.skip("there is no AWS CLI 2 (Debian: awscli), and CLIENT_AWS_CLI_2 does not name one")


def cli_knows_services(folder: Path) -> bool:
    """Whether the AWS CLI in a folder reads endpoints from its configuration."""
    version = _cli_version(folder / "aws")
    return version >= (2, 13) or (1, 29) <= version < (2, 0)


@cache
def _cli_version(path: Path) -> tuple[int, ...]:
    said = subprocess.run([path, "--version"], capture_output=True, text=True).stdout
    return tuple(map(int, said.split()[0].removeprefix("aws-cli/").split(".")[:2]))


# MARK: Node and Java


def install_javascript_stand_in(folder: Path) -> None:
    """Puts a stand-in for `@aws-sdk/client-firehose` where Node looks for it."""
    package = folder / "node_modules" / "@aws-sdk" / "client-firehose"
    package.mkdir(parents=True)
    shutil.copy(STAND_INS / "client-firehose.mjs", package / "index.mjs")
    (package / "package.json").write_text('{"exports": "./index.mjs"}')


def run_node(script: Path, **variables: str) -> None:
    """Runs a module, with the stand-in for the SDK."""
    node = program("node")
    install_javascript_stand_in(script.parent)
    run([node, script.name], script.parent, **variables)


def compile_java(folder: Path, *sources: Path) -> None:
    """Compiles sources into a folder, with a stand-in for the SDK."""
    stand_in = sorted((STAND_INS / "java").rglob("*.java"))
    command = [program("javac"), "-Xlint:all", "-Werror", "-d", ".", *sources, *stand_in]
    run(command, folder)


# MARK: Terraform


def terraform(folder: Path, *arguments: str, **variables: str) -> str:
    """Runs Terraform in a folder with providers from a mirror; returns what it printed."""
    settings = {
        "CHECKPOINT_DISABLE": "1",
        "TF_CLI_CONFIG_FILE": os.devnull,
        "TF_IN_AUTOMATION": "1",
    }
    return run(
        [program("terraform"), *arguments, "-no-color"], folder, **settings, **variables
    ).stdout


def provider_mirror() -> Path:
    """A folder with the provider `hashicorp/aws`; a test without one is skipped."""
    named = os.environ.get("CLIENT_TERRAFORM_MIRROR")
    for each in [Path(named)] if named else MIRRORS:
        if (each / "registry.terraform.io/hashicorp/aws").is_dir():
            return each
    pytest.skip("no mirror has Terraform's provider hashicorp/aws (CLIENT_TERRAFORM_MIRROR)")
