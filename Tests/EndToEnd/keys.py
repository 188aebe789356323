"""Access keys, and the file in which `hydrant serve --credentials` finds them."""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

EVERYTHING = ({"actions": ["*"], "streams": ["*"]},)
"""The rules of a key that may do all."""


def may(*actions: str, streams: tuple[str, ...] = ("*",)) -> dict:
    """A rule that allows `actions` (without `firehose:`) on `streams`."""
    return {"actions": [f"firehose:{each}" for each in actions], "streams": list(streams)}


@dataclass(frozen=True)
class Key:
    """One access key with what it may do."""

    access_key: str
    secret_key: str
    token: str | None = None
    expires: str | None = None
    allow: tuple[dict, ...] = field(default=EVERYTHING, hash=False)

    @property
    def entry(self) -> dict:
        """The key as the credentials file has it."""
        members = {
            "accessKeyId": self.access_key,
            "secretAccessKey": self.secret_key,
            "sessionToken": self.token,
            "expires": self.expires,
            "allow": list(self.allow),
        }
        return {name: value for name, value in members.items() if value is not None}

    @property
    def environment(self) -> dict[str, str]:
        """The standard variables that give a client this key."""
        variables = {
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
        }
        return variables | ({"AWS_SESSION_TOKEN": self.token} if self.token else {})


def from_now(**period: float) -> str:
    """The time in so many minutes, hours or days, as the credentials file writes it."""
    return (datetime.now(UTC) + timedelta(**period)).strftime("%Y-%m-%dT%H:%M:%SZ")


PRODUCER = Key("producer", "producer-secret")
"""The key that `Hydrant.client` signs with unless it is given another one."""

AWKWARD = Key("AKIA0AWKWARD0KEY", "/slash+plus=equals/äö🚰 and spaces")
"""A secret of every kind of character."""

TEMPORARY = Key("ASIATEMPORARY000", "temporary-secret", token="a/session+token==")

EXPIRED = Key("ASIAEXPIRED00000", "expired-secret", token="old", expires="2020-01-01T00:00:00Z")

LASTING = Key("ASIALASTING00000", "lasting-secret", token="new", expires=from_now(hours=1))

UNKNOWN = Key("AKIAUNKNOWN00000", "nobody-has-this-one")
"""A key that is in no file."""

KEYS = (PRODUCER, AWKWARD, TEMPORARY, EXPIRED, LASTING)


def write_keys(path: Path, *keys: Key | dict, mode: int = 0o600) -> Path:
    """Writes a credentials file, over one that is there already; returns its path."""
    entries = [each.entry if isinstance(each, Key) else each for each in keys]
    return write_private(path, json.dumps({"keys": entries}), mode=mode)


def write_private(path: Path, text: str, *, mode: int = 0o600) -> Path:
    """Puts `text` into a file of that mode, in one step; returns its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.unfinished")
    unfinished.write_text(text)
    unfinished.chmod(mode)
    unfinished.replace(path)
    return path
