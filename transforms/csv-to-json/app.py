"""Turns rows of CSV into JSON objects: a handler as AWS Lambda runs them behind Firehose."""

import base64
import csv
import io
import json
import os
import sys

LONGEST_ANSWER = 6_291_456

DELIMITER = os.environ.get("DELIMITER", ",")
COLUMNS = next(csv.reader([os.environ["COLUMNS"]], delimiter=DELIMITER, strict=True))

csv.field_size_limit(sys.maxsize)


def lambda_handler(event, context):
    """Answers one event of Firehose."""
    records = [converted(record) for record in event["records"]]
    excess = len(json.dumps({"records": records})) - LONGEST_ANSWER
    if excess > 0:
        # It would fail every record of the batch, so those with the longest outputs fail alone.
        print("the outputs are too long for one answer")
        for record in sorted(records, key=lambda each: len(each["data"]), reverse=True):
            if excess <= 0:
                break
            excess -= len(record["data"]) - len("ProcessingFailed")
            record.update(result="ProcessingFailed", data="")
    return {"records": records}


def converted(record):
    """What becomes of one record: a line of JSON for each row, nothing for the header line."""
    try:
        # Excel and others begin their files with a byte order mark.
        text = base64.b64decode(record["data"]).decode("utf-8-sig")
        lines = [as_json(row) for row in rows(text) if row != COLUMNS]
    except Exception:  # whatever is wrong with a record concerns that record alone
        return answer(record, "ProcessingFailed", record["data"])
    if not lines:
        return answer(record, "Dropped", "")
    return answer(record, "Ok", base64.b64encode("".join(lines).encode()).decode())


def answer(record, result, data):
    """One entry of the response."""
    return {"recordId": record["recordId"], "result": result, "data": data}


def rows(text):
    """The rows of a text but empty ones; quotes, also around line ends, as in RFC 4180."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=DELIMITER, strict=True)
    return (row for row in reader if row)


def as_json(row):
    """One row as a line."""
    if len(row) != len(COLUMNS):
        raise ValueError(f"{len(row)} fields instead of {len(COLUMNS)}")
    members = dict(zip(COLUMNS, row))
    return json.dumps(members, ensure_ascii=False, separators=(",", ":")) + "\n"
