"""AWS's own API model as a tree: which members a request may have, where they stand, what bounds.

The model is the file that the installed botocore carries, so that a member which AWS adds makes the
tests that walk it fail until the server knows the member or is said to refuse it by name.
"""

import base64
import copy
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import botocore.session

LOADER = botocore.session.Session().get_component("data_loader")

MODEL = LOADER.load_service_model("firehose", "service-2")

SHAPES: dict[str, dict] = MODEL["shapes"]

OPERATIONS: dict[str, dict] = MODEL["operations"]

REFUSED = {
    "CreateDeliveryStreamInput": (
        "KinesisStreamSourceConfiguration",
        "MSKSourceConfiguration",
        "DatabaseSourceConfiguration",
        "AmazonOpenSearchServerlessDestinationConfiguration",
        "SnowflakeDestinationConfiguration",
        "IcebergDestinationConfiguration",
    ),
    "UpdateDestinationInput": (
        "AmazonOpenSearchServerlessDestinationUpdate",
        "SnowflakeDestinationUpdate",
        "IcebergDestinationUpdate",
    ),
}
"""Members that the server says it does not have, by name; nobody looks into them."""

UNDESCRIBED = {
    "SourceDescription": (
        "KinesisStreamSourceDescription",
        "MSKSourceDescription",
        "DatabaseSourceDescription",
    ),
    "DestinationDescription": (
        "AmazonOpenSearchServerlessDestinationDescription",
        "SnowflakeDestinationDescription",
        "IcebergDestinationDescription",
    ),
    # Creating, and starting encryption, end in an answer: there is no failure to look up later.
    "DeliveryStreamDescription": ("FailureDescription",),
    "DeliveryStreamEncryptionConfiguration": ("FailureDescription",),
    # Only a put that is throttled in part has them: the tests of the limits see them.
    "PutRecordBatchResponseEntry": ("ErrorCode", "ErrorMessage"),
}
"""Members of answers that belong to what is refused, or to what cannot happen here."""

Pair = tuple[str, str]
"""A structure's name and a member of it."""

Steps = tuple[str | int, ...]
"""The way to a value in a document: members' names, places in lists, keys of maps."""


@dataclass(frozen=True)
class Place:
    """Where a value stands in a document."""

    steps: Steps
    shape: str
    """The name of its shape."""
    owner: Pair | None = None
    """The member that it is the value of; None for what stands in a list or map, and for all."""
    is_entry: bool = False
    """Whether it stands in a map."""

    @property
    def is_required(self) -> bool:
        """Whether its structure must have it."""
        return self.owner is not None and self.owner[1] in required(self.owner[0])

    @property
    def path(self) -> str:
        """What AWS calls the place in a validation error: `tags.1.member.key`."""
        return ".".join(_word(step) for step in self.steps)

    @property
    def map_path(self) -> str | None:
        """The path of the map that it is, or that it stands in."""
        if self.is_entry:
            return ".".join(_word(step) for step in self.steps[:-1])
        return self.path if type_of(self.shape) == "map" else None


def _word(step: str | int) -> str:
    return f"{step + 1}.member" if isinstance(step, int) else step[:1].lower() + step[1:]


def type_of(shape: str) -> str:
    """A shape's type in the model: structure, list, map, string, integer, ..."""
    return SHAPES[shape]["type"]


def members(structure: str) -> dict[str, str]:
    """The names of a structure's members that the server has, and their shapes."""
    left_out = {*REFUSED.get(structure, ()), *UNDESCRIBED.get(structure, ())}
    given = SHAPES[structure].get("members", {})
    return {name: each["shape"] for name, each in given.items() if name not in left_out}


def required(structure: str) -> list[str]:
    """The members that a structure must have."""
    return SHAPES[structure].get("required", [])


def input_shape(operation: str) -> str:
    """The shape of an operation's request."""
    return OPERATIONS[operation]["input"]["shape"]


def output_shape(operation: str) -> str:
    """The shape of an operation's answer."""
    return OPERATIONS[operation]["output"]["shape"]


def pairs_below(*shapes: str) -> set[Pair]:
    """Every member of every structure that can stand in these shapes."""
    found: set[Pair] = set()
    seen: set[str] = set()
    waiting = list(shapes)
    while waiting:
        shape = waiting.pop()
        if shape in seen:
            continue
        seen.add(shape)
        kind = type_of(shape)
        if kind == "structure":
            found |= {(shape, name) for name in members(shape)}
            waiting += members(shape).values()
        elif kind == "list":
            waiting.append(SHAPES[shape]["member"]["shape"])
        elif kind == "map":
            waiting.append(SHAPES[shape]["value"]["shape"])
    return found


def walk(
    shape: str, value, steps: Steps = (), owner: Pair | None = None, *, is_entry: bool = False
) -> Iterator[Place]:
    """Every place in a document, the whole of it first; what the model lacks is passed over."""
    yield Place(steps, shape, owner, is_entry)
    kind = type_of(shape)
    if kind == "structure":
        for name, below in members(shape).items():
            if name in value:
                yield from walk(below, value[name], (*steps, name), (shape, name))
    elif kind == "list":
        for index, item in enumerate(value):
            yield from walk(SHAPES[shape]["member"]["shape"], item, (*steps, index))
    elif kind == "map":
        for key, item in value.items():
            yield from walk(SHAPES[shape]["value"]["shape"], item, (*steps, key), is_entry=True)


def value_at(document, steps: Sequence[str | int]):
    """What stands at a place."""
    value = document
    for step in steps:
        value = value[step]
    return value


def with_value(document, steps: Sequence[str | int], value):
    """The document with another value at a place."""
    if not steps:
        return value
    changed = copy.copy(document)
    changed[steps[0]] = with_value(document[steps[0]], steps[1:], value)
    return changed


def without(document, steps: Sequence[str | int]):
    """The document without the member at a place."""
    *above, name = steps
    rest = {each: value for each, value in value_at(document, above).items() if each != name}
    return with_value(document, above, rest)


# MARK: Constraints


def matches(pattern: str, text: str) -> bool:
    """Whether a text matches a pattern of the model as a whole, as Java would say."""
    return _compiled(pattern).fullmatch(text) is not None


@cache
def _compiled(pattern: str) -> re.Pattern:
    if r"\p{" in pattern:
        return re.compile(pattern.replace(r"\p{L}\p{Z}\p{N}_", r"\w "))
    return re.compile(pattern, re.ASCII)


def size_of(shape: str, value) -> int | float:
    """What the bounds of a shape count: characters, decoded bytes, items, or the number itself."""
    match type_of(shape):
        case "string" | "list" | "map":
            return len(value)
        case "blob":
            return len(base64.b64decode(value))
        case _:
            return value


def breaches(shape: str, value) -> Iterator[str]:
    """What in a value goes against the model: unknown and missing members, types and bounds."""
    bounds = SHAPES[shape]
    kind = type_of(shape)
    if isinstance(value, bool) != (kind == "boolean") or not isinstance(value, TYPES[kind]):
        yield f"{value!r} is no {kind}"
        return
    if kind == "structure":
        known = {name: each["shape"] for name, each in bounds.get("members", {}).items()}
        yield from (f"{shape} has no member {name}" for name in value.keys() - known.keys())
        yield from (f"{shape} must have {name}" for name in set(required(shape)) - value.keys())
        for name in value.keys() & known.keys():
            yield from breaches(known[name], value[name])
        return
    if kind not in ("boolean", "timestamp"):
        size = size_of(shape, value)
        if not bounds.get("min", size) <= size <= bounds.get("max", size):
            yield f"{value!r} is out of the bounds of {shape}"
    if value not in bounds.get("enum", [value]):
        yield f"{value!r} is not one of {bounds['enum']}"
    if (pattern := bounds.get("pattern")) and not matches(pattern, value):
        yield f"{value!r} does not match {pattern}"
    if kind == "list":
        for item in value:
            yield from breaches(bounds["member"]["shape"], item)
    elif kind == "map":
        for key, item in value.items():
            yield from breaches(bounds["key"]["shape"], key)
            yield from breaches(bounds["value"]["shape"], item)


TYPES = {
    "structure": dict,
    "map": dict,
    "list": list,
    "string": str,
    "blob": str,
    "boolean": bool,
    "integer": int,
    "long": int,
    "double": (int, float),
    "timestamp": (int, float),
}
"""What JSON of each of the model's types is in Python."""
