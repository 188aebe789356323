"""The README's first lines do what they say."""

import re
import subprocess

import pytest

from server import BINARY, REPOSITORY, Hydrant, clean_environment

README = (REPOSITORY / "README.md").read_text()


@pytest.fixture
def started(start_hydrant) -> Hydrant:
    """A server as `hydrant serve` starts it, but for port and folder."""
    return start_hydrant("--min-buffer-interval", "60")


def block(heading: str) -> str:
    """The first block of code below a heading."""
    found = re.search(rf"^#+ {re.escape(heading)}\n.*?^```\n(.*?)^```$", README, re.M | re.S)
    assert found, f"the README has no block below {heading!r}"
    return found[1]


def test_what_is_put_is_found(started, tmp_path):
    """With the lines of the README, another port, another folder and the program under test."""
    lines = block("Put something, and find it")
    first, rest = lines.split("\n", 1)
    assert first == "alias hydrant=$PWD/.build/release/hydrant"
    script = f'hydrant() {{ "{BINARY}" "$@"; }}\n' + rest.replace(
        "hydrant-data", str(started.data)
    )
    done = subprocess.run(
        ["sh", "-eu", "-c", script],
        cwd=tmp_path,
        env=clean_environment() | {"AWS_ENDPOINT_URL": started.endpoint},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    path = done.stdout.splitlines()[-1]
    assert "/my-bucket/" in path
    with open(path, "rb") as file:
        assert file.read() == b"hello\n"


def test_links_lead_somewhere():
    """Those that stay in the repository, with their anchors."""
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", README):
        path, _, anchor = target.partition("#")
        place = REPOSITORY / path if path else REPOSITORY / "README.md"
        assert place.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", place.read_text(), re.M)
            anchors = {re.sub(r"[^\w -]", "", each).lower().replace(" ", "-") for each in headings}
            assert anchor in anchors, target
