"""Checks what the formatter does not see: documentation of package declarations, and the layout."""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TOP_LEVEL = {"Package.swift", "Sources", "Tests", "transforms", "deploy", "README.md", "Makefile"}
MOST_LINES = 400

DECLARATION = re.compile(
    r"^(?P<indent> *)package (?:consuming |mutating |static |final |indirect |nonisolated |"
    r"convenience |private\(set\) |fileprivate\(set\) )*"
    r"(?P<kind>struct|class|enum|protocol|actor|func|var|let|init|typealias|subscript)\b(?P<rest>.*)"
)
# What a protocol of the standard library demands is documented there.
WITNESSES = re.compile(
    r"^\W*(description\b|hash\(|encode\(|== |< |\+ |- |CodingKeys\b|next\(\)|from decoder\b)"
)
CONFORMANCES = re.compile(
    r"(RecordLog|BufferProcessor|BufferJournal|RecordAppender|DeliveryStreamRegistry|ObjectStore|Compressor|TimeSource|Service)\b"
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


def problems() -> list[str]:
    """All that is not as it should be."""
    found = []
    for path in sorted(ROOT.glob("Sources/**/*.swift")) + sorted(ROOT.glob("Tests/**/*.swift")):
        found += undocumented(path)
        count = len(path.read_text().split("\n"))
        if count > MOST_LINES:
            found.append(f"{path.relative_to(ROOT)}: {count} lines, more than {MOST_LINES}")
    for path in ROOT.iterdir():
        if not path.name.startswith(".") and path.name not in TOP_LEVEL | {"hydrant-data"}:
            if path.name != "Package.resolved":
                found.append(f"{path.name} does not belong at the top level")
    return found


if __name__ == "__main__":
    found = problems()
    print("\n".join(found) if found else "house: documented and in order")
    sys.exit(1 if found else 0)
