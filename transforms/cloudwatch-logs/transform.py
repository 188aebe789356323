"""Takes the log messages out of what a CloudWatch Logs subscription sends.

Mode worker: each line of stdin is an event, each line of stdout answers one.
"""

import binascii
import heapq
import json
import sys
import zlib

LONGEST_ANSWER = 6_291_456

LONGEST_PAYLOAD = 8 * 1024 * 1024
"""How much a record may unfold to; CloudWatch Logs sends far less."""

GZIP = 31
"""zlib's word for a gzip header around its largest window."""

encode = json.JSONEncoder(separators=(",", ":")).encode


def payload(data: bytes) -> dict:
    """The JSON object in one record."""
    inflater = zlib.decompressobj(GZIP)
    text = inflater.decompress(data, LONGEST_PAYLOAD)
    if not inflater.eof or inflater.unused_data:
        raise ValueError("not one whole gzip member of a reasonable size")
    return json.loads(text, parse_int=ignored, parse_float=ignored)


def ignored(number: str) -> None:
    """Numbers are of no use here, and the conversion of very long ones takes very long."""


def result(data: bytes) -> tuple[str, bytes]:
    """What becomes of a record's data."""
    message = payload(data)
    if message["messageType"] == "CONTROL_MESSAGE":
        return "Dropped", b""
    if message["messageType"] != "DATA_MESSAGE":
        raise ValueError("neither a DATA_MESSAGE nor a CONTROL_MESSAGE")
    output = "".join([each["message"] + "\n" for each in message["logEvents"]])
    return "Ok", output.encode("utf-8", "replace")  # JSON can hold halves of characters


def converted(record: dict) -> dict:
    """What becomes of one record."""
    try:
        name, output = result(binascii.a2b_base64(record["data"]))
        data = binascii.b2a_base64(output, newline=False).decode()
    except Exception:  # whatever is wrong with a record concerns that record alone
        name, data = "ProcessingFailed", record["data"]
    return {"recordId": record["recordId"], "result": name, "data": data}


def answer(event: dict) -> bytes:
    """The line that answers an event.

    An answer that is too long would fail every record of the batch. So the records with the longest
    outputs fail alone, and at once, for all outputs together may not fit into memory either.
    """
    records: list[dict] = []
    longest: list[tuple[int, int]] = []
    size = len('{"records":[]}')
    for index, each in enumerate(event["records"]):
        record = converted(each)
        records.append(record)
        heapq.heappush(longest, (-len(record["data"]), index))
        size += len(encode(record)) + 1
        while size > LONGEST_ANSWER:
            index = heapq.heappop(longest)[1]
            size -= len(encode(records[index]))
            records[index].update(result="ProcessingFailed", data="")
            size += len(encode(records[index]))
            print("the outputs are too long for one answer", file=sys.stderr, flush=True)
    return encode({"records": records}).encode()


def main() -> None:
    """Answers events until there are no more."""
    for line in sys.stdin.buffer:
        sys.stdout.buffer.write(answer(json.loads(line)) + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
