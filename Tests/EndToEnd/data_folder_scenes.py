"""The streams of a data folder for later versions: each is left in a state of its own by a kill.

A scene brings a stream into its state. All are there at the same time, when the server is killed.
"""

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from bulk_replies import BUSY, ONLY_CREATE, Refusal, answer, refuse
from commands import run_hydrant
from data_api import BATCH, Call, Database, Fault, error, hang_when_taken, raw
from data_folders import (
    DATA,
    PROGRAM,
    UPPER,
    Destinations,
    Documents,
    Expected,
    Manifest,
    StreamFolder,
    Warehouse,
)
from endpoint_streams import http_destination, splunk_destination
from firehose_replies import refusal
from master_keys import MANAGED, SSE
from processors import APPEND_DELIMITER, backup, field, kpl_frame
from redshift_streams import create_redshift, jdbc
from search_streams import ELASTICSEARCH, OPENSEARCH
from server import Hydrant
from splunk_receiver import EVENT, RAW, Token
from splunk_receiver import says as hec_says
from streams import AT_ONCE, ROLE_ARN, destination, put
from transform_programs import Programs
from transforms import client_of, lambda_arn, lambda_processor, log_lines, processing
from waiting import wait_until

LATER = {"SizeInMBs": 5, "IntervalInSeconds": 900}
"""A buffer that waits until it is flushed, or has grown old in an archive."""

PATIENCE = {"DurationInSeconds": 7_200}

NOTHING = {"DurationInSeconds": 0}
"""No time for a second attempt."""

REGION_OF_CLUSTERS = "eu-west-1"

REFUSED = Refusal(400, "mapper_parsing_exception", "the test refuses this document")

SMALL = "/small"
"""The path of a search server that takes requests of a megabyte at the most."""

KEPT = {"failures", "kept"}
"""What a buffer has whose failed records are kept: entries of version 2 have the objects in files,
those of version 3 have what the objects are made of."""

PROCESSING_FAILED = "processing-failed"
"""A type of failed records."""

HANGS_AT_A_Y = f"""
{UPPER}
upper = handle

def handle(event):
    if any(content(each) == b"y\\n" for each in event["records"]):
        trace(hangs=True)
        time.sleep(600)
    return upper(event)
"""

PARTS = 10_000
"""Of an aggregated record: three of them are transformed at once, and no more."""


@dataclass
class Scene:
    """A stream on its way into a state."""

    stream: str
    expected: Expected
    is_there: Callable[[StreamFolder], bool]
    """Whether the state is there, by what is on disk."""
    complete: Callable[[StreamFolder], None] = lambda folder: None
    """Adds to what is expected what is known only by what is on disk."""


def arn(bucket: str) -> str:
    """A bucket's ARN."""
    return f"arn:aws:s3:::{bucket}"


def text(data: bytes) -> str:
    """Records as a manifest has them."""
    return data.decode("latin-1")


def is_plain(entry: dict) -> bool:
    """Whether a buffer has a key and no more: nothing is known of its delivery."""
    return not {"progress", *KEPT, "isSettled", "load"} & entry.keys()


def aggregate(part: bytes) -> bytes:
    """A record of the Kinesis Producer Library of equal parts."""
    return kpl_frame(field(3, field(3, part)) * PARTS)


class Stage:
    """A server in front of stand-ins, and all scenes.

    Each bucket is its stream's own, and has its name; those of backups have `-copies` behind it.
    """

    def __init__(self, folder: Path, hydrant: Hydrant, places: Destinations, programs: Programs):
        self.folder = folder
        self.hydrant = hydrant
        self.places = places
        self.programs = programs
        self.client = client_of(hydrant)
        self.away: set[str] = set()
        """Buckets that take nothing."""
        self.databases: dict[str, Database] = {}
        self.held: set[bytes] = set()
        """Objects that are not taken, by what is in them."""
        places.buckets.is_away = lambda bucket, body: bucket in self.away or body in self.held

    def all(self) -> list[Scene]:
        """Plays all scenes until their states are there."""
        scenes = [
            self.backlog(),
            self.waiting(),
            self.formatted(),
            self.out_of_order(),
            self.search_progress(),
            self.search_kept(),
            self.search_waiting(),
            self.http_waiting(),
            self.http_kept(),
            self.splunk_waiting(),
            self.splunk_kept(),
            self.encrypted_backlog(),
            self.encrypted_waiting(),
            self.encrypted_search_kept(),
            self.encrypted_outcomes(),
            self.transformed_search_kept(),
            self.half_transformed(),
            self.load_taken(),
            self.load_lost(),
            self.load_refused(),
        ]
        for scene in scenes:
            what = f"the state of {scene.stream}"
            wait_until(lambda each=scene: each.is_there(self.folder_of(each)), what)
        # The load that is refused has its state only between its attempts.
        wait_until(
            lambda: self.is_refused_just_now and not self.missing(scenes), "all states at once"
        )
        return scenes

    def missing(self, scenes: list[Scene]) -> list[str]:
        """The streams that are not in their states."""
        return [each.stream for each in scenes if not each.is_there(self.folder_of(each))]

    def manifest(self, scenes: list[Scene]) -> dict:
        """What must come of a folder that was left behind."""
        for scene in scenes:
            scene.complete(self.folder_of(scene))
        version = run_hydrant(None, "--version").stdout.decode().strip()
        # The part of the batch at which the transform hung, and what came behind the batch.
        streams = {each.stream: each.expected for each in scenes}
        return asdict(Manifest(version, 2 * PARTS, streams))

    def folder_of(self, scene: Scene) -> StreamFolder:
        """What is on disk of a scene's stream."""
        return StreamFolder(self.folder / DATA, scene.stream)

    # MARK: Objects

    def backlog(self) -> Scene:
        """Records behind a checkpoint, in no buffer."""
        stream = "backlog"
        self.create_objects(stream, BufferingHints=LATER)
        put(self.client, stream, b"delivered before\n")
        self.flush(stream)
        records = [f"waiting {number}\n".encode() for number in range(1_000)]
        put(self.client, stream, *records[:500])
        put(self.client, stream, *records[500:])
        expected = Expected("a backlog", contents={stream: text(b"".join(records))})
        return Scene(
            stream,
            expected,
            lambda folder: (
                folder.entries() == []
                and len(folder.frames()) == 3
                and self.places.buckets.content(stream) == b"delivered before\n"
            ),
        )

    def waiting(self) -> Scene:
        """As many buffers as may be under way, and a record behind them."""
        stream = "waiting"
        self.away.add(stream)
        self.create_objects(stream)
        records = [f"waiting {number}\n".encode() for number in range(5)]
        self.put_one_by_one(stream, records, buffers=4)
        expected = Expected("buffers that nothing is known of, and a backlog")
        return self.waiting_scene(stream, expected, records, 4)

    def formatted(self) -> Scene:
        """A compressed buffer below a prefix with expressions."""
        stream = "formatted"
        self.away.add(stream)
        self.create_objects(
            stream,
            CompressionFormat="GZIP",
            Prefix="day=!{timestamp:yyyy-MM-dd}/!{firehose:random-string}/",
            ErrorOutputPrefix="errors/!{firehose:error-output-type}/",
            CustomTimeZone="Asia/Tokyo",
            FileExtension=".txt.gz",
            **processing(APPEND_DELIMITER),
        )
        records = [b"one", b"two", b"three"]
        put(self.client, stream, *records)
        expected = Expected("a buffer with GZIP, expressions and delimiters")
        scene = self.waiting_scene(stream, expected, [b"\n".join(records)], 1)
        is_waiting = scene.is_there
        scene.is_there = lambda folder: (
            is_waiting(folder)
            and folder.entries()[0]["plan"]["compression"] == "GZIP"
            and folder.entries()[0]["plan"]["key"].startswith("day=")
        )
        return scene

    def out_of_order(self) -> Scene:
        """A buffer that is settled and waits for the one before it, which is not."""
        stream = "out-of-order"
        self.held.add(b"the first")
        self.create_objects(stream)
        self.put_one_by_one(stream, [b"the first", b"the second"], buffers=2)
        expected = Expected(
            "a settled buffer behind one that is not", contents={stream: "the first"}
        )
        return Scene(
            stream,
            expected,
            lambda folder: [each.get("isSettled") for each in folder.entries()] == [None, True],
            lambda folder: self.expect_objects(expected, folder.entries()[:1], [b"the first"]),
        )

    def waiting_scene(
        self, stream: str, expected: Expected, contents: list[bytes], buffers: int
    ) -> Scene:
        """A stream whose buffers nothing is known of; behind them are records in none."""
        expected.contents = {stream: text(b"".join(contents))}
        return Scene(
            stream,
            expected,
            lambda folder: (
                len(folder.entries()) == buffers
                and all(map(is_plain, folder.entries()))
                and self.was_tried(stream)
            ),
            lambda folder: self.expect_objects(expected, folder.entries(), contents),
        )

    def expect_objects(
        self, expected: Expected, entries: list[dict], contents: list[bytes]
    ) -> None:
        """Has the keys of buffers expected."""
        for entry, content in zip(entries, contents, strict=False):
            plan = entry["plan"]
            expected.objects.setdefault(plan["bucket"], {})[plan["key"]] = text(content)

    # MARK: Search servers

    def search_progress(self) -> Scene:
        """A buffer of two requests: all but two documents of the first were taken."""
        stream = "search-progress"
        self.create_search(stream, path=SMALL)
        documents = [json.dumps({"n": n, "text": "x" * 80_000}).encode() for n in range(24)]
        late = {documents[3], documents[7]}
        first = refuse(lambda item: BUSY if item.document in late else None)
        self.places.search.plans[SMALL] = lambda _: (
            answer(503) if len(self.places.search.requests_at(SMALL)) > 1 else first
        )
        put(self.client, stream, *documents)
        expected = Expected("a buffer of which a part is delivered", contents={stream: ""})

        def is_there(folder: StreamFolder) -> bool:
            progress = [each.get("progress") for each in folder.entries()]
            return (
                len(progress) == 1
                and bool(progress[0])
                and len(progress[0]["open"]) == 2
                and progress[0]["next"] < len(documents)
            )

        def complete(_: StreamFolder) -> None:
            sent = self.places.search.requests_at(SMALL)[0].items
            texts = {each.id: text(each.document) for each in sent}
            open_ids = {each.id for each in sent if each.document in late}
            expected.documents = Documents(
                stream,
                held={name: each for name, each in texts.items() if name not in open_ids},
                known={name: texts[name] for name in open_ids},
                others=[text(each) for each in documents[len(sent) :]],
            )
            assert set(self.places.osmem.documents(stream)) == set(expected.documents.held)

        return Scene(stream, expected, is_there, complete)

    def search_kept(self) -> Scene:
        """Documents that were refused are kept, for their bucket takes nothing."""
        stream = "search-kept"
        return self.search_kept_scene(stream, self.create_search)

    def encrypted_search_kept(self) -> Scene:
        """As `search_kept`, encrypted."""
        stream = "encrypted-search-kept"
        scene = self.search_kept_scene(stream, self.create_search, **{SSE: MANAGED})
        is_kept = scene.is_there
        scene.is_there = lambda folder: (
            is_kept(folder)
            and all(is_encrypted for is_encrypted, _ in folder.frames())
            and [each.suffix for each in folder.kept(0)] == [".sealed"]
        )
        return scene

    def search_kept_scene(self, stream: str, create: Callable[..., None], **extra) -> Scene:
        """Refuses every second document."""
        path = f"/{stream}"
        self.away.add(stream)
        self.places.search.plans[path] = lambda _: refuse(
            lambda item: REFUSED if json.loads(item.document)["n"] % 2 else None
        )
        create(stream, path=path, **extra)
        put(self.client, stream, *[json.dumps({"n": number}).encode() for number in range(10)])
        expected = Expected("kept failures", contents={stream: ""})

        def complete(folder: StreamFolder) -> None:
            self.expect_kept(expected, folder)
            held = self.places.osmem.documents(stream)
            expected.documents = Documents(
                stream, held={name: json.dumps(each) for name, each in held.items()}
            )
            assert len(held) == 5

        return Scene(stream, expected, self.has_kept(stream), complete)

    def search_waiting(self) -> Scene:
        """A buffer that was never answered, for an index of its day."""
        stream, path = "search-waiting", "/waiting"
        self.places.search.plans[path] = lambda _: answer(503)
        self.create_search(stream, ELASTICSEARCH, path=path, IndexRotationPeriod="OneDay")
        put(self.client, stream, *[json.dumps({"n": number}).encode() for number in range(5)])
        expected = Expected("a buffer that was not answered", contents={stream: ""})

        def complete(_: StreamFolder) -> None:
            items = self.places.search.requests_at(path)[0].items
            (index,) = {each.index for each in items}
            assert index.startswith(f"{stream}-20")
            known = {each.id: text(each.document) for each in items}
            expected.documents = Documents(index, known=known)

        return Scene(
            stream,
            expected,
            lambda folder: (
                len(folder.entries()) == 1
                and is_plain(folder.entries()[0])
                and len(self.places.search.requests_at(path)) > 0
            ),
            complete,
        )

    # MARK: Endpoints

    def http_waiting(self) -> Scene:
        """A buffer that was never answered, and its backup, whose bucket takes nothing."""
        stream = "http-waiting"
        records = [f"record {number} of an endpoint\n".encode() for number in range(20)]
        expected = self.create_http(stream, records, S3BackupMode="AllData")
        self.away.add(stream)
        put(self.client, stream, *records)
        expected.state = "a buffer that was not answered, and its backup"
        expected.contents = {stream: text(b"".join(records))}
        expected.requests = [text(each) for each in records]
        return Scene(
            stream,
            expected,
            lambda folder: (
                [is_plain(each) for each in folder.entries()] == [True]
                and [is_plain(each) for each in folder.entries("backup")] == [True]
                and self.was_tried(stream)
            ),
            lambda folder: self.expect_objects(
                expected, folder.entries("backup"), [b"".join(records)]
            ),
        )

    def http_kept(self) -> Scene:
        """Records that were given up are kept, for their bucket takes nothing."""
        stream = "http-kept"
        records = [b"a record that was given up\n", b"another one\n"]
        self.away.add(stream)
        expected = self.create_http(stream, records, RetryOptions=NOTHING)
        put(self.client, stream, *records)
        return Scene(
            stream,
            expected,
            self.has_kept(stream),
            lambda folder: self.expect_kept(expected, folder),
        )

    def create_http(self, stream: str, records: list[bytes], **members) -> Expected:
        """Creates a stream to a place that answers 503."""
        access_key = f"key-of-{stream}"
        place = self.places.http.place(stream, access_key=access_key, plan=lambda _: refusal(503))
        given = {"RetryOptions": PATIENCE, "S3Configuration": destination(arn(stream))} | members
        self.create(stream, "HttpEndpoint", http_destination(place, arn(stream), **given))
        return Expected("kept failures", {stream: ""}, requests=[], access_key=access_key)

    def splunk_waiting(self) -> Scene:
        """A buffer that was never acknowledged."""
        stream = "splunk-waiting"
        records = [f"a line {number} of a log\n".encode() for number in range(20)]
        expected, token = self.create_splunk(stream, "11111111-2222-4333-8444-000000000001", RAW)
        put(self.client, stream, *records)
        expected.state = "a buffer that was not answered"
        expected.body = text(b"".join(records))
        return Scene(
            stream,
            expected,
            lambda folder: (
                [is_plain(each) for each in folder.entries()] == [True] and bool(token.posts)
            ),
        )

    def splunk_kept(self) -> Scene:
        """Events that were given up are kept, for their bucket takes nothing."""
        stream = "splunk-kept"
        self.away.add(stream)
        expected, _ = self.create_splunk(
            stream, "11111111-2222-4333-8444-000000000002", EVENT, RetryOptions=NOTHING
        )
        put(self.client, stream, *[b'{"event":"given up %d"}' % number for number in range(3)])
        return Scene(
            stream,
            expected,
            self.has_kept(stream),
            lambda folder: self.expect_kept(expected, folder),
        )

    def create_splunk(
        self, stream: str, value: str, kind: str, **members
    ) -> tuple[Expected, Token]:
        """Creates a stream to a collector that is busy."""
        made = self.places.splunk.token(value, kind=kind, plan=lambda _: hec_says(9))
        given = {"RetryOptions": PATIENCE} | members
        whole = splunk_destination(self.places.splunk, made, arn(stream), **given)
        self.create(stream, "Splunk", whole)
        expected = Expected("kept failures", {stream: ""}, body="", token=value, token_kind=kind)
        return expected, made

    # MARK: Warehouses

    def load_taken(self) -> Scene:
        """A COPY that was run and not answered: the ledger has it."""
        return self.load_scene(
            "load-taken",
            lambda call: hang_when_taken if call.operation == BATCH else None,
            lambda load: load["isOpen"] and load["attempts"] == 1,
        )

    def load_lost(self) -> Scene:
        """A COPY that was asked for twice and never came to the warehouse, as nobody knows."""

        def fault(call: Call) -> Fault | None:
            if call.operation != BATCH:
                return None
            return (
                raw(200, b'{"Id":') if call.number == 0 else lambda exchange, _: exchange.wait(600)
            )

        return self.load_scene(
            "load-lost", fault, lambda load: load["isOpen"] and load["attempts"] == 2
        )

    def load_refused(self) -> Scene:
        """A COPY that was refused, and waits for its next attempt."""
        refused = error(400, "ActiveStatementsExceededException", "too many active statements")
        return self.load_scene(
            "load-refused",
            lambda call: refused if call.operation == BATCH else None,
            lambda load: not load["isOpen"] and load["attempts"] >= 3,
        )

    @property
    def is_refused_just_now(self) -> bool:
        """Whether the next attempt of that load is seconds away."""
        last = self.databases["load-refused"].calls_of(BATCH)[-1]
        return time.monotonic() - last.when < 1

    def load_scene(
        self, stream: str, fault: Callable[[Call], Fault | None], is_so: Callable[[dict], bool]
    ) -> Scene:
        """A stored object whose COPY has come so far."""
        name = stream.replace("-", "_")
        database = self.places.warehouses.database(name, region=REGION_OF_CLUSTERS, fault=fault)
        self.databases[stream] = database
        url = jdbc(database=name)
        create_redshift(self.client, arn(stream), name=stream, ClusterJDBCURL=url, retry=7_200)
        put(self.client, stream, b"1|one\n", b"2|two\n")
        expected = Expected("a stored object, and a COPY that was begun", {stream: ""})

        def is_there(folder: StreamFolder) -> bool:
            loads = [each.get("load") for each in folder.entries()]
            return len(loads) == 1 and loads[0] is not None and is_so(loads[0])

        def complete(folder: StreamFolder) -> None:
            (entry,) = folder.entries()
            plan = entry["copy"]["manifest"]
            manifest = f"s3://{plan['bucket']}/{plan['key']}"
            tokens = [each.body["ClientToken"] for each in database.calls_of(BATCH)]
            assert len(tokens) == entry["load"]["attempts"]
            keys = self.places.buckets.objects(stream)
            assert sorted(keys) == sorted([plan["key"], entry["plan"]["key"]])
            expected.warehouse = Warehouse(
                name,
                manifest,
                is_loaded=manifest in database.ledger,
                is_open=entry["load"]["isOpen"],
                tokens=sorted(set(tokens)),
            )
            assert database.loaded == ({manifest: 1} if manifest in database.ledger else {})

        return Scene(stream, expected, is_there, complete)

    # MARK: Encrypted

    def encrypted_backlog(self) -> Scene:
        """Records in the open, and encrypted ones behind them."""
        stream = "encrypted-backlog"
        self.create_objects(stream, BufferingHints=LATER)
        put(self.client, stream, b"in the open\n")
        self.client.start_delivery_stream_encryption(
            DeliveryStreamName=stream, DeliveryStreamEncryptionConfigurationInput=MANAGED
        )
        put(self.client, stream, *[b"encrypted %d\n" % number for number in range(100)])
        lines = [b"in the open\n", *[b"encrypted %d\n" % number for number in range(100)]]
        expected = Expected("an encrypted backlog", contents={stream: text(b"".join(lines))})
        return Scene(
            stream,
            expected,
            lambda folder: (
                folder.entries() == []
                and [is_encrypted for is_encrypted, _ in folder.frames()] == [False, True]
            ),
        )

    def encrypted_waiting(self) -> Scene:
        """As `waiting`, encrypted and compressed."""
        stream = "encrypted-waiting"
        self.away.add(stream)
        self.create_objects(stream, {SSE: MANAGED}, CompressionFormat="GZIP")
        records = [f"encrypted {number}\n".encode() for number in range(2)]
        self.put_one_by_one(stream, records, buffers=2)
        expected = Expected("encrypted buffers that nothing is known of")
        scene = self.waiting_scene(stream, expected, records, 2)
        is_waiting = scene.is_there
        scene.is_there = lambda folder: (
            is_waiting(folder) and all(is_encrypted for is_encrypted, _ in folder.frames())
        )
        return scene

    def encrypted_outcomes(self) -> Scene:
        """Transformed records in no buffer, encrypted."""
        stream = "encrypted-outcomes"
        self.create_objects(
            stream, {SSE: MANAGED}, BufferingHints=LATER, **self.transform(interval=0)
        )
        put(self.client, stream, b"keep one\n", b"drop\n", b"keep two\n")
        self.wait_until_transformed(stream)
        expected = Expected(
            "encrypted outcomes", {stream: "KEEP ONE\nKEEP TWO\n"}, is_transformed=True
        )
        return Scene(
            stream,
            expected,
            lambda folder: (
                folder.entries() == folder.entries("outcome") == []
                and [is_encrypted for is_encrypted, _ in folder.frames("outcome")] == [True]
            ),
        )

    # MARK: Transformed

    def transformed_search_kept(self) -> Scene:
        """A failed record and a document that was refused are both kept."""
        stream, path = "transformed-search-kept", "/transformed"
        self.away.add(stream)
        self.places.search.plans[path] = lambda _: refuse(
            lambda item: ONLY_CREATE if b"REFUSED" in item.document else None
        )
        self.create_search(stream, path=path, **self.transform(interval=0))
        put(self.client, stream, b'{"n":"kept"}', b'fail {"n":1}', b'{"n":"refused"}')
        expected = Expected("kept failures of two kinds", {stream: ""}, is_transformed=True)

        def complete(folder: StreamFolder) -> None:
            self.expect_kept(expected, folder, "outcome", PROCESSING_FAILED)
            held = self.places.osmem.documents(stream)
            assert [list(each) for each in held.values()] == [["N"]]
            documents = {name: json.dumps(each) for name, each in held.items()}
            expected.documents = Documents(stream, held=documents)

        return Scene(stream, expected, self.has_kept(stream, "outcome"), complete)

    def half_transformed(self) -> Scene:
        """A batch of four of which three are transformed, one behind it, and one delivered before.

        Their outcomes are in buffers, as are the records as they were put, for both buckets take
        nothing.
        """
        stream = "half-transformed"
        copies = f"{stream}-copies"
        self.away |= {stream, copies}
        self.create_objects(
            stream,
            **self.transform(size=0.25, interval=900),
            **backup(arn(copies), BufferingHints=AT_ONCE),
        )
        first = [b"keep\n", b"drop\n", b"fail\n"]
        put(self.client, stream, *first)
        self.flush(stream, "--no-wait")
        self.wait_until_transformed(stream)
        folder = StreamFolder(self.folder / DATA, stream)
        wait_until(lambda: folder.entries("outcome"), "a buffer of outcomes")
        aggregates = [aggregate(part) for part in (b"v\n", b"w\n", b"x\n", b"y\n", b"z\n")]
        for each in aggregates:
            put(self.client, stream, each)
        self.programs.wait_for_traces(PROGRAM, "hangs")
        outcomes = [b"KEEP\n", b"V\n" * PARTS + b"W\n" * PARTS + b"X\n" * PARTS]
        rest = b"Y\n" * PARTS + b"Z\n" * PARTS
        expected = Expected(
            "a batch of which a part is transformed, buffers of outcomes, and a backup",
            {
                stream: text(b"".join(outcomes) + rest),
                copies: text(b"".join(first + aggregates)),
            },
            is_transformed=True,
        )

        def is_there(folder: StreamFolder) -> bool:
            bodies = {
                body for bucket, _, body in self.places.buckets.turned_away if bucket == stream
            }
            return (
                len(folder.entries("outcome")) == 2
                and all(map(is_plain, folder.entries("outcome")))
                and bool(folder.entries("backup"))
                and bodies >= set(outcomes)
                and self.is_half_done(folder)
            )

        def complete(folder: StreamFolder) -> None:
            entries = folder.entries("outcome")
            self.expect_objects(expected, entries, outcomes)
            plan = entries[0]["failurePlans"][PROCESSING_FAILED]
            expected.objects[stream][plan["key"]] = None
            copied = {
                key: text(body)
                for bucket, key, body in self.places.buckets.turned_away
                if bucket == copies
            }
            keys = [each["plan"]["key"] for each in folder.entries("backup")]
            expected.objects[copies] = {key: copied.get(key) for key in keys}

        return Scene(stream, expected, is_there, complete)

    def is_half_done(self, folder: StreamFolder) -> bool:
        """Whether the last frame of outcomes says that its batch goes on behind it."""
        _, payload = folder.frames("outcome")[-1]
        size = int.from_bytes(payload[:4], "little")
        record = payload[4 : 4 + size]
        # Behind the mark of a progress record, and two places in the log.
        return record[0] == 0 and record[-8] & 1 == 0

    def transform(self, *, size: float = 1, interval: int) -> dict:
        """The members that have records go through the program."""
        parameters = {"BufferSizeInMBs": size, "BufferIntervalInSeconds": interval}
        return processing(lambda_processor(lambda_arn(PROGRAM), **parameters))

    def wait_until_transformed(self, stream: str) -> None:
        """Waits until a batch is transformed."""
        wait_until(lambda: log_lines(self.hydrant, "transformed", stream=stream), stream)

    # MARK: Kept failures

    def has_kept(self, stream: str, role: str = "") -> Callable[[StreamFolder], bool]:
        """Whether failed records of one buffer are kept, and their bucket was tried."""

        def is_there(folder: StreamFolder) -> bool:
            entries = folder.entries(role)
            return (
                len(entries) == 1
                and bool(KEPT & entries[0].keys())
                and len(folder.kept(0, role)) > 0
                and self.was_tried(stream)
            )

        return is_there

    def expect_kept(
        self, expected: Expected, folder: StreamFolder, role: str = "", *types: str
    ) -> None:
        """Has the objects of what is kept expected: the destination's, and those of other types.

        Each has what was offered to its bucket; one that was not, has what is in a file.
        """
        (entry,) = folder.entries(role)
        offered = {key: body for _, key, body in self.places.buckets.turned_away}
        files = {path.name: path for path in folder.kept(0, role)}
        parts = entry.get("failures", {}).get("parts", [])
        lines = {each["type"]: files[each["name"]] for each in parts}
        own = next((each for each in lines if each not in types), "")
        plans = {own: entry["plan"]} | {each: entry["failurePlans"][each] for each in types}
        assert not lines or lines.keys() == plans.keys(), lines
        for type, plan in plans.items():
            content = offered.get(plan["key"])
            if content is None and type in lines:
                content = lines[type].read_bytes()
            objects = expected.objects.setdefault(plan["bucket"], {})
            objects[plan["key"]] = None if content is None else text(content)

    # MARK: Streams

    def create(self, stream: str, kind: str, members: dict, extra: dict | None = None) -> None:
        """Creates a stream."""
        self.client.create_delivery_stream(
            DeliveryStreamName=stream,
            **{f"{kind}DestinationConfiguration": members},
            **extra or {},
        )

    def create_objects(self, stream: str, extra: dict | None = None, **members) -> None:
        """Creates a stream into the bucket of its name."""
        self.create(stream, "ExtendedS3", destination(arn(stream), **members), extra)

    def create_search(self, stream: str, kind: str = OPENSEARCH, *, path: str, **members) -> None:
        """Creates a stream to the index of its name."""
        extra = {SSE: members.pop(SSE)} if SSE in members else {}
        given = {
            "RoleARN": ROLE_ARN,
            "ClusterEndpoint": f"{self.places.search.endpoint}{path}",
            "IndexName": stream,
            "IndexRotationPeriod": "NoRotation",
            "BufferingHints": AT_ONCE,
            "RetryOptions": PATIENCE,
            "S3Configuration": destination(arn(stream)),
        }
        self.create(stream, kind, given | members, extra)

    def put_one_by_one(self, stream: str, records: list[bytes], *, buffers: int) -> None:
        """Puts records of which the first come into buffers of their own."""
        folder = StreamFolder(self.folder / DATA, stream)
        for number, record in enumerate(records, 1):
            put(self.client, stream, record)
            what = f"a buffer of {stream}"
            least = min(number, buffers)
            wait_until(lambda least=least: len(folder.entries()) >= least, what)

    def flush(self, stream: str, *options: str) -> None:
        """Has all that was put delivered now."""
        done = run_hydrant(self.hydrant, "flush", stream, *options)
        assert done.returncode == 0, done.stderr

    def was_tried(self, bucket: str) -> bool:
        """Whether a bucket has refused an object."""
        return any(each == bucket for each, _, _ in self.places.buckets.turned_away)
