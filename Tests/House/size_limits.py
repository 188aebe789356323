"""How long and how wide functions, types and files may be."""

from collections import defaultdict
from pathlib import Path

from swift_source import Declarations

FILE_LINES = 400
FUNCTION_LINES = 60
TYPE_LINES = 800
STORED_PROPERTIES = 15
PARAMETERS = 5

# Place, subject (what an exception names) and what is wrong.
Problem = tuple[str, str, str]


def file_problems(path: str, text: str) -> list[Problem]:
    """A file that is too long."""
    count = len(text.split("\n"))
    if count <= FILE_LINES:
        return []
    return [(path, f"{path} lines", f"{count} lines, more than {FILE_LINES}")]


def function_problems(path: str, declared: Declarations) -> list[Problem]:
    """Functions that are too long."""
    return [
        (f"{path}:{each.line}", f"{each.name} lines",
         f"{each.name} has {each.lines} lines, more than {FUNCTION_LINES}")
        for each in declared.functions
        if each.lines > FUNCTION_LINES
    ]  # fmt: skip


def parameter_problems(path: str, declared: Declarations) -> list[Problem]:
    """Functions with too many parameters."""
    return [
        (f"{path}:{each.line}", f"{each.name} parameters",
         f"{each.name} has {each.parameters} parameters, more than {PARAMETERS}")
        for each in declared.functions
        if (each.parameters or 0) > PARAMETERS
    ]  # fmt: skip


def type_problems(root: Path, files: dict[Path, Declarations]) -> list[Problem]:
    """Types with too many lines in all their files, or too many stored properties."""
    lines: dict[tuple[str, str], int] = defaultdict(int)
    places: dict[tuple[str, str], str] = {}
    found = []
    for path, declared in files.items():
        place = path.relative_to(root)
        for each in declared.types:
            key = (place.parts[1], each.name)
            lines[key] += each.lines
            places.setdefault(key, f"{place}:{each.line}")
            if each.stored > STORED_PROPERTIES:
                what = f"{each.name} has {each.stored} stored properties"
                wrong = f"{what}, more than {STORED_PROPERTIES}"
                found.append((f"{place}:{each.line}", f"{each.name} stored properties", wrong))
    for key, count in lines.items():
        if count > TYPE_LINES:
            wrong = f"{key[1]} has {count} lines in all its files, more than {TYPE_LINES}"
            found.append((places[key], f"{key[1]} lines", wrong))
    return found
