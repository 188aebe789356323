"""Requests that are wrong in one place, and requests at the edge of what is right.

Every probe is a document with all members in which one value is another. It is sent about a stream
that is not there, or that is there already, so that what is right changes nothing: what is wrong
must have been noticed before that.
"""

import base64
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from apimodel import (
    SHAPES,
    Pair,
    Place,
    breaches,
    input_shape,
    matches,
    type_of,
    value_at,
    walk,
    with_value,
    without,
)
from documents import Document
from wire import Answer, Connection, request

ABSENT = object()
"""In the place of a value: the member is left out."""

WRONG_TYPES = {
    "structure": ["x", 7, True, ["x"]],
    "map": ["x", 7, True, ["x"]],
    "list": ["x", 7, True, {"x": "y"}],
    "string": [7, True, ["x"], {"x": "y"}],
    "blob": [7, True, ["x"], {"x": "y"}],
    "integer": ["7", True, [7], {"x": 7}],
    "long": ["7", True, [7], {"x": 7}],
    "double": ["7", True, [7], {"x": 7}],
    "boolean": ["true", 1, [True], {"x": True}],
}
"""JSON that is not of a type."""

BREAKERS = [
    "?",
    "#",
    " ",
    "a b",
    "a:b",
    "two\nlines",
    "aws:reserved",
    "ftp://example.com/",
    "jdbc:mysql://host:3306/db",
    "arn:aws:iam::000000000000:user/x",
    "arn:aws:s3:us-east-1::bucket",
    "arn:aws:kms:us-east-1:000000000000:alias/x",
]
"""Texts; no pattern of the model matches all of them."""

RELAXED_JDBC_URLS = ["jdbc:postgresql://warehouse:5439/analytics", "jdbc:redshift://10.0.0.1/dev"]

VIOLATION = re.compile(r" at '([^']*)' failed to satisfy constraint: ")


@dataclass(frozen=True)
class Probe(ABC):
    """A document with another value in one place."""

    document: Document
    place: Place
    value: object

    @property
    def body(self):
        """The request's body."""
        if self.value is ABSENT:
            return without(self.document.body, self.place.steps)
        return with_value(self.document.body, self.place.steps, self.value)

    @abstractmethod
    def complaint(self, answer: Answer) -> str:
        """What is wrong with the server's answer; nothing where it is as it must be."""

    def __str__(self) -> str:
        value = "no value" if self.value is ABSENT else f"{self.value!r:.60}"
        return f"{self.document.operation} {self.place.path or 'body'} <- {value}"


class WrongType(Probe):
    """A value of another JSON type."""

    def complaint(self, answer: Answer) -> str:
        """The server cannot read such a request."""
        if answer.status == 400 and answer.error == "SerializationException":
            return ""
        return f"SerializationException expected, not {_said(answer)}"


@dataclass(frozen=True)
class Violation(Probe):
    """A value that breaks one of the model's constraints."""

    constraint: str
    """What the server must say, as a regular expression."""

    def complaint(self, answer: Answer) -> str:
        """The place and the constraint must be named, and no other place."""
        if answer.status != 400 or answer.error != "ValidationException":
            return f"ValidationException expected, not {_said(answer)}"
        message = answer.json["message"]
        places = VIOLATION.findall(message)
        if not places or not all(self._is_here(each) for each in places):
            return f"a violation at {self.place.path} expected, not {_said(answer)}"
        counted = re.match(r"(\d+) validation errors? detected: ", message)
        if not counted or int(counted[1]) != len(places):
            return f"as many violations as are counted expected, not {_said(answer)}"
        if not re.search(f"constraint: {self.constraint}", message):
            return f"{self.constraint!r} expected, not {_said(answer)}"
        return ""

    def _is_here(self, path: str) -> bool:
        # How AWS names a place in a map is not known.
        map_path = self.place.map_path
        return path == self.place.path if map_path is None else path.startswith(map_path)


class Allowed(Probe):
    """A value that the model allows: if something else is wrong with it, that is not said here."""

    def complaint(self, answer: Answer) -> str:
        """Nothing but the stream may be in the way."""
        if answer.status == 200:
            return ""
        if answer.status == 400 and not answer.error.startswith(("Validation", "Serialization")):
            return ""
        return f"no violation expected, not {_said(answer)}"


def _said(answer: Answer) -> str:
    return f"{answer.status} {answer.body[:400].decode(errors='replace')}"


@dataclass
class Survey:
    """What a run through the model found."""

    covered: set[Pair] = field(default_factory=set)
    """The members of requests that were looked at."""
    answered: set[Pair] = field(default_factory=set)
    """The members that answers had."""
    problems: list[str] = field(default_factory=list)
    requests: int = 0

    def send(self, connection: Connection, probes: Iterable[Probe]) -> None:
        """Sends probes and judges the answers."""
        for probe in probes:
            answer = connection.exchange(request(probe.document.operation, probe.body))
            self.requests += 1
            if complaint := probe.complaint(answer):
                self.problems.append(f"{probe}: {complaint}")

    def assert_clean(self) -> None:
        """Fails with what was wrong, the first of it in full."""
        shown = "\n".join(self.problems[:40])
        assert not self.problems, f"{len(self.problems)} of {self.requests}:\n{shown}"


def places(documents: Iterable[Document]) -> Iterator[tuple[Document, Place]]:
    """Every place of the documents once; of lists, the first item stands for all."""
    seen = set()
    for document in documents:
        for place in walk(input_shape(document.operation), document.body):
            steps = tuple("*" if isinstance(step, int) else step for step in place.steps)
            if (document.operation, steps) not in seen:
                seen.add((document.operation, steps))
                yield document, place


# MARK: Probes of one place


def wrong_types(document: Document, place: Place) -> Iterator[Probe]:
    """Every other JSON type in a place."""
    for value in WRONG_TYPES[type_of(place.shape)]:
        yield WrongType(document, place, value)


def violations(document: Document, place: Place, *, strict: bool) -> Iterator[Probe]:
    """Values that go against the model in one way each, in a place."""
    value = value_at(document.body, place.steps)
    bounds = SHAPES[place.shape]
    kind = bounds["type"]
    if place.is_required:
        for nothing in (ABSENT, None):
            yield Violation(document, place, nothing, "Member must not be null")
    counted = "value" if kind in ("integer", "long", "double") else "length"
    if "max" in bounds:
        limit = rf"Member must have {counted} less than or equal to {bounds['max']}(?!\d)"
        yield Violation(document, place, _sized(value, kind, bounds["max"] + 1), limit)
    if bounds.get("min", 0) > 0 or (counted == "value" and "min" in bounds):
        limit = rf"Member must have {counted} greater than or equal to {bounds['min']}(?!\d)"
        yield Violation(document, place, _sized(value, kind, bounds["min"] - 1), limit)
    if "enum" in bounds:
        listed = re.escape(f"Member must satisfy enum value set: [{', '.join(bounds['enum'])}]")
        yield Violation(document, place, "no such value", listed)
    if pattern := bounds.get("pattern"):
        said = _pattern_text(pattern if strict else None)
        for text in BREAKERS:
            if len(text) <= bounds.get("max", len(text)) and not matches(pattern, text):
                yield Violation(document, place, text, said)
        if strict:
            for text in relaxed_forms(place.shape, value):
                yield Violation(document, place, text, said)
    if kind == "map":
        key = bounds["key"]["shape"]
        said = _pattern_text(SHAPES[key]["pattern"] if strict else None)
        yield Violation(document, place, {"a b": "x"}, said)


def allowed(document: Document, place: Place, *, strict: bool) -> Iterator[Probe]:
    """Values that the model just allows, in a place."""
    value = value_at(document.body, place.steps)
    bounds = SHAPES[place.shape]
    kind = bounds["type"]
    candidates = list(bounds.get("enum", []))
    candidates += [_sized(value, kind, bounds[end]) for end in ("min", "max") if end in bounds]
    if kind == "boolean":
        candidates += [True, False]
    for each in candidates:
        if not any(breaches(place.shape, each)):
            yield Allowed(document, place, each)
    if not strict and bounds.get("pattern"):
        for text in relaxed_forms(place.shape, value):
            yield Allowed(document, place, text)
    if place.owner and not place.is_required:
        yield Allowed(document, place, None)


def relaxed_forms(shape: str, value: str) -> list[str]:
    """What a server other than AWS's is called, and AWS's patterns do not let through."""
    pattern = SHAPES[shape]["pattern"]
    if shape == "ClusterJDBCURL":
        return RELAXED_JDBC_URLS
    if r"\d{12}" in pattern:
        return [re.sub(r"\d{12}", account, value) for account in ("42", "minio")]
    if pattern.startswith("https:"):
        return [value.replace("https:", "http:"), "http://10.0.0.1:9200"]
    return []


def _pattern_text(pattern: str | None) -> str:
    text = "Member must satisfy regular expression pattern: "
    return text + (re.escape(pattern) if pattern else ".")


def _sized(value, kind: str, size: int | float):
    """A value of a size, as like the given one as may be."""
    match kind:
        case "string":
            return (value + "x" * size)[:size]
        case "blob":
            return base64.b64encode(bytes(size)).decode()
        case "list":
            return (value[:1] * size)[:size]
        case "double":
            return float(size)
        case _:
            return size
