"""Turns syslog messages, RFC 3164 and RFC 5424, into JSON objects.

Mode worker: each line of stdin is an event, each line of stdout answers one.
"""

import binascii
import json
import re
import sys
from datetime import datetime

LONGEST_ANSWER = 6_291_456

FACILITIES = (
    "kern user mail daemon auth syslog lpr news uucp cron authpriv ftp ntp audit alert clock "
    "local0 local1 local2 local3 local4 local5 local6 local7"
).split()
SEVERITIES = "emerg alert crit err warning notice info debug".split()

# No part of these can end in two ways, so that hostile texts are found out in linear time.
PRIORITY = re.compile(r"<(\d{1,3})>", re.ASCII)
HEADER_5424 = re.compile(r"1 (\S+) (\S+) (\S+) (\S+) (\S+) ", re.ASCII)
ELEMENT = re.compile(r'\[([^\s=\]"]+)', re.ASCII)
PARAMETER = re.compile(r' +([^\s=\]"]+)="([^"\\]*(?:\\.[^"\\]*)*)"', re.ASCII | re.DOTALL)
ESCAPE = re.compile(r'\\(["\\\]])')
TIME_5424 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)", re.ASCII)
TIME_3164 = re.compile(
    r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) (?: \d|[12]\d|3[01]|\d) "
    r"[0-2]\d:[0-5]\d:[0-6]\d",
    re.ASCII,
)
# A first word that ends in a colon is no host but the program.
HOST = re.compile(r"(\S*[^\s:]) ", re.ASCII)
TAG = re.compile(r"([^\s:\[\]]+)(?:\[([^\s\[\]]*)\])?: ?", re.ASCII)

encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def parsed(text: str) -> dict:
    """The members of one message."""
    priority, position = None, 0
    if match := PRIORITY.match(text):
        priority, position = int(match[1]), match.end()
        if priority > 191:
            raise ValueError("the priority is larger than 191")
    if priority is not None and text.startswith("1 ", position):
        rest = parsed_5424(text, position)
    else:
        rest = parsed_3164(text, position, is_sure=priority is not None)
    return {
        "format": rest.pop("format"),
        "priority": priority,
        "facility": None if priority is None else FACILITIES[priority >> 3],
        "severity": None if priority is None else SEVERITIES[priority & 7],
    } | rest


def parsed_5424(text: str, position: int) -> dict:
    """What follows the priority in a message of RFC 5424."""
    header = HEADER_5424.match(text, position)
    if not header:
        raise ValueError("the header is not that of RFC 5424")
    time, host, app, process, message_id = (
        None if each == "-" else each for each in header.groups()
    )
    if time is not None and not (TIME_5424.fullmatch(time) and is_on_calendar(time)):
        raise ValueError("the time is not one of RFC 5424")
    elements, position = structured_data(text, header.end())
    message = None
    if position < len(text):
        if text[position] != " ":
            raise ValueError("no space after the structured data")
        message = text[position + 1 :].removeprefix("\ufeff")
    return {
        "format": "rfc5424",
        "timestamp": time,
        "host": host,
        "app": app,
        "pid": process,
        "msgid": message_id,
        "structuredData": elements,
        "message": message,
    }


def is_on_calendar(time: str) -> bool:
    """Whether there is such a day, and such an hour in it."""
    try:
        datetime.fromisoformat(time[:19])
    except ValueError:
        return False
    return True


def structured_data(text: str, position: int) -> tuple[dict, int]:
    """The elements' parameters by id, and where they end; repeated ones become lists."""
    if text.startswith("-", position):
        return {}, position + 1
    elements: dict[str, dict] = {}
    while match := ELEMENT.match(text, position):
        parameters = elements.setdefault(match[1], {})
        position = match.end()
        while parameter := PARAMETER.match(text, position):
            name, value = parameter.groups()
            position = parameter.end()
            if "\\" in value:
                value = ESCAPE.sub(r"\1", value)
            former = parameters.setdefault(name, value)
            if isinstance(former, list):
                former.append(value)
            elif former is not value:
                parameters[name] = [former, value]
        if not text.startswith("]", position):
            raise ValueError("an element of the structured data does not end")
        position += 1
    if not elements:
        raise ValueError("no structured data")
    return elements, position


def parsed_3164(text: str, position: int, *, is_sure: bool) -> dict:
    """What follows the priority in a message of RFC 3164; without a time all is the message."""
    time = TIME_3164.match(text, position)
    if not time:
        time = TIME_5424.match(text, position)  # as rsyslog and others write it
        time = time if time and is_on_calendar(time[0]) else None
    host = app = process = None
    if time and text[time.end() : time.end() + 1] in ("", " "):
        position = min(time.end() + 1, len(text))
        if match := HOST.match(text, position):
            host, position = match[1], match.end()
        if match := TAG.match(text, position):
            (app, process), position = match.groups(), match.end()
    elif is_sure:
        time = None
    else:
        raise ValueError("neither a priority nor a time")
    return {
        "format": "rfc3164",
        "timestamp": time and time[0],
        "host": host,
        "app": app,
        "pid": process,
        "msgid": None,
        "structuredData": {},
        "message": text[position:],
    }


def converted(record: dict) -> dict:
    """What becomes of one record."""
    try:
        text = binascii.a2b_base64(record["data"]).decode("utf-8", "backslashreplace")
        output = encode(parsed(text.rstrip("\r\n\0"))) + "\n"
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
