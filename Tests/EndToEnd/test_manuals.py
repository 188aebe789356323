"""What the program says about itself: its version, its help, and how a shell completes it."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from metrics import samples
from server import BINARY, Hydrant, clean_environment
from streams import create_stream

SHELLS = ["bash", "zsh", "fish"]

COMMANDS = [
    ("serve",),
    ("check",),
    ("put",),
    ("streams",),
    ("streams", "list"),
    ("streams", "describe"),
    ("streams", "create"),
    ("streams", "update"),
    ("streams", "delete"),
    ("tail",),
    ("stats",),
    ("flush",),
    ("transform",),
    ("transform", "run"),
    ("replay",),
    ("replay", "redshift"),
    ("unseal",),
    ("settings",),
]

BROKEN = {"HYDRANT_CONFIG": "/missing.json", "HYDRANT_NO_SUCH_SETTING": "1"}
"""An environment that no server starts in."""


def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess:
    """Runs the program."""
    return subprocess.run(
        [BINARY, *arguments],
        stdin=subprocess.DEVNULL,
        env=clean_environment() | variables,
        capture_output=True,
        text=True,
        timeout=20,
    )


def said(*arguments: str, **variables: str) -> str:
    """What the program prints when it is asked something that it must answer."""
    done = run(*arguments, **variables)
    assert (done.returncode, done.stderr) == (0, ""), arguments
    return done.stdout


# MARK: Version


def test_the_version_is_told_alike_everywhere(hydrant):
    version = said("--version").strip()
    assert re.fullmatch(r"\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?", version)
    for command in COMMANDS:
        assert said(*command, "--version", **BROKEN).strip() == version
    info = [labels for name, labels in samples(hydrant) if name == "hydrant_build_info"]
    assert info == [frozenset({("version", version)})]


# MARK: Help


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_has_help(command):
    """Also where the environment would not let a server start, and by both of its names."""
    text = said(*command, "--help", **BROKEN)
    assert re.fullmatch(r"OVERVIEW: [A-Z].*\.", text.partition("\n\n")[0], re.DOTALL)
    assert f"\nUSAGE: hydrant {' '.join(command)}" in text
    assert said(*command, "-h", **BROKEN) == text
    for line in text.splitlines():
        assert line == line.rstrip()


def test_all_commands_are_listed():
    text = said("--help")
    listed = re.findall(r"^  ([a-z]+)  ", text.partition("SUBCOMMANDS:")[2], re.MULTILINE)
    assert set(listed) == {command[0] for command in COMMANDS}
    assert said() == text


@pytest.mark.parametrize(
    "arguments", [("sevre",), ("--prot",), ("streams", "lsit"), ("replay", "s3")], ids=" ".join
)
def test_what_is_not_known_is_refused(arguments):
    done = run(*arguments)
    assert (done.returncode, done.stdout) == (64, "")
    assert "Error: " in done.stderr
    assert "Usage: " in done.stderr


# MARK: Completion


@pytest.fixture(scope="module")
def scripts(tmp_path_factory) -> dict[str, Path]:
    """The script of each shell."""
    folder = tmp_path_factory.mktemp("completion")
    paths = {shell: folder / f"hydrant.{shell}" for shell in SHELLS}
    for shell, path in paths.items():
        path.write_text(said("--generate-completion-script", shell, **BROKEN))
    return paths


@pytest.mark.parametrize("shell", SHELLS)
def test_a_script_knows_all_commands(scripts, shell):
    text = scripts[shell].read_text()
    for command in COMMANDS:
        assert re.search(rf"\b{command[-1]}\b", text), command
    for option in ("endpoint-url", "freshness-bound", "dry-run", "no-wait"):
        assert option in text


@pytest.mark.parametrize("shell", SHELLS)
def test_a_shell_can_read_its_script(scripts, shell):
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")
    no_execution = {"bash": "-n", "zsh": "-n", "fish": "--no-execute"}[shell]
    done = subprocess.run([shell, no_execution, scripts[shell]], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_shell_that_is_not_known_is_refused():
    done = run("--generate-completion-script", "powershell")
    assert (done.returncode, done.stdout) == (64, "")


COMPLETE = """
source "$1"
shift
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMP_LINE="$*" COMP_POINT=${#COMP_LINE}
$(complete -p hydrant | sed 's/.* -F \\([^ ]*\\).*/\\1/') hydrant "${!#}" "${@: -2:1}"
printf '%s\\n' "${COMPREPLY[@]}"
"""
"""Has bash complete the last of some words, as its Tab key would."""


def completions(script: Path, folder: Path, *words: str, **variables: str) -> set[str]:
    """What bash offers for the last word."""
    # The script calls the program by its name.
    link = folder / "hydrant"
    if not link.exists():
        link.symlink_to(BINARY)
    path = {"PATH": f"{folder}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-c", COMPLETE, "bash", script, *words],
        env=clean_environment() | path | variables,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert done.returncode == 0, done.stderr
    return {each.strip() for each in done.stdout.splitlines()} - {""}


def test_bash_completes_commands_and_options(scripts, tmp_path):
    script = scripts["bash"]
    assert completions(script, tmp_path, "hydrant", "st") == {"streams", "stats"}
    assert completions(script, tmp_path, "hydrant", "streams", "de") == {"describe", "delete"}
    offered = completions(script, tmp_path, "hydrant", "serve", "--log")
    assert offered == {"--log-level", "--log-format", "--log-segment-kilobytes"}
    assert completions(script, tmp_path, "hydrant", "serve", "--durability", "") == {"fsync", "os"}


def test_bash_completes_names_of_streams(scripts, tmp_path, hydrant: Hydrant):
    """Those of the server that the environment names; nothing where there is none."""
    client = hydrant.client()
    for name in ("tab-one", "tab-two", "other"):
        create_stream(client, "arn:aws:s3:::bucket", name=name)
    place = {"AWS_ENDPOINT_URL_FIREHOSE": hydrant.endpoint}
    for command in (("tail",), ("stats",), ("flush",), ("put",), ("streams", "describe")):
        words = ("hydrant", *command, "tab-")
        assert completions(scripts["bash"], tmp_path, *words, **place) == {"tab-one", "tab-two"}
    nowhere = {"AWS_ENDPOINT_URL_FIREHOSE": "http://127.0.0.1:1"}
    assert completions(scripts["bash"], tmp_path, "hydrant", "tail", "tab-", **nowhere) == set()
