"""Puts the table of settings, as the program prints it, into the README: `settings_table.py BINARY`."""

import subprocess
import sys
from pathlib import Path

README = Path(__file__).parents[2] / "README.md"
BEGIN, END = "<!-- settings -->\n", "<!-- /settings -->\n"


def main() -> None:
    """Replaces what stands between the marks."""
    table = subprocess.run(
        [sys.argv[1], "settings", "--markdown"], check=True, capture_output=True, text=True
    ).stdout
    before, _, rest = README.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    README.write_text(before + BEGIN + table + END + after)


main()
