"""Puts [mail] and [card] in place of e-mail addresses and card numbers.

Mode worker: each line of stdin is an event, each line of stdout answers one. No output is longer
than its input, so that no answer is too long.
"""

import binascii
import json
import re
import sys
from collections.abc import Iterator
from itertools import accumulate

# Letters of scripts that put spaces between words: an address in Chinese text ends at its ASCII.
LETTERS = "A-Za-z\u00c0-\u052f"
DOMAIN = re.compile(
    rf"(?:@|%40)[{LETTERS}0-9-]+(?:\.[{LETTERS}0-9-]+)*\.[{LETTERS}][{LETTERS}0-9-]+"
)
IS_LOCAL = re.compile(rf"[{LETTERS}0-9._%+-]").match

# In JSON, the letters of \n and \u003c are not part of the word behind them.
ESCAPED_CHARACTER = re.compile(r"\\u([0-9A-Fa-f]{4})")
ESCAPED_CONTROL = re.compile(r"\\[bfnrt]")

NUMBERS = re.compile(r"\\u[0-9A-Fa-f]{4}|[0-9][0-9 -]{11,}[0-9]")
DIGITS = re.compile(r"[0-9]+")
FEWEST_DIGITS, MOST_DIGITS = 13, 19
DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)

encode = json.JSONEncoder(separators=(",", ":")).encode


def redacted(text: str) -> str:
    """A text without addresses and card numbers."""
    if "@" in text or "%40" in text:
        text = without(text, addresses(text))
    return without(text, card_numbers(text))


def without(text: str, found: Iterator[tuple[int, int, str]]) -> str:
    """A text with replacements for what was found in it."""
    parts, end = [], 0
    for start, stop, replacement in found:
        parts += (text[end:start], replacement)
        end = stop
    return "".join((*parts, text[end:])) if parts else text


def addresses(text: str) -> Iterator[tuple[int, int, str]]:
    """The e-mail addresses: a domain behind an @, and what belongs to it before that."""
    end = 0
    for domain in DOMAIN.finditer(text):
        start = local_part(text, end, domain.start())
        if start < domain.start():
            end = domain.end()
            yield start, end, "[mail]"


def local_part(text: str, earliest: int, stop: int) -> int:
    """Where the local part of an address begins that ends at `stop`."""
    start = stop
    while True:
        while start > earliest and IS_LOCAL(text, start - 1):
            start -= 1
        if start == earliest or text[start - 1] != "\\":
            return start
        if not (escape := ESCAPED_CHARACTER.match(text, start - 1)):
            return start + 1 if ESCAPED_CONTROL.match(text, start - 1) else start
        if not IS_LOCAL(chr(int(escape[1], 16))):
            return escape.end()
        start -= 1


def card_numbers(text: str) -> Iterator[tuple[int, int, str]]:
    """The card numbers; what would be no JSON any more with a word in its place gets a number."""
    is_json = text.lstrip()[:1] in ("{", "[")
    for numbers in NUMBERS.finditer(text):
        if text[numbers.start()] == "\\":
            continue
        for first, last in cards_among(numbers[0]):
            start, stop = numbers.start() + first, numbers.start() + last
            if text[start:stop].isdigit():
                if is_fraction(text, start, stop):
                    continue
                if is_json and is_bare(text, start, stop):
                    yield start, stop, "0"
                    continue
            yield start, stop, "[card]"


def cards_among(numbers: str) -> Iterator[tuple[int, int]]:
    """Where one number or several in a row, one space or dash between them, are a card's.

    A number is part of a card's as a whole or not at all. No network's begin with 0 or 1, but times
    in milliseconds do.
    """
    if len(numbers) - numbers.count(" ") - numbers.count("-") < FEWEST_DIGITS:
        return
    spans = [match.span() for match in DIGITS.finditer(numbers)]
    counts = [0, *accumulate(stop - start for start, stop in spans)]
    sums = luhn_sums(numbers)
    index = 0
    while index < len(spans):
        first, found, last = counts[index], None, index
        if numbers[spans[index][0]] not in "01":
            while last < len(spans) and counts[last + 1] - first <= MOST_DIGITS:
                if last > index and spans[last][0] - spans[last - 1][1] > 1:
                    break
                last += 1
                after = counts[last]
                if after - first >= FEWEST_DIGITS:
                    from_right = sums[after % 2]
                    if (from_right[after] - from_right[first]) % 10 == 0:
                        found = last
        if found is not None:
            yield spans[index][0], spans[found - 1][1]
        index = found or index + 1


def luhn_sums(numbers: str) -> tuple[list[int], list[int]]:
    """Running sums of all digits, for cards that end before an even and before an odd position.

    So the Luhn sum of any part is a subtraction, and long texts of digits take no longer.
    """
    digits = [int(each) for each in numbers.replace(" ", "").replace("-", "")]
    doubled = [DOUBLED[each] for each in digits]
    doubled_at_odd, doubled_at_even = digits.copy(), digits.copy()
    doubled_at_odd[1::2], doubled_at_even[::2] = doubled[1::2], doubled[::2]
    return [0, *accumulate(doubled_at_even)], [0, *accumulate(doubled_at_odd)]


def is_fraction(text: str, start: int, stop: int) -> bool:
    """Whether digits are what stands before or behind a decimal point."""
    before, after = text[max(start - 2, 0) : start], text[stop : stop + 2]
    return (before[1:] == "." and before[0] in "0123456789") or (
        after[:1] == "." and after[1:] in tuple("0123456789")
    )


def is_bare(text: str, start: int, stop: int) -> bool:
    """Whether digits can be a number in JSON, which a word must not replace."""
    while start > 0 and text[start - 1] in " \t\r\n":
        start -= 1
    while stop < len(text) and text[stop] in " \t\r\n":
        stop += 1
    return text[start - 1 : start] in tuple(":,[") and text[stop : stop + 1] in tuple(",]}")


def converted(record: dict) -> dict:
    """What becomes of one record; bytes that are not UTF-8 stay as they are."""
    try:
        text = binascii.a2b_base64(record["data"]).decode("utf-8", "surrogateescape")
        output = redacted(text).encode("utf-8", "surrogateescape")
        data = binascii.b2a_base64(output, newline=False).decode()
        return {"recordId": record["recordId"], "result": "Ok", "data": data}
    except Exception:  # whatever is wrong with a record concerns that record alone
        result = "ProcessingFailed"
        return {"recordId": record["recordId"], "result": result, "data": record["data"]}


def answer(event: dict) -> bytes:
    """The line that answers an event."""
    return encode({"records": [converted(each) for each in event["records"]]}).encode()


def main() -> None:
    """Answers events until there are no more."""
    for line in sys.stdin.buffer:
        sys.stdout.buffer.write(answer(json.loads(line)) + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
