"""What the server tells Prometheus."""

import re
import urllib.request

from server import Hydrant

SAMPLE = re.compile(r"^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$")

LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"')


def scrape(hydrant: Hydrant) -> str:
    """The page as it is."""
    with urllib.request.urlopen(f"{hydrant.endpoint}/metrics", timeout=10) as answer:
        kind = answer.headers["Content-Type"]
        assert kind == "text/plain; version=0.0.4; charset=utf-8"
        return answer.read().decode()


def samples(hydrant: Hydrant) -> dict[tuple[str, frozenset], float]:
    """Values by name and labels."""
    found = {}
    for line in scrape(hydrant).splitlines():
        if line.startswith("#"):
            continue
        match = SAMPLE.match(line)
        assert match, f"no sample: {line}"
        name, labels, value = match.groups()
        key = (name, frozenset(LABEL.findall(labels or "")))
        assert key not in found, f"told twice: {line}"
        found[key] = float(value)
    return found


def metric(hydrant: Hydrant, name: str, **labels: str) -> float | None:
    """One value; nothing where it is not told."""
    return samples(hydrant).get((name, frozenset(labels.items())))
