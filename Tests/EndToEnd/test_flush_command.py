"""`hydrant flush`: what waits in a stream's buffers is delivered now, all of it and once."""

import json
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from buckets import FolderBucket, S3Bucket
from commands import Done, run_hydrant, running_hydrant
from keys import EVERYTHING, Key, may, write_keys
from metrics import metric
from osmem import Osmem
from ports import free_port
from seaweed import SeaweedFS
from search_streams import OPENSEARCH, SearchFlow, create_search_stream, numbered
from server import Hydrant
from streams import BY_SIZE_ONLY, create_stream, fresh_name, put
from transform_programs import FAILING, UPPER, Programs
from transforms import lambda_arn, lambda_processor, processing
from waiting import wait_until
from wire import Answer, Connection, request

pytest_plugins = ["search_fixtures"]

LONG = {"SizeInMBs": 64, "IntervalInSeconds": 900}
"""Buffers that no test fills and no test outlives."""

SLOW_TRANSFORM = {"BufferSizeInMBs": 3, "BufferIntervalInSeconds": 900}

TARGET = "Hydrant_20261121.FlushDeliveryStream"


@pytest.fixture(scope="module")
def programs(tmp_path_factory) -> Programs:
    """The transforms of the module's server."""
    return Programs(tmp_path_factory.mktemp("flush"))


@pytest.fixture(scope="module")
def hydrant(start_module_hydrant, programs) -> Hydrant:
    """A server on folders as buckets with transforms, shared by the module."""
    return start_module_hydrant(*programs.options)


def flush(hydrant: Hydrant, stream: str, *options: str, key: Key | None = None) -> Done:
    """Runs the command."""
    return run_hydrant(hydrant, "flush", stream, *options, key=key)


def flushed(hydrant: Hydrant, stream: str, *options: str) -> dict:
    """Runs the command, which must not find anything left; returns its outcome."""
    done = flush(hydrant, stream, "--json", *options)
    assert (done.returncode, done.stderr) == (0, b""), done.stderr
    outcome = json.loads(done.stdout)
    assert (outcome["stream"], outcome["isDelivered"]) == (stream, True)
    assert outcome["pendingRecords"] == 0
    assert 0 <= outcome["seconds"] < 30
    return outcome


def call(hydrant: Hydrant, stream: str, token: str | None = None) -> Answer:
    """Calls the operation itself."""
    body = {"DeliveryStreamName": stream} | ({"Token": token} if token else {})
    with Connection(hydrant.port) as connection:
        return connection.exchange(request("", body, target=TARGET))


def fresh_bucket(hydrant: Hydrant) -> FolderBucket:
    """A bucket of the server's embedded default."""
    return FolderBucket(hydrant.data / "buckets", fresh_name("bucket"))


def transformed(programs: Programs, body: str) -> dict:
    """The member that has records go through a program, both stages with long buffers."""
    name = programs.write("once", body)
    return processing(lambda_processor(lambda_arn(name), **SLOW_TRANSFORM))


# MARK: What arrives


def test_what_waits_for_its_buffer_arrives_at_once(hydrant, client, folder_bucket):
    stream = create_stream(client, folder_bucket.arn, BufferingHints=LONG)
    put(client, stream, b"one ", b"two ")
    put(client, stream, b"three")
    assert folder_bucket.keys() == []
    assert flushed(hydrant, stream)["records"] == 3
    assert folder_bucket.contents() == [b"one two three"]


def test_a_person_is_told_what_was_done(hydrant, client, folder_bucket):
    stream = create_stream(client, folder_bucket.arn, BufferingHints=LONG)
    put(client, stream, b"one", b"two")
    done = flush(hydrant, stream)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.startswith(f"2 records of {stream} are delivered".encode())
    done = flush(hydrant, stream)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == f"nothing waited in {stream}\n".encode()


def test_nothing_is_delivered_where_nothing_waits(hydrant, client, folder_bucket):
    stream = create_stream(client, folder_bucket.arn, BufferingHints=LONG)
    assert flushed(hydrant, stream)["records"] == 0
    assert folder_bucket.keys() == []


def test_empty_records_are_records(hydrant, client, folder_bucket):
    stream = create_stream(client, folder_bucket.arn, BufferingHints=LONG)
    put(client, stream, b"", b"")
    assert flushed(hydrant, stream)["records"] == 2
    assert hydrant.delivered_records(stream) == 2


def test_more_than_one_buffer_is_delivered(hydrant, client, folder_bucket):
    stream = create_stream(client, folder_bucket.arn, BufferingHints=BY_SIZE_ONLY)
    records = [bytes([65 + number]) * 700_000 for number in range(4)]
    put(client, stream, *records)
    flushed(hydrant, stream)
    assert b"".join(folder_bucket.contents()) == b"".join(records)
    assert len(folder_bucket.keys()) > 1


def test_s3_gets_it_compressed_as_ever(s3_hydrant, s3_client, bucket: S3Bucket):
    stream = create_stream(s3_client, bucket.arn, BufferingHints=LONG, CompressionFormat="GZIP")
    put(s3_client, stream, b"record")
    flushed(s3_hydrant, stream)
    assert bucket.contents() == [b"record"]
    assert bucket.keys()[0].endswith(".gz")


def test_a_cluster_gets_it(hydrant, client, folder_bucket, osmem: Osmem):
    index = fresh_name("index")
    stream = create_search_stream(
        client,
        folder_bucket.arn,
        OPENSEARCH,
        ClusterEndpoint=osmem.endpoint,
        IndexName=index,
        IndexRotationPeriod="NoRotation",
        BufferingHints=LONG,
    )
    flow = SearchFlow(hydrant, osmem, stream, index, folder_bucket)
    flow.put(*numbered(3))
    assert flushed(hydrant, stream)["records"] == 3
    assert flow.numbers() == [0, 1, 2]


def test_what_cannot_be_transformed_is_done_with_as_well(hydrant, client, folder_bucket, programs):
    stream = create_stream(
        client, folder_bucket.arn, BufferingHints=LONG, **transformed(programs, FAILING)
    )
    put(client, stream, b"one", b"two")
    flushed(hydrant, stream)
    (key,) = folder_bucket.keys()
    assert key.startswith("processing_failed/")
    assert len(folder_bucket.content(key).splitlines()) == 2
    put(client, stream, b"three")
    done = flush(hydrant, stream)
    assert done.returncode == 0
    assert b"delivered" not in done.stdout
    assert b"1 records" in done.stdout and b"1 failed" in done.stdout
    put(client, stream, b"four", b"five", b"six")
    assert flushed(hydrant, stream)["failedRecords"] == 3


def test_both_buffers_of_a_transform_are_flushed_and_the_backup(
    hydrant, client, folder_bucket, programs
):
    copies = fresh_bucket(hydrant)
    destination = {
        "RoleARN": "arn:aws:iam::000000000000:role/firehose",
        "BucketARN": copies.arn,
        "BufferingHints": LONG,
    }
    stream = create_stream(
        client,
        folder_bucket.arn,
        BufferingHints=LONG,
        S3BackupMode="Enabled",
        S3BackupConfiguration=destination,
        **transformed(programs, UPPER),
    )
    put(client, stream, b"one ", b"two")
    flushed(hydrant, stream)
    assert folder_bucket.contents() == [b"ONE TWO"]
    assert copies.contents() == [b"one two"]
    assert flushed(hydrant, stream)["records"] == 0


@pytest.mark.parametrize("with_transform", [False, True], ids=["plain", "transform"])
def test_nobody_needs_to_wait(hydrant, client, folder_bucket, programs, with_transform):
    """What was asked for is done, whoever stays to see it."""
    members = transformed(programs, UPPER) if with_transform else {}
    stream = create_stream(client, folder_bucket.arn, BufferingHints=LONG, **members)
    put(client, stream, b"RECORD")
    done = flush(hydrant, stream, "--no-wait")
    assert (done.returncode, done.stderr) == (0, b"")
    folder_bucket.wait_for(b"RECORD", timeout=10)


# MARK: What does not


def test_what_is_put_later_waits_as_ever(hydrant, client, folder_bucket):
    stream = create_stream(client, folder_bucket.arn, BufferingHints=LONG)
    put(client, stream, b"before")
    flushed(hydrant, stream)
    for _ in range(5):
        put(client, stream, b"after")
    labels = {"stream": stream, "pipeline": "source"}
    assert metric(hydrant, "hydrant_log_backlog_records", **labels) == 5
    assert metric(hydrant, "hydrant_buffers_in_flight", **labels) == 0
    assert folder_bucket.contents() == [b"before"]


def test_a_flush_ends_while_puts_go_on(hydrant, client, folder_bucket):
    stream = create_stream(client, folder_bucket.arn, BufferingHints=LONG)
    is_over = threading.Event()
    counts: list[int] = []

    def produce() -> None:
        count = 0
        own = hydrant.client()
        while not is_over.is_set():
            put(own, stream, b"%d\n" % count)
            count += 1
        counts.append(count)

    producer = threading.Thread(target=produce)
    producer.start()
    backlog = {"stream": stream, "pipeline": "source"}
    wait_until(lambda: metric(hydrant, "hydrant_log_backlog_records", **backlog), "some puts")
    flushes = [flushed(hydrant, stream)["records"] for _ in range(3)]
    assert all(flushes)
    is_over.set()
    producer.join()
    flushed(hydrant, stream)
    delivered = b"".join(folder_bucket.contents()).split()
    assert delivered == [b"%d" % number for number in range(counts[0])]
    # A buffer for each flush, not one for each put.
    assert len(folder_bucket.keys()) == 4


def test_another_stream_is_not_touched(hydrant, client, folder_bucket):
    other = fresh_bucket(hydrant)
    streams = [
        create_stream(client, each.arn, BufferingHints=LONG) for each in (folder_bucket, other)
    ]
    for stream in streams:
        put(client, stream, b"record")
    flushed(hydrant, streams[0])
    assert other.keys() == []


# MARK: Trouble


def test_what_is_left_when_the_time_is_up_is_said(make_hydrant, own_seaweed: SeaweedFS):
    """And it goes on its way, without another flush."""
    bucket = S3Bucket(own_seaweed, own_seaweed.create_bucket())
    hydrant = make_hydrant(port=free_port(), environment=own_seaweed.environment).start()
    stream = create_stream(hydrant.client(), bucket.arn, BufferingHints=LONG)
    own_seaweed.kill()
    put(hydrant.client(), stream, b"one ", b"two")
    done = flush(hydrant, stream, "--timeout", "0.3")
    assert (done.returncode, done.stdout) == (1, b"")
    said = done.stderr.decode()
    assert said.startswith("hydrant: 2 records of ")
    assert stream in said
    done = flush(hydrant, stream, "--timeout", "0", "--json")
    assert (done.returncode, done.stderr) == (1, b"")
    outcome = json.loads(done.stdout)
    assert (outcome["pendingRecords"], outcome["isDelivered"]) == (2, False)
    # A server that ends in the middle holds nothing up, and doubles nothing.
    with running_hydrant(hydrant, "flush", stream, "--json") as waiting:
        put(hydrant.client(), stream, b" three")
        hydrant.sigkill()
        hydrant.start()
        own_seaweed.start()
        assert waiting.wait(timeout=30) == 0
        assert json.loads(waiting.stdout.read())["isDelivered"]
    assert b"".join(bucket.contents()) in (b"one two", b"one two three")
    flushed(hydrant, stream)
    assert b"".join(bucket.contents()) == b"one two three"
    assert hydrant.sigterm() == 0


def test_an_interrupted_command_ends_at_once(start_hydrant):
    hydrant = start_hydrant("--s3-endpoint", f"http://127.0.0.1:{free_port()}", **no_s3())
    stream = create_stream(hydrant.client(), "arn:aws:s3:::away", BufferingHints=LONG)
    put(hydrant.client(), stream, b"record")
    with running_hydrant(hydrant, "flush", stream) as process:
        wait_until(lambda: in_flight(hydrant, stream), "the flush to begin")
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=5) in (-signal.SIGINT, 128 + signal.SIGINT)


def test_a_stream_that_is_deleted_meanwhile_is_an_error(start_hydrant):
    hydrant = start_hydrant("--s3-endpoint", f"http://127.0.0.1:{free_port()}", **no_s3())
    client = hydrant.client()
    stream = create_stream(client, "arn:aws:s3:::away", BufferingHints=LONG)
    put(client, stream, b"record")
    with running_hydrant(hydrant, "flush", stream) as process:
        wait_until(lambda: in_flight(hydrant, stream), "the flush to begin")
        client.delete_delivery_stream(DeliveryStreamName=stream)
        assert process.wait(timeout=10) == 1
        assert process.stderr.read().startswith(b"hydrant: ResourceNotFoundException: ")


def test_a_stream_that_is_made_anew_meanwhile_is_another(start_hydrant):
    """The places of the old one's log mean nothing in the new one's."""
    hydrant = start_hydrant("--s3-endpoint", f"http://127.0.0.1:{free_port()}", **no_s3())
    client = hydrant.client()
    stream = create_stream(client, "arn:aws:s3:::away", BufferingHints=LONG)
    put(client, stream, b"old" * 500)
    token = call(hydrant, stream).json["Token"]
    client.delete_delivery_stream(DeliveryStreamName=stream)
    create_stream(client, "arn:aws:s3:::away", name=stream, BufferingHints=LONG)
    for number in range(100):
        put(client, stream, b"<new %d>" % number)
    assert call(hydrant, stream, token).status in (200, 400)
    hydrant.options[:] = []
    hydrant.environment.clear()
    hydrant.restart()
    flushed(hydrant, stream)
    bucket = FolderBucket(hydrant.data / "buckets", "away")
    assert b"".join(bucket.contents()) == b"".join(b"<new %d>" % number for number in range(100))
    assert "damage" not in hydrant.log()


def no_s3() -> dict:
    """The keys of a store that is away."""
    return {"environment": {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}}


def in_flight(hydrant: Hydrant, stream: str) -> float | None:
    """How many buffers of a stream are on their way."""
    return metric(hydrant, "hydrant_buffers_in_flight", stream=stream, pipeline="source")


# MARK: Tokens


FAR = ".".join(["f" * 16, "f" * 8, "f" * 16, "f" * 16])


def moved(token: str, by: int) -> str:
    """A token whose place is moved by so many bytes."""
    parts = token.split(".")
    return ".".join([f"{max(0, int(parts[0], 16) + by):x}", *parts[1:]])


FORGED: list[Callable[[str], str]] = [
    lambda _: FAR,
    lambda _: f"{FAR}-{FAR}",
    lambda token: f"{token}-{FAR}",
    lambda _: "0.0.0.0",
    lambda _: f"0.0.{'f' * 16}.0",
    lambda token: moved(token, 7),
    lambda token: moved(token, -1),
    lambda token: moved(token, 10_000_000),
    lambda token: token.replace(".", "..", 1),
    lambda token: token + ".",
    lambda token: token + "-",
    lambda token: token[::-1],
    lambda _: "-",
    lambda _: "f" * 200,
    lambda _: "1",
]
"""What somebody could make of a token, given one that the server made."""


def test_a_forged_token_does_no_harm(start_hydrant, programs):
    """It is refused, or asks for a flush of its own: nothing is lost, what comes later waits."""
    hydrant = start_hydrant(*programs.options)
    client = hydrant.client()
    plain, copy = FolderBucket(hydrant.data / "buckets", "plain"), fresh_bucket(hydrant)
    streams = {
        create_stream(client, plain.arn, BufferingHints=LONG): plain,
        create_stream(
            client, copy.arn, BufferingHints=LONG, **transformed(programs, UPPER)
        ): copy,
    }
    for stream, bucket in streams.items():
        records = [b"<%d>" % number for number in range(6)]
        put(client, stream, *records[:2])
        put(client, stream, records[2])
        token = call(hydrant, stream).json["Token"]
        flushed(hydrant, stream)
        for record in records[3:]:
            put(client, stream, record)
        for forge in FORGED:
            assert call(hydrant, stream, forge(token)).status in (200, 400), forge(token)
        flushed(hydrant, stream)
        assert b"".join(bucket.contents()) == b"".join(records)
        put(client, stream, b"later")
        put(client, stream, b"later")
        backlog = {"stream": stream, "pipeline": "source"}
        assert metric(hydrant, "hydrant_log_backlog_records", **backlog) == 2
    assert "damage" not in hydrant.log()


# MARK: Under load


def test_many_flushes_under_load_lose_and_double_nothing(start_hydrant, programs):
    """Of a stream with a transform and a backup, over a kill."""
    hydrant = start_hydrant(*programs.options, port=free_port())
    client = hydrant.client()
    bucket, copies = fresh_bucket(hydrant), fresh_bucket(hydrant)
    backup = {
        "RoleARN": "arn:aws:iam::000000000000:role/firehose",
        "BucketARN": copies.arn,
        "BufferingHints": LONG,
    }
    stream = create_stream(
        client,
        bucket.arn,
        BufferingHints=LONG,
        S3BackupMode="Enabled",
        S3BackupConfiguration=backup,
        **processing(lambda_processor(lambda_arn(programs.write("worker", UPPER)))),
    )
    batches = [[b"%d\n" % (100 * batch + number) for number in range(100)] for batch in range(60)]

    def produce(part: int) -> None:
        own = hydrant.client()
        for batch in batches[part : part + 30]:
            put(own, stream, *batch)

    def flush_often(_: int) -> list[int]:
        return [flush(hydrant, stream, "--timeout", "20").returncode for _ in range(4)]

    for part in (0, 30):
        with ThreadPoolExecutor(4) as pool:
            flushes = [pool.submit(flush_often, number) for number in range(3)]
            pool.submit(produce, part).result()
            if part == 0:
                hydrant.sigkill()
                hydrant.start()
                continue  # A flush that begins while nobody listens fails.
            assert [each.result() for each in flushes] == [[0] * 4] * 3
    flushed(hydrant, stream)
    expected = sorted(record for batch in batches for record in batch)
    for each in (bucket, copies):
        found = b"".join(each.contents()).splitlines(keepends=True)
        assert sorted(found) == expected
    assert flushed(hydrant, stream)["records"] == 0


# MARK: Errors


def test_a_stream_that_is_not_there_is_an_error(hydrant):
    done = flush(hydrant, "nobody")
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.startswith(b"hydrant: ResourceNotFoundException: ")


def test_records_that_are_not_delivered_at_all_are_an_error(start_hydrant):
    hydrant = start_hydrant("--accept-undeliverable")
    client = hydrant.client()
    members = {"DataFormatConversionConfiguration": {"Enabled": True}}
    hints = {"SizeInMBs": 64, "IntervalInSeconds": 0}
    stream = create_stream(client, "arn:aws:s3:::bucket", BufferingHints=hints, **members)
    put(client, stream, b"record")
    done = flush(hydrant, stream)
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.startswith(b"hydrant: InvalidArgumentException: ")


def test_nobody_listening_is_an_error(hydrant):
    url = f"http://127.0.0.1:{free_port()}"
    done = flush(hydrant, "any", "--endpoint-url", url, "--timeout", "1")
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.startswith(b"hydrant: ")


@pytest.mark.parametrize(
    "arguments",
    [(), ("a", "b"), ("a", "--timeout", "soon"), ("a", "--timeout=-1"), ("a", "--timeout", "nan")],
    ids=" ".join,
)
def test_wrong_arguments_are_refused(hydrant, arguments):
    done = run_hydrant(hydrant, "flush", *arguments)
    assert done.returncode == 64
    assert b"Usage" in done.stderr


# MARK: Keys


OPERATOR = Key("operator", "operator-secret", allow=EVERYTHING)
PRODUCER = Key("producer", "producer-secret", allow=(may("*"),))
FLUSHER = Key(
    "flusher",
    "flusher-secret",
    allow=({"actions": ["hydrant:FlushDeliveryStream"], "streams": ["mine-*"]},),
)


def test_a_key_needs_the_action_for_the_stream(start_hydrant, tmp_path):
    """All of AWS's own actions are not enough."""
    keys = write_keys(tmp_path / "keys.json", OPERATOR, PRODUCER, FLUSHER)
    hydrant = start_hydrant("--credentials", str(keys))
    names = ("mine-1", "yours-1")
    bucket = fresh_bucket(hydrant)
    for name in names:
        create_stream(hydrant.client(OPERATOR), bucket.arn, name=name, BufferingHints=LONG)
        put(hydrant.client(PRODUCER), name, b"record")
    for key, name in ((PRODUCER, "mine-1"), (FLUSHER, "yours-1")):
        done = flush(hydrant, name, key=key)
        assert (done.returncode, done.stdout) == (1, b"")
        assert done.stderr.startswith(b"hydrant: AccessDeniedException: ")
        assert b"hydrant:FlushDeliveryStream" in done.stderr
    done = flush(hydrant, names[0])
    assert done.stderr.startswith(b"hydrant: MissingAuthenticationTokenException: ")
    assert bucket.keys() == []
    for key, name in ((FLUSHER, "mine-1"), (OPERATOR, "yours-1")):
        assert flush(hydrant, name, key=key).returncode == 0
    assert bucket.contents() == [b"record"] * 2
