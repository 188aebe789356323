"""What features add to the cost of ingest: two servers side by side, one with the feature.

Both get the same requests, headers included, in slices of a second in turns (A B B A A B ...), so
that whatever the machine does meanwhile meets both.
"""

import statistics
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from load import Body, run_wrk
from servers import Hydrant

SLICE_SECONDS = 1


@dataclass(frozen=True)
class Pair:
    """A load on a server with a feature and on one without, and what the feature may add to it."""

    body: str
    connections: int
    feature: str
    unit: str
    limit: float

    @property
    def name(self) -> str:
        return f"{self.body} c{self.connections} {self.feature}"


PAIRS = (
    Pair("500x1k", 16, "verified", "CPU s/GB", 1.4),
    Pair("1x1k", 64, "verified", "CPU us/put", 8),
    Pair("500x1k", 16, "sealed", "CPU s/GB", 0.6),
)


def measure_pair(pair: Pair, body: Body, folder: Path, options) -> dict:
    """The costs without the feature and with it, in the pair's unit."""
    how = (options.durability, options.compression)
    with ExitStack() as stack:
        servers = {}
        for name in ("", pair.feature):
            server = Hydrant(options.binary, folder / (name or "bare"), *how, name)
            servers[name] = stack.enter_context(server)
        cpu, user, requests = ({name: 0.0 for name in servers} for _ in range(3))
        for server in servers.values():
            server.check(body)
            run_wrk(options.wrk, server.port, body, server.folder, pair.connections, SLICE_SECONDS)
        for name in turns(list(servers), options.seconds):
            server = servers[name]
            before = server.cpu_seconds(), server.user_seconds()
            load = (options.wrk, server.port, body, server.folder, pair.connections)
            requests[name] += run_wrk(*load, SLICE_SECONDS)["requests"]
            cpu[name] += server.cpu_seconds() - before[0]
            user[name] += server.user_seconds() - before[1]
        for server in servers.values():
            server.check(body)
    scale = {"CPU s/GB": 1e9 / body.payload_bytes, "CPU us/put": 1e6}[pair.unit]
    sides = {"without": "", "with": pair.feature}
    return {
        part: {side: figures[name] / requests[name] * scale for side, name in sides.items()}
        for part, figures in (("cpu", cpu), ("user", user))
    }


def turns(names: list[str], each: int) -> list[str]:
    """Every name `each` times: A B B A A B B A ..."""
    order = []
    for number in range(each):
        order += names if number % 2 == 0 else names[::-1]
    return order


def summarize_pairs(rounds: list[dict]) -> list[dict]:
    """Medians over the rounds, and whether the marks were met."""
    found = []
    for pair in PAIRS:
        costs = [results[pair.name] for results in rounds]
        differences = {
            part: [cost[part]["with"] - cost[part]["without"] for cost in costs]
            for part in ("cpu", "user")
        }
        added = statistics.median(differences["cpu"])
        mark = f"{pair.name}: at most {pair.limit:g} {pair.unit} more than without"
        found.append(
            {
                "load": pair.name,
                "unit": pair.unit,
                "without": statistics.median(cost["cpu"]["without"] for cost in costs),
                "with": statistics.median(cost["cpu"]["with"] for cost in costs),
                "added": added,
                "added_user": statistics.median(differences["user"]),
                "least": min(differences["cpu"]),
                "most": max(differences["cpu"]),
                "mark": {"mark": mark, "value": added, "met": added <= pair.limit},
            }
        )
    return found


def show_added(say: Callable[[str], None], added: list[dict]) -> None:
    """Prints a table of it."""
    columns = {
        "without": "without",
        "with": "with",
        "added": "added",
        "added_user": "of it in user mode",
        "least": "least",
        "most": "most",
    }
    width = max(len(pair.name) for pair in PAIRS)
    titles = " | ".join(title.rjust(7) for title in columns.values())
    rules = "|".join("-" * (max(7, len(title)) + 1) + ":" for title in columns.values())
    say(f"| {'load':<{width}} | {'unit':<10} | {titles} |")
    say(f"|{'-' * (width + 2)}|{'-' * 12}|{rules}|")
    for each in added:
        cells = " | ".join(f"{each[key]:>{max(7, len(columns[key]))}.2f}" for key in columns)
        say(f"| {each['load']:<{width}} | {each['unit']:<10} | {cells} |")
