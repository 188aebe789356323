"""Source backup when something is away or dies: exactly once, in both places, on their own."""

import os
import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from buckets import Bucket, FolderBucket, S3Bucket
from master_keys import create_encrypted, fresh_master_key, write_master_keys
from plaintext import fresh_secret, traces
from ports import free_port
from processors import JSON_OBJECTS, PASS_ON, backup
from producers import Ledger, Load
from reconciliation import Reader, reconcile
from records import Identity, encode
from server import Hydrant
from sigv4_judge import Request
from streams import AT_ONCE, BY_SIZE_ONLY, MEBIBYTE, create_stream, fresh_name, put
from strict_s3 import StrictS3
from transforms import processing
from updates import update
from waiting import wait_until

FULL = os.environ.get("HYDRANT_FULL_LOAD") == "1"

RECORDS = 100_000 if FULL else 3_000

KILLS = 3

PATIENCE_SECONDS = 900 if FULL else 90

SMALL_BUFFERS = {"SizeInMBs": 1, "IntervalInSeconds": 1}

PROCESSORS = pytest.mark.parametrize("processors", [[], [PASS_ON]], ids=["plain", "processed"])


class PartlyAway(StrictS3):
    """An S3 endpoint of which some buckets are away."""

    def __init__(self) -> None:
        super().__init__()
        self.away: set[str] = set()
        self.turned_away: Counter[str] = Counter()
        """How many requests found their bucket away."""

    def handle(self, request: Request) -> tuple[int, bytes]:
        """As `StrictS3`, or 503 for a bucket that is away."""
        bucket = request.path.split("/")[1]
        if bucket in self.away:
            self.turned_away[bucket] += 1
            return 503, b""
        return super().handle(request)


@pytest.fixture
def endpoint() -> Iterator[PartlyAway]:
    """An endpoint of the test's own, of which buckets can be away."""
    with PartlyAway() as endpoint:
        yield endpoint


@pytest.fixture
def second_bucket(seaweed) -> Iterator[S3Bucket]:
    """A second empty bucket in SeaweedFS."""
    name = seaweed.create_bucket()
    yield S3Bucket(seaweed, name)
    seaweed.delete_bucket(name)


def members(processors: list[dict]) -> dict:
    """The destination's member that has records processed, if any are."""
    return processing(*processors) if processors else {}


def arn(bucket: str) -> str:
    """A bucket's ARN."""
    return f"arn:aws:s3:::{bucket}"


@contextmanager
def obstructed(bucket: FolderBucket) -> Iterator[None]:
    """A file stands where a bucket's folder should be, so that nothing can be delivered there."""
    bucket.folder.parent.mkdir(parents=True, exist_ok=True)
    bucket.folder.write_text("no folder")
    try:
        yield
    finally:
        bucket.folder.unlink()


# MARK: Away


@PROCESSORS
def test_a_missing_backup_bucket_does_not_hold_up_the_delivery(
    start_hydrant, seaweed, bucket, missing_bucket, processors
):
    """Puts go on, and the backup catches up."""
    hydrant = start_hydrant(environment=seaweed.environment)
    client = hydrant.client()
    given = members(processors) | backup(missing_bucket.arn)
    stream = create_stream(client, bucket.arn, **given)
    put(client, stream, b"first ")
    hydrant.wait_for_log(r"NoSuchBucket|\b404\b")
    bucket.wait_for(b"first ")
    put(client, stream, b"second")
    bucket.wait_for(b"first second")
    seaweed.create_bucket(missing_bucket.name)
    missing_bucket.wait_for(b"first second", timeout=90)
    assert b"".join(bucket.contents()) == b"first second"


@PROCESSORS
def test_a_missing_bucket_does_not_hold_up_the_backup(
    start_hydrant, seaweed, bucket, missing_bucket, processors
):
    hydrant = start_hydrant(environment=seaweed.environment)
    client = hydrant.client()
    stream = create_stream(
        client, missing_bucket.arn, **members(processors), **backup(bucket.arn)
    )
    put(client, stream, b"first ")
    hydrant.wait_for_log(r"NoSuchBucket|\b404\b")
    bucket.wait_for(b"first ")
    put(client, stream, b"second")
    bucket.wait_for(b"first second")
    seaweed.create_bucket(missing_bucket.name)
    missing_bucket.wait_for(b"first second", timeout=90)
    assert b"".join(bucket.contents()) == b"first second"


@pytest.mark.parametrize("away", ["main", "copies"])
def test_a_backlog_of_one_place_does_not_hold_up_the_other(start_hydrant, endpoint, away):
    """Many buffers full; they arrive in order, once, also over a restart."""
    endpoint.away = {away}
    hydrant = start_hydrant(environment=endpoint.environment)
    given = {"BufferingHints": BY_SIZE_ONLY}
    given |= backup(arn("copies"), BufferingHints=BY_SIZE_ONLY)
    stream = create_stream(hydrant.client(), arn("main"), **given)
    records = [bytes([65 + number]) * 600_000 for number in range(20)]
    for record in records:
        put(hydrant.client(), stream, record)
    other = ({"main", "copies"} - {away}).pop()
    endpoint.wait_for(other, b"".join(records[:-1]))
    assert endpoint.content(away) == b""
    hydrant.restart()
    endpoint.away = set()
    endpoint.wait_for(away, b"".join(records[:-1]), timeout=60)
    # With one place at its end, the other still holds it all once.
    assert endpoint.content(other) == b"".join(records[:-1])
    # The same object, whatever number of attempts it took.
    assert len({(name, key) for name, key, _ in endpoint.puts}) == len(set(endpoint.puts))


def test_an_outage_of_s3_delays_both_places_and_harms_none(start_hydrant, own_seaweed):
    main, copies = [S3Bucket(own_seaweed, own_seaweed.create_bucket()) for _ in range(2)]
    own_seaweed.stop()
    hydrant = start_hydrant(environment=own_seaweed.environment)
    client = hydrant.client()
    stream = create_stream(
        client, main.arn, **backup(copies.arn, CompressionFormat="GZIP"), **processing(JSON_OBJECTS)
    )
    for number in range(20):
        put(client, stream, b'{"n":%d}' % number)
    own_seaweed.start()
    expected = b"".join(b'{"n":%d}' % number for number in range(20))
    main.wait_for(expected, timeout=90)
    copies.wait_for(expected, timeout=90)


def test_what_the_backup_bucket_never_takes_is_set_aside(start_hydrant, endpoint):
    endpoint.away = {"copies"}
    hydrant = start_hydrant("--s3-retry-duration", "1", environment=endpoint.environment)
    client = hydrant.client()
    stream = create_stream(client, arn("main"), **backup(arn("copies")))
    put(client, stream, b"kept")
    endpoint.wait_for("main", b"kept")
    folder = hydrant.data / "set-aside" / stream / "copies"
    files = wait_until(lambda: [p for p in folder.rglob("*") if p.is_file()], "the file")
    assert [path.read_bytes() for path in files] == [b"kept"]
    assert not (hydrant.data / "set-aside" / stream / "main").exists()
    endpoint.away = set()
    put(client, stream, b" next")
    endpoint.wait_for("copies", b" next")
    endpoint.wait_for("main", b"kept next")


def test_a_stream_whose_backup_waits_can_be_deleted(start_hydrant, endpoint):
    endpoint.away = {"copies"}
    hydrant = start_hydrant(environment=endpoint.environment)
    client = hydrant.client()
    stream = create_stream(client, arn("main"), **backup(arn("copies")))
    put(client, stream, b"discarded ")
    endpoint.wait_for("main", b"discarded ")
    client.delete_delivery_stream(DeliveryStreamName=stream)
    create_stream(client, arn("main"), name=stream, **backup(arn("copies")))
    endpoint.away = set()
    put(client, stream, b"fresh")
    endpoint.wait_for("copies", b"fresh", timeout=60)


# MARK: The log


def log_bytes(hydrant: Hydrant) -> int:
    """What the streams' folders take; used segments that wait for another use are elsewhere."""
    total = 0
    for each in (hydrant.data / "streams").rglob("*"):
        with suppress(FileNotFoundError):  # the server removes files meanwhile
            total += each.lstat().st_blocks * 512
    return total


@pytest.mark.parametrize("away", ["main", "copies", "nothing"])
def test_the_log_keeps_what_one_of_the_two_still_needs_and_no_more(start_hydrant, tmp_path, away):
    places = tmp_path / "buckets"
    buckets = {name: FolderBucket(places, name) for name in ("main", "copies")}
    hydrant = start_hydrant("--local-buckets", str(places))
    client = hydrant.client()
    given = {"BufferingHints": BY_SIZE_ONLY}
    given |= backup(arn("copies"), BufferingHints=BY_SIZE_ONLY)
    stream = create_stream(client, arn("main"), **given)
    batch = [b"x" * 1_000_000] * 4

    def delivered(name: str) -> int:
        # Megabytes, which are records: objects grow with the backlog.
        files = [each for each in (places / name).rglob("*") if each.is_file()]
        return sum(each.stat().st_size for each in files) // 1_000_000

    def put_all() -> None:
        for _ in range(50):
            put(client, stream, *batch)

    if away == "nothing":
        put_all()
    else:
        (other,) = set(buckets) - {away}
        with obstructed(buckets[away]):
            put_all()
            wait_until(lambda: delivered(other) >= 199, f"deliveries to {other}", timeout=60)
            assert log_bytes(hydrant) > 195_000_000
    for name in buckets:
        wait_until(lambda name=name: delivered(name) >= 199, f"all in {name}", timeout=90)
    wait_until(lambda: log_bytes(hydrant) < 150_000_000, "the log to shrink", timeout=20)
    assert (delivered("main"), delivered("copies")) == (199, 199)


# MARK: Ends of the server


@pytest.mark.parametrize("stop", ["sigterm", "sigkill"])
@PROCESSORS
def test_what_waits_for_either_place_survives_the_end_of_the_server(
    start_hydrant, stop, processors
):
    hydrant = start_hydrant()
    main, copies = [FolderBucket(hydrant.data / "buckets", fresh_name("bucket")) for _ in range(2)]
    given = members(processors) | backup(copies.arn, BufferingHints=BY_SIZE_ONLY)
    stream = create_stream(hydrant.client(), main.arn, **given)
    put(hydrant.client(), stream, b"delivered once ")
    main.wait_for(b"delivered once ")
    update(hydrant.client(), stream, "1", BufferingHints=BY_SIZE_ONLY)
    put(hydrant.client(), stream, b"waiting ")
    getattr(hydrant, stop)()
    hydrant.start()
    put(hydrant.client(), stream, b"after")
    at_once = {"BufferingHints": AT_ONCE}
    update(hydrant.client(), stream, "2", **at_once, S3BackupUpdate=at_once)
    main.wait_for(b"delivered once waiting after")
    copies.wait_for(b"delivered once waiting after")


def wait_for_share(load: Load, share: float) -> None:
    """Waits until that share of the records was acknowledged."""
    wait_until(
        lambda: load.is_over or load.acknowledged >= share * RECORDS,
        f"{share:.0%} of the load",
        timeout=PATIENCE_SECONDS,
        pause=0.005,
    )


def wait_for_delivery(bucket: Bucket, ledgers: list[Ledger]) -> None:
    """Waits until all acknowledged records that can be told apart are in a bucket."""
    reader = Reader(bucket)
    what = f"all records in {bucket.name}"
    wait_until(lambda: reader.has_all(ledgers), what, timeout=PATIENCE_SECONDS, pause=0.2)


@pytest.mark.timeout(3 * PATIENCE_SECONDS)
@PROCESSORS
def test_no_kill_loses_or_doubles_a_record_in_either_place(
    start_hydrant, seaweed, bucket, second_bucket, report_counts, processors
):
    """The places have buffers of their own. HYDRANT_SEED repeats a run's choices."""
    seed = int(os.environ.get("HYDRANT_SEED", random.randrange(2**32)))
    chance = random.Random(seed)
    print(f"HYDRANT_SEED={seed}")
    hydrant = start_hydrant(environment=seaweed.environment, port=free_port())
    client = hydrant.client()
    other = {"SizeInMBs": 3, "IntervalInSeconds": 1}
    given = {"BufferingHints": SMALL_BUFFERS, "CompressionFormat": "GZIP"} | members(processors)
    given |= backup(second_bucket.arn, BufferingHints=other)
    stream = create_stream(client, bucket.arn, **given)
    moments = sorted(chance.uniform(0.05, 0.85) for _ in range(KILLS))
    with Load(
        client, stream, records=RECORDS, seed=seed, largest_batch=50, survives_outages=True
    ) as load:
        for moment in moments:
            wait_for_share(load, moment)
            assert not load.is_over, "the load was over before the last kill"
            hydrant.sigkill()
            hydrant.start()
        wait_until(lambda: load.is_over, "the producers to finish", timeout=PATIENCE_SECONDS)
    for each in (bucket, second_bucket):
        wait_for_delivery(each, load.ledgers)
    # What would be sent twice is there before a record that follows another start.
    hydrant.restart()
    last = Ledger(producer=999)
    record = encode(Identity(last.producer, 0), b"last")
    put(hydrant.client(), stream, record)
    last.note([record], acknowledged=True)
    ledgers = [*load.ledgers, last]
    for each in (bucket, second_bucket):
        wait_for_delivery(each, ledgers)

    for title, each, hints in (("main", bucket, SMALL_BUFFERS), ("backup", second_bucket, other)):
        findings = reconcile(each, ledgers)
        report_counts(
            f"{KILLS} kills, {title} of a {'processed' if processors else 'plain'} stream "
            f"(HYDRANT_SEED={seed}): {load.acknowledged:,} acknowledged, {findings.framed:,} "
            f"framed in {findings.objects} objects, {len(findings.missing)} missing, "
            f"{len(findings.repeated)} repeated, {len(findings.disordered)} out of order"
        )
        findings.assert_exactly_once(ledgers)
        assert findings.largest_object_bytes <= hints["SizeInMBs"] * MEBIBYTE


# MARK: Encrypted


@pytest.fixture
def sealed_options(tmp_path: Path) -> tuple[str, str]:
    """What gives a server a master key."""
    path = write_master_keys(tmp_path / "master.keys", fresh_master_key())
    return ("--master-key", str(path))


@pytest.mark.parametrize(
    "processors", [[], [JSON_OBJECTS], [PASS_ON]], ids=["plain", "failing", "processed"]
)
def test_an_encrypted_stream_leaves_nothing_in_the_open(
    start_hydrant, endpoint, sealed_options, processors
):
    """Neither while both places are away, nor what failed; it arrives in both after a kill."""
    endpoint.away = {"main", "copies"}
    hydrant = start_hydrant(*sealed_options, environment=endpoint.environment)
    given = members(processors) | backup(arn("copies"), CompressionFormat="GZIP")
    stream = create_encrypted(hydrant.client(), arn("main"), **given)
    secret = fresh_secret()
    # A record that is no JSON object fails, and is set apart with what it says.
    put(hydrant.client(), stream, secret, secret * 100, secret * 3_000)
    wait_until(lambda: set(endpoint.turned_away) == endpoint.away, "attempts at both places")
    assert traces(hydrant.data, secret) == []
    hydrant.sigkill()
    assert traces(hydrant.data, secret) == []
    hydrant.start()
    endpoint.away = set()
    endpoint.wait_for("copies", secret * 3_101, timeout=60)
    if processors == [JSON_OBJECTS]:
        wait_until(lambda: endpoint.content("main").count(b"ParseError") == 3, "the failures")
    else:
        endpoint.wait_for("main", secret * 3_101, timeout=60)
    assert traces(hydrant.data, secret) == []
