"""The dashboard as Grafana reads it: panels, queries, and what becomes of variables in them."""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from server import REPOSITORY

DASHBOARD = REPOSITORY / "deploy/grafana/hydrant.json"

RATE_INTERVAL = "30s"
"""What `$__rate_interval` becomes: long enough for a short load to be in it."""

METRIC = re.compile(r"\b(?:hydrant|process)_\w+|\bup\b")

VALUES = re.compile(r"label_values\((\w+), (\w+)\)")

RATE = re.compile(r"rate\((\w+\{[^}]*\})\[\$__rate_interval\]\)")

HISTOGRAM = re.compile(r"_(?:bucket|sum|count)$")


@dataclass(frozen=True)
class Target:
    """One query of a panel."""

    letter: str
    expression: str
    is_instant: bool
    column: str | None
    """What a table calls its values."""


@dataclass(frozen=True)
class Panel:
    """One panel, and the row that it is in."""

    row: str
    title: str
    kind: str
    targets: tuple[Target, ...]
    whole: dict = field(repr=False, hash=False, compare=False)

    def __str__(self) -> str:
        return f"{self.row}: {self.title}"

    @property
    def is_total(self) -> bool:
        """Whether its numbers are exact, and not what Prometheus makes of them."""
        text = f"{self.title}. {self.whole['description']}"
        return "since the server started" in text.lower() or "total" in self.title


    @property
    def is_of_counters(self) -> bool:
        """Whether it shows how fast streams' counters grow."""
        texts = [each.expression for each in self.targets]
        others = ("histogram_quantile", "process_", "hydrant_log_sync")
        return all("rate(" in each for each in texts) and not any(
            other in each for each in texts for other in others
        )


class Dashboard:
    """The dashboard in a file."""

    def __init__(self, path: Path = DASHBOARD):
        self.whole = json.loads(path.read_text())

    @property
    def panels(self) -> list[Panel]:
        """All panels but rows, in their order."""
        found, row = [], ""
        for each in self.whole["panels"]:
            if each["type"] == "row":
                row = each["title"]
                assert not each["panels"], "panels of a collapsed row are elsewhere"
            else:
                found.append(
                    Panel(row, each["title"], each["type"], tuple(_targets(each)), each)
                )
        return found

    def panel(self, name: str) -> Panel:
        """A panel by its row and title."""
        (found,) = (each for each in self.panels if str(each) == name)
        return found

    @property
    def variables(self) -> dict[str, dict]:
        """The template variables by their names."""
        return {each["name"]: each for each in self.whole["templating"]["list"]}

    def variable_query(self, name: str) -> tuple[str, str]:
        """The metric and the label whose values a variable has."""
        match = VALUES.fullmatch(self.variables[name]["query"]["query"])
        assert match, f"not values of a label: {self.variables[name]['query']}"
        return match[1], match[2]

    @property
    def annotations(self) -> dict[str, str]:
        """The queries of annotations by their names."""
        found = self.whole["annotations"]["list"]
        return {each["name"]: each["expr"] for each in found if "expr" in each}

    def expressions(self) -> Iterator[str]:
        """All that Prometheus is asked."""
        for panel in self.panels:
            yield from (each.expression for each in panel.targets)
        yield from self.annotations.values()
        for name, variable in self.variables.items():
            if variable["type"] == "query":
                yield self.variable_query(name)[0]

    # MARK: Variables

    def fill_in(self, expression: str, **chosen: list[str]) -> str:
        """An expression with what is chosen of each variable; a variable that is not named has all.

        `known` of it has what there is to choose from.
        """
        for name, values in chosen.items():
            expression = re.sub(
                rf"\${name}\b|\${{{name}}}", lambda _: alternatives(values), expression
            )
        expression = expression.replace("$__rate_interval", RATE_INTERVAL)
        assert "$" not in expression, f"a variable that nobody knows: {expression}"
        return expression

    def all_of(self, name: str, known: Iterable[str]) -> list[str]:
        """What a variable is when All is chosen."""
        everything = self.variables[name].get("allValue")
        return [Raw(everything)] if everything else list(known)


class Raw(str):
    """A value that is a regular expression already."""


def alternatives(values: list[str]) -> str:
    """What Grafana makes of the values of a variable: a regular expression in quotes."""
    escaped = [
        each if isinstance(each, Raw) else re.sub(r"[\\^$*+?.()|[\]{}]", r"\\\\\g<0>", each)
        for each in values
    ]
    return escaped[0] if len(escaped) == 1 else f"({'|'.join(escaped)})"


def without_rates(expression: str) -> str:
    """An expression about the values of counters instead of about how fast they grow."""
    return RATE.sub(r"\1", expression)


def metric_names(expressions: Iterable[str]) -> set[str]:
    """The metrics that expressions ask for; of a histogram its own name."""
    found = {name for each in expressions for name in METRIC.findall(_without_texts(each))}
    return {HISTOGRAM.sub("", each) if "_seconds_" in each else each for each in found}


def _without_texts(expression: str) -> str:
    return re.sub(r'"[^"]*"', '""', expression)


def _targets(panel: dict) -> Iterator[Target]:
    names: dict[str, str] = {}
    for each in panel.get("transformations", []):
        names |= each["options"].get("renameByName", {})
    alone = len(panel["targets"]) == 1
    for each in panel["targets"]:
        letter = each["refId"]
        values = "Value" if alone else f"Value #{letter}"
        column = names.get(values) if each.get("format") == "table" else None
        yield Target(letter, each["expr"], each["instant"], column)
