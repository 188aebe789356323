"""SQL as a server reads it: where statements end, what literals say, and what is easily misread."""

import re

TOKEN = r"""
    (?P<space>\s+|--[^\n]*|/\*.*?\*/)
  | (?P<identifier>"(?:[^"]|"")*")
  | (?P<escaped>[eE]'(?:[^'\\]|''|\\.)*')
  | (?P<literal>'(?:{character}|'')*')
  | (?P<dollars>\$(?P<tag>\w*)\$.*?\$(?P=tag)\$)
  | (?P<end>;)
  | (?P<word>\w+)
  | (?P<sign>[^\s"';])
"""

PLAIN, WITH_ESCAPES = (
    re.compile(TOKEN.format(character=each), re.VERBOSE | re.DOTALL)
    for each in (r"[^']", r"[^'\\]|\\.")
)


HOSTILE_NAMES = [
    't"; DROP TABLE x; --',
    "t'; DROP TABLE x; --",
    "t\\",
    "\\",
    "\\'; DROP TABLE x; --",
    "\\\\' ; DROP TABLE x; --",
    "\\! touch /tmp/hydrant-was-here",
    "'''",
    '"""',
    "t;",
    "; COMMIT; DROP TABLE x",
    "-- nothing",
    "/* nothing",
    "*/",
    "$$",
    "$tag$",
    ":HOME",
    ":'HOME'",
    ':"HOME"',
    "%s%n",
    "{copy}",
    "{credentials}",
    "{{",
    "$(id)",
    "`id`",
    "E'",
    "U&",
    "ünïcödé 日本語 🚰",
    " ",
    "FROM 's3://other/key'",
    't"\u0301; DROP TABLE x; --',
    "t'\u0301; DROP TABLE x; --",
    "t\\\u0301'; DROP TABLE x; --",
    't"\u200d; DROP TABLE x; --',
]
"""Names that want to be more than a name. All can be names, if they are quoted."""


def statements_in(text: str, *, escapes: bool) -> list[str]:
    """The statements of a text. `escapes` says that a backslash in a literal is one.

    Fails when a quotation has no end.
    """
    found, position = [""], 0
    while position < len(text):
        match = (WITH_ESCAPES if escapes else PLAIN).match(text, position)
        assert match, f"no token begins at {text[position:]!r}"
        position = match.end()
        if match.lastgroup == "end":
            found.append("")
        else:
            found[-1] += match.group()
    return [each.strip() for each in found if each.strip()]


def literal(text: str, *, escapes: bool) -> str:
    """What a literal says; fails when `text` is anything else."""
    match = (WITH_ESCAPES if escapes else PLAIN).fullmatch(text)
    assert match, f"no literal: {text}"
    assert match.lastgroup in ("escaped", "literal"), f"no literal: {text}"
    inner = text[text.index("'") + 1 : -1].replace("''", "'")
    if escapes or match.lastgroup == "escaped":
        strange = re.search(r"\\[^\\']", re.sub(r"\\\\", "", inner))
        assert not strange, f"an escape that stands for something else: {text}"
        inner = re.sub(r"\\(.)", r"\1", inner, flags=re.DOTALL)
    return inner
