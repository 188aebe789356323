"""What each number on the dashboard must be, in the terms of a counted load."""

from collections import Counter
from collections.abc import Callable

from counted_load import (
    BACKUP,
    ENDPOINT,
    OPENSEARCH,
    REDSHIFT,
    S3,
    SPLUNK,
    Truth,
)
from dashboards import Target

Numbers = dict[tuple, float]

Expectation = tuple[tuple[str, ...], Callable[[Truth], Numbers]]
"""The labels that samples have, and the numbers by the values of these."""

STREAM, PLACE = ("stream",), ("stream", "destination")


def total(count: Callable[[Truth], Counter]) -> Expectation:
    """A sum over everything."""
    return (), lambda truth: {(): count(truth).total()}


def each(count: Callable[[Truth], Counter], *labels: str) -> Expectation:
    """A number for each stream, or for each combination of other labels."""
    return labels or STREAM, lambda truth: keyed(count(truth))


def ratio(part: Callable[[Truth], Counter], whole: Callable[[Truth], Counter]) -> Expectation:
    """A share, for each stream."""

    def numbers(truth: Truth) -> Numbers:
        parts, wholes = part(truth), whole(truth)
        return keyed({key: parts[key] / count for key, count in wholes.items() if count})

    return STREAM, numbers


def keyed(counts: dict) -> Numbers:
    """Counts by tuples of labels, also where there is one label."""
    return {key if isinstance(key, tuple) else (key,): count for key, count in counts.items()}


def by_stream(counts: Counter) -> Counter:
    """The sums by the first of two labels."""
    found: Counter[str] = Counter()
    for (stream, _), count in counts.items():
        found[stream] += count
    return found


# MARK: What is counted


def records(truth: Truth) -> Counter:
    """Records that were taken."""
    return truth.answers.records


def throttled(truth: Truth) -> Counter:
    """Records that were not."""
    return truth.answers.throttled


def failed(truth: Truth) -> Counter:
    """Failed records."""
    return by_stream(truth.failed)


def failed_in_processing(truth: Truth) -> Counter:
    """Failed records that did not come to a destination."""
    kinds = ("processing-failed", "decompression-failed")
    return by_stream(Counter({key: n for key, n in truth.failed.items() if key[1] in kinds}))


def dropped(truth: Truth) -> Counter:
    """Records that were left out on purpose."""
    return truth.dropped


def set_aside(truth: Truth) -> Counter:
    """Records on the server's disk alone."""
    return truth.set_aside


def at(destination: str, name: str) -> Callable[[Truth], Counter]:
    """A number of deliveries to one destination, by stream."""
    return lambda truth: Counter(
        {
            stream: getattr(delivered, name)
            for (stream, place), delivered in truth.deliveries.items()
            if place == destination
        }
    )


def everywhere(name: str) -> Expectation:
    """A number of deliveries, by stream and destination."""
    return PLACE, lambda truth: {key: getattr(each, name) for key, each in truth.deliveries.items()}


def operations(truth: Truth) -> Counter:
    """Calls by operation."""
    return by_stream(truth.answers.calls)


def refused(truth: Truth) -> Counter:
    """Calls that were refused."""
    calls = truth.answers.calls.items()
    return Counter({(name, code): count for (name, code), count in calls if code != "OK"})


# MARK: Where it is shown

BY_STREAM: dict[str, Callable[[Truth], Counter]] = {
    "In": records,
    "Records": records,
    "Bytes": lambda truth: truth.answers.bytes,
    "Puts": lambda truth: truth.answers.puts,
    "PutRecord": lambda truth: truth.answers.single_calls,
    "PutRecord bytes": lambda truth: truth.answers.single_bytes,
    "PutRecordBatch": lambda truth: truth.answers.batch_calls,
    "PutRecordBatch records": lambda truth: truth.answers.batch_records,
    "PutRecordBatch bytes": lambda truth: truth.answers.batch_bytes,
    "Throttled": throttled,
    "Delivered": Truth.delivered,
    "Failed": failed,
    "Dropped": dropped,
    "Set aside": set_aside,
    # All is over when they are looked at.
    "Waiting": lambda _: Counter(),
    "Oldest record": lambda _: Counter(),
    "Invocations": lambda truth: truth.invocations,
    "Succeeded": lambda truth: truth.succeeded,
    "Ok": lambda truth: truth.ok,
    "Ok bytes": lambda truth: truth.ok_bytes,
    "Process starts": lambda truth: truth.starts,
}
"""Columns of tables by stream."""

DESTINATIONS = (S3, OPENSEARCH, ENDPOINT, SPLUNK, REDSHIFT)
"""In the order of the queries of panels that show them all."""

TABLE_OF_DELIVERIES = "Delivery: Deliveries since the server started"

TABLE_OF_TRANSFORMS = "Transforms: Transforms since the server started"

PANELS: dict[str, list[Expectation]] = {
    "Now: Records in": [total(records)],
    "Now: Delivered": [total(Truth.delivered)],
    "Now: Throttled": [total(throttled)],
    "Now: Records in, total": [total(records)],
    "Now: Delivered, total": [total(Truth.delivered)],
    "Now: Failed, total": [total(failed)],
    "Now: Dropped, total": [total(dropped)],
    "Now: Set aside, total": [total(set_aside)],
    "Now: Throttled, total": [total(throttled)],
    "Ingest: Records in": [each(records)],
    "Ingest: Bytes in": [each(BY_STREAM["Bytes"])],
    "Ingest: Puts": [each(BY_STREAM["Puts"])],
    "Ingest: Throttled": [each(throttled)],
    "Ingest: Calls of either kind": [
        total(BY_STREAM["PutRecord"]),
        total(BY_STREAM["PutRecordBatch"]),
    ],
    "Ingest: Bytes of either kind": [
        total(BY_STREAM["PutRecord bytes"]),
        total(BY_STREAM["PutRecordBatch bytes"]),
    ],
    "Ingest: Records in a batch": [
        ratio(BY_STREAM["PutRecordBatch records"], BY_STREAM["PutRecordBatch"])
    ],
    "Ingest: API errors": [each(refused, "operation", "code")],
    "Ingest: API calls": [each(operations, "operation")],
    "Ingest: Answers since the server started": [
        each(lambda truth: truth.answers.calls, "operation", "code")
    ],
    "Delivery: Records delivered": [each(at(place, "records")) for place in DESTINATIONS],
    "Delivery: Bytes delivered": [each(at(place, "bytes")) for place in DESTINATIONS],
    "Delivery: Success": [
        ratio(at(place, "succeeded"), at(place, "requests")) for place in DESTINATIONS
    ],
    "Delivery: Retries": [each(lambda truth: truth.retries, "stream", "pipeline")],
    "Delivery: Failed records, total": [
        each(lambda truth: truth.failed, "stream", "error_output_type")
    ],
    "Delivery: Set aside, total": [each(set_aside)],
    "Delivery: COPY failures, total": [each(lambda truth: truth.copy_failures, "stream", "code")],
    "Delivery: Backup records": [each(at(BACKUP, "records"))],
    "Delivery: Backup bytes": [each(at(BACKUP, "bytes"))],
    "Delivery: Backup success": [ratio(at(BACKUP, "succeeded"), at(BACKUP, "requests"))],
    "Delivery: Retries since the server started": [
        each(lambda truth: truth.retries, "stream", "pipeline")
    ],
    "Transforms: Invocations": [each(BY_STREAM["Invocations"])],
    "Transforms: Success": [ratio(BY_STREAM["Succeeded"], BY_STREAM["Invocations"])],
    "Transforms: Results": [
        total(BY_STREAM["Ok"]),
        total(dropped),
        total(failed_in_processing),
    ],
    "Transforms: Process starts": [each(BY_STREAM["Process starts"])],
    "Transforms: Bytes Ok": [each(BY_STREAM["Ok bytes"])],
    "Log and server: Log lines, total": [each(lambda truth: truth.log_lines, "level")],
}
"""Panels that are no tables by stream: what each of their queries must show."""


def expectation(panel: str, target: Target) -> Expectation:
    """What a query of a panel must show."""
    column = target.column or ""
    if panel == TABLE_OF_DELIVERIES:
        return everywhere(column.lower())
    if panel == TABLE_OF_TRANSFORMS and column == "Failed":
        return each(failed_in_processing)
    if panel in PANELS:
        return PANELS[panel][ord(target.letter) - ord("A")]
    return each(BY_STREAM[column])
