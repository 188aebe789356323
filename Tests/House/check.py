"""Checks what the formatter does not see: documentation, layout, sizes and who imports whom.

    check.py              what holds for all of the tree
    check.py --self-test  whether the checks find what they are for
"""

import re
import sys
from pathlib import Path

import size_limits
import target_imports
from swift_source import declarations

ROOT = Path(__file__).resolve().parents[2]
TOP_LEVEL = {"Package.swift", "Sources", "Tests", "transforms", "deploy", "README.md", "Makefile"}

# What may break a rule, and why: "Type.function lines", "Type.function parameters", "Type lines",
# "Type stored properties" or "Target: Module". An entry that is not needed is a mistake itself, and so are
# too many of them.
EXCEPTIONS: dict[str, str] = {}
MOST_EXCEPTIONS = 5

DECLARATION = re.compile(
    r"^(?P<indent> *)(?:@\w+ )*package (?:consuming |mutating |static |final |indirect |nonisolated |"
    r"convenience |private\(set\) |fileprivate\(set\) )*"
    r"(?P<kind>struct|class|enum|protocol|actor|func|var|let|init|typealias|subscript)\b(?P<rest>.*)"
)
# What a protocol of the standard library demands is documented there.
WITNESSES = re.compile(
    r"^\W*(description\b|hash\(|encode\(|== |< |\+ |- |CodingKeys\b|next\(\)|from decoder\b)"
)
CONFORMANCES = re.compile(
    r"(RecordLogs?|RecordLogInspection|BufferProcessor|BufferJournal|RecordAppender|DeliveryStreamRegistry|ObjectStore|Compressor|TimeSource|Service)\b"
)
INLINABLE_TYPE = re.compile(
    r"(@usableFromInline package|public) (final )?(struct|class|enum|extension)\b"
)


def undocumented(path: Path) -> list[str]:
    """The package declarations without a documentation comment above them."""
    lines = path.read_text().split("\n")
    conforms = "StreamLog" in path.name or any(
        CONFORMANCES.search(line) for line in lines if re.search(r": .*\{", line)
    )
    found = []
    for number, line in enumerate(lines):
        match = DECLARATION.match(line)
        if not match or WITNESSES.match(match["rest"]) or " < (left" in line:
            continue
        above = number - 1
        while above >= 0 and lines[above].lstrip().startswith("@"):
            above -= 1
        if lines[above].lstrip().startswith("///"):
            continue
        if conforms and match["kind"] in ("func", "var", "let"):
            continue  # documented with the protocol
        found.append(f"{path.relative_to(ROOT)}:{number + 1}: no documentation: {line.strip()}")
    return found


def inlinable_in_vain(path: Path) -> list[str]:
    """Members marked to be inlined in other modules, of a type that the compiler keeps to its own.

    A member of a package type is inlined elsewhere, and a generic one made for its types, only if the type
    is `@usableFromInline`; the compiler says nothing.
    """
    text = path.read_text()
    if "@inlinable package" not in text or INLINABLE_TYPE.search(text):
        return []
    return [f"{path.relative_to(ROOT)}: an @inlinable member, and no @usableFromInline type"]


def misplaced() -> list[str]:
    """What does not belong at the top level."""
    allowed = TOP_LEVEL | {"hydrant-data", "Package.resolved"}
    return [
        f"{path.name} does not belong at the top level"
        for path in ROOT.iterdir()
        if not path.name.startswith(".") and path.name not in allowed
    ]


def structural(paths: list[Path]) -> list[size_limits.Problem]:
    """Functions and types beyond the limits, and imports beside the table."""
    files = {path: declarations(path.read_text()) for path in paths}
    sources = {path: all for path, all in files.items() if path.is_relative_to(ROOT / "Sources")}
    found = []
    for path, declared in files.items():
        found += size_limits.function_problems(str(path.relative_to(ROOT)), declared)
    for path, declared in sources.items():
        found += size_limits.parameter_problems(str(path.relative_to(ROOT)), declared)
    found += size_limits.type_problems(ROOT, sources)
    return found + target_imports.problems(ROOT, sources)


def without_exceptions(found: list[size_limits.Problem], exceptions: dict[str, str]) -> list[str]:
    """The problems that no exception names, and what is wrong with the exceptions."""
    lines = [f"{place}: {wrong}" for place, subject, wrong in found if subject not in exceptions]
    for subject in exceptions.keys() - {subject for _, subject, _ in found}:
        lines.append(f"Tests/House/check.py: the exception for {subject} is needed no more")
    if len(exceptions) > MOST_EXCEPTIONS:
        lines.append(
            f"Tests/House/check.py: {len(exceptions)} exceptions, more than {MOST_EXCEPTIONS}"
        )
    return lines


def problems() -> list[str]:
    """All that is not as it should be."""
    paths = sorted(ROOT.glob("Sources/**/*.swift")) + sorted(ROOT.glob("Tests/**/*.swift"))
    found = []
    limits: list[size_limits.Problem] = []
    for path in paths:
        found += undocumented(path) + inlinable_in_vain(path)
        limits += size_limits.file_problems(str(path.relative_to(ROOT)), path.read_text())
    limits += structural(paths)
    return found + without_exceptions(limits, EXCEPTIONS) + misplaced()


def main() -> None:
    """Runs what the arguments ask for."""
    if "--self-test" in sys.argv:
        import self_test

        sys.exit(self_test.run())
    found = problems()
    print("\n".join(found) if found else "house: documented and in order")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
