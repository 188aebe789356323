"""The pages on clients: their code blocks, and the servers that they are run against.

A block has a name in a comment in front of its fence: `<!-- run: boto3-plain -->`. It is run as it
stands, but for the server's host and port, the paths, and the buffering interval, which are the
test's own.
"""

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from keys import Key, write_private
from server import REPOSITORY

PAGES = REPOSITORY / "deploy" / "clients"

STREAM = "logs"
"""The stream that all pages put into."""

BUCKET = "my-bucket"

SHOP = Key("shop", "shop-secret")
"""The key of the pages that may put into the stream, and nothing else."""

OPERATOR = Key("operator", "operator-secret")

ANY = Key("any", "any")
"""What the pages give to a server that lets everybody in."""

PLAIN_PLACE = "127.0.0.1:4573"

SECURED_HOST, SECURED_PORT = "firehose.example.internal", 4573

CA = "/etc/hydrant/ca.pem"

HOST = "localhost"
"""What `SECURED_HOST` becomes: a name, as certificates have it."""

BLOCK = re.compile(
    r"^(?:<!-- run: (?P<name>[a-z0-9-]+) -->\n)?```(?P<language>\w*)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)

INTERVAL = re.compile(r'("IntervalInSeconds": |buffering_interval = )60\b')


@dataclass(frozen=True)
class Block:
    """A fenced block of a page. `name` is what the comment in front of it says, if there is one."""

    page: str
    name: str | None
    text: str


@cache
def blocks() -> tuple[Block, ...]:
    """The blocks of all pages."""
    return tuple(
        Block(page.name, match["name"], match["text"])
        for page in sorted(PAGES.glob("*.md"))
        for match in BLOCK.finditer(page.read_text())
    )


def block(name: str) -> str:
    """The text of the block of that name."""
    (found,) = (each.text for each in blocks() if each.name == name)
    return found


@dataclass(frozen=True)
class Place:
    """A server as clients find it: what the pages' host, port and paths stand for."""

    port: int
    ca: Path | None = None
    """The authority of its certificate, if it speaks TLS."""

    @property
    def endpoint(self) -> str:
        """The URL that clients call."""
        return f"https://{HOST}:{self.port}" if self.ca else f"http://127.0.0.1:{self.port}"

    def fill(self, text: str, paths: Mapping[str, Path] | None = None) -> str:
        """A block's text for this server; `paths` says what more of the page's paths become."""
        text = text.replace(PLAIN_PLACE, f"127.0.0.1:{self.port}")
        text = text.replace(f"{SECURED_HOST}:{SECURED_PORT}", f"{HOST}:{self.port}")
        text = text.replace(SECURED_HOST, HOST)
        text = re.sub(rf"^(\s*port\s+){SECURED_PORT}$", rf"\g<1>{self.port}", text, flags=re.M)
        if self.ca:
            text = text.replace(CA, str(self.ca))
        for name, path in (paths or {}).items():
            assert name in text, f"no {name} in\n{text}"
            text = text.replace(name, str(path))
        return at_once(text)


def at_once(text: str) -> str:
    """A block whose streams deliver at once, so that nobody waits for a minute."""
    return INTERVAL.sub(r"\g<1>0", text)


def serve_arguments(name: str) -> list[str]:
    """The options of a block's `hydrant serve`, the last line of it."""
    lines = block(name).replace("\\\n", " ").splitlines()
    command, operation, *options = shlex.split(lines[-1])
    assert (command, operation) == ("hydrant", "serve")
    return options


def write_server_files(folder: Path, certificates: Path | None = None) -> None:
    """Writes what the pages' servers read into their working directory."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "logs.json").write_text(at_once(block("stream")))
    write_private(folder / "keys.json", block("keys"))
    for each in certificates.iterdir() if certificates else ():
        write_private(folder / each.name, each.read_text())


def write(path: Path, text: str) -> Path:
    """Writes a file, and the folders that it needs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path
