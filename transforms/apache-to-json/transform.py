"""Turns lines of a web server's access log, common or combined format, into JSON objects.

Mode worker: each line of stdin is an event, each line of stdout answers one.
"""

import binascii
import json
import re
import sys
from datetime import datetime

LONGEST_ANSWER = 6_291_456

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
MONTH_NUMBERS = {name: f"{number:02}" for number, name in enumerate(MONTHS, 1)}

# No part can end in two ways, so that a line which does not match is found out in linear time.
QUOTED = r'"([^"\\]*(?:\\.[^"\\]*)*)"'
LINE = re.compile(
    r"(\S+) (\S+) ([^\[]+) "
    rf"\[(\d\d)/({'|'.join(MONTHS)})/(\d{{4}}):(\d\d:\d\d:\d\d) ([+-]\d\d)(\d\d)\] "
    rf"{QUOTED} (\d{{3}}) (\d{{1,18}}|-)(?: {QUOTED} {QUOTED})?",
    re.ASCII | re.DOTALL,
)

ESCAPE = re.compile(rb'\\(?:x([0-9A-Fa-f]{2})|(["\\bfnrtv]))')
CONTROLS = {b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v"}

encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def unescaped(text: str) -> str:
    r"""Undoes the server's escapes; bytes that are not UTF-8 stay as `\xhh`."""
    if "\\" not in text:
        return text
    return ESCAPE.sub(_meaning, text.encode()).decode("utf-8", "backslashreplace")


def _meaning(escape: re.Match) -> bytes:
    if escape[1]:
        return bytes([int(escape[1], 16)])
    return CONTROLS.get(escape[2], escape[2])


def parsed(line: str) -> dict:
    """The members of one line of the log."""
    match = LINE.fullmatch(line)
    if not match:
        raise ValueError("not a line of an access log")
    host, ident, user, day, month, year, clock, hours, minutes = match.groups()[:9]
    request, status, size, referer, agent = match.groups()[9:]
    time = f"{year}-{MONTH_NUMBERS[month]}-{day}T{clock}{hours}:{minutes}"
    datetime.fromisoformat(time)  # refuses the 31st of February
    request = unescaped(request)
    words = request.split(" ")
    is_http = len(words) == 3 and words[2].startswith("HTTP/")
    method, path, protocol = words if is_http else (None, None, None)
    members = {
        "host": host,
        "ident": None if ident == "-" else ident,
        "user": None if user == "-" else unescaped(user),
        "time": time,
        "request": request,
        "method": method,
        "path": path,
        "protocol": protocol,
        "status": int(status),
        "bytes": 0 if size == "-" else int(size),
    }
    if referer is not None:
        members["referer"] = None if referer == "-" else unescaped(referer)
        members["agent"] = None if agent == "-" else unescaped(agent)
    return members


def converted(record: dict) -> dict:
    """What becomes of one record."""
    try:
        text = binascii.a2b_base64(record["data"]).decode("utf-8", "backslashreplace")
        output = encode(parsed(text.rstrip("\r\n"))) + "\n"
        data = binascii.b2a_base64(output.encode(), newline=False).decode()
        return {"recordId": record["recordId"], "result": "Ok", "data": data}
    except Exception:  # whatever is wrong with a record concerns that record alone
        return failed(record)


def failed(record: dict) -> dict:
    """Sets a record apart as it came."""
    result = "ProcessingFailed"
    return {"recordId": record["recordId"], "result": result, "data": record["data"]}


def answer(event: dict) -> bytes:
    """The line that answers an event."""
    records = [converted(each) for each in event["records"]]
    line = encode({"records": records}).encode()
    if len(line) > LONGEST_ANSWER:
        # It would fail every record of the batch, so those with the longest outputs fail alone.
        give_up_longest(records, len(line) - LONGEST_ANSWER)
        line = encode({"records": records}).encode()
    return line


def give_up_longest(records: list[dict], excess: int) -> None:
    """Makes the answer shorter by `excess` bytes."""
    print("the outputs are too long for one answer", file=sys.stderr, flush=True)
    for record in sorted(records, key=lambda each: len(each["data"]), reverse=True):
        if excess <= 0:
            break
        excess -= len(record["data"]) - len("ProcessingFailed")
        record.update(result="ProcessingFailed", data="")


def main() -> None:
    """Answers events until there are no more."""
    for line in sys.stdin.buffer:
        sys.stdout.buffer.write(answer(json.loads(line)) + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
