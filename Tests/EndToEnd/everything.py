"""A load with everything on, and a judge of what became of it: the scene of kills, power cuts and faults.

Streams of all kinds get numbered records: objects, encrypted, transformed with a backup, documents of which
the cluster takes a part; others are created, updated and deleted meanwhile. `Ledger` knows what was
acknowledged, and when; `Judge` looks where every record is.
"""

import base64
import json
import os
import random
import re
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from buckets import FolderBucket, ObjectKey
from bulk_faults import BulkFaults, Exchange, Item
from master_keys import MANAGED, SSE, fresh_master_key, write_master_keys
from server import Hydrant
from streams import ROLE_ARN, destination
from transform_programs import Programs
from transforms import lambda_arn, lambda_processor, processing
from waiting import WaitedTooLong, wait_until
from wire import Connection, put_body, request

RECORD = re.compile(rb'\{"s":"([\w-]+)","n":(\d+),')

PLAIN, SEALED, TRANSFORMED, SEARCHED = "plain", "sealed", "transformed", "searched"

LOADED = (PLAIN, SEALED, TRANSFORMED, SEARCHED)

HINTS = {"SizeInMBs": 1, "IntervalInSeconds": 0}

FAILED_FOLDERS = ("processing_failed/", "processing-failed/", "AmazonOpenSearchService-failed/")

PROGRAM = """
import re
@each
def handle(record):
    data = content(record)
    kind = int(re.search(rb'"n":(\\d+)', data)[1]) % 10
    if kind == 3:
        return answer(record, result="ProcessingFailed")
    return answer(record, result="Dropped") if kind == 7 else answer(record, data)
"""
"""Fails at some records, drops others, and leaves the rest as they are."""


def is_failing(number: int) -> bool:
    return number % 10 == 3


def is_dropped(number: int) -> bool:
    return number % 10 == 7


def is_refused(number: int) -> bool:
    """Which documents the cluster never takes."""
    return number % 25 == 9


# MARK: The cluster


class Cluster(BulkFaults):
    """Takes documents: refuses some for good, others for now, and loses an answer now and then."""

    def __init__(self, seed: int):
        super().__init__()
        self.plan = lambda _: self._take_all
        self.look = self._tell
        self.documents: dict[str, tuple[float, str, int]] = {}
        """By id: when it came first, and whose record it is."""
        self.is_kind = False
        """Whether it takes at once whatever it takes at all."""
        self._chance = random.Random(seed)
        self._guard = threading.Lock()

    def restore(self, documents: dict[str, tuple[float, str, int]], until: float) -> None:
        """Has what it had then."""
        with self._guard:
            self.documents = {id: each for id, each in documents.items() if each[0] <= until}

    def _tell(self, exchange: Exchange) -> None:
        """Which documents are there."""
        asked = [each["_id"] for each in json.loads(exchange.bulk.body)["docs"]]
        docs = [{"_id": id, "found": id in self.documents} for id in asked]
        exchange.answer(200, json.dumps({"docs": docs}).encode())

    def _take_all(self, exchange: Exchange) -> None:
        with self._guard:
            items = [{"index": self._take(each)} for each in exchange.bulk.items]
            is_lost = not self.is_kind and self._chance.random() < 0.05
        # Of a long load, nobody looks at all requests.
        self.requests.clear()
        if is_lost:
            exchange.close()
        else:
            exchange.answer(200, json.dumps({"errors": True, "items": items}).encode())

    def _take(self, item: Item) -> dict:
        stream, number = parsed(item.document)
        if is_refused(number):
            return {"status": 400, "error": {"type": "mapper_parsing_exception", "reason": "no"}}
        if not self.is_kind and self._chance.random() < 0.05:
            return {"status": 429, "error": {"type": "rejected", "reason": "busy"}}
        self.documents.setdefault(item.id, (time.monotonic(), stream, number))
        return {"status": 201}


def parsed(data: bytes) -> tuple[str, int]:
    """Whose record it is, and its number."""
    match = RECORD.match(data)
    assert match, data[:100]
    return match[1].decode(), int(match[2])


def seeds() -> random.Random:
    """What a run chooses by; HYDRANT_SEED repeats it."""
    seed = int(os.environ.get("HYDRANT_SEED", random.randrange(2**32)))
    print(f"HYDRANT_SEED={seed}")
    return random.Random(seed)


# MARK: What was put


@dataclass
class Change:
    """A call that changed a stream's configuration."""

    stream: str
    what: str
    """`create`, `update` or `delete`."""
    size: int
    """SizeInMBs afterwards."""
    issued: float
    answered: float | None = None
    """None where there was no answer."""


@dataclass
class Ledger:
    """What was acknowledged, and when, by the monotonic clock."""

    puts: dict[str, list[tuple[float, list[int]]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    changes: list[Change] = field(default_factory=list)
    refused: list[tuple[float, str, str]] = field(default_factory=list)
    """Answers that were no success: when, which stream, what."""

    def acknowledged(self, stream: str, until: float) -> list[int]:
        return [
            number
            for when, numbers in list(self.puts[stream])
            if when <= until
            for number in numbers
        ]

    @property
    def count(self) -> int:
        return sum(len(numbers) for puts in self.puts.values() for _, numbers in puts)


class Wrong(AssertionError):
    """An answer that no server may give."""


class Load:
    """Puts records and changes streams until it is told to stop; outlives a server that goes away."""

    def __init__(self, hydrant: Hydrant, cluster: Cluster, seed: int, *, pause: float = 0.02):
        self.hydrant = hydrant
        self.ledger = Ledger()
        self._cluster = cluster
        self._seed = seed
        self._pause = pause
        self._awake = threading.Event()
        self._awake.set()
        self._is_over = threading.Event()
        self._numbers: Counter[str] = Counter()
        self._threads: list[threading.Thread] = []
        self.error: BaseException | None = None

    # MARK: Streams

    def create_streams(self, transform: str) -> None:
        """Makes the streams that records are put into, on a server that runs."""
        client = self.hydrant.client()

        def s3(name: str, **members) -> dict:
            return destination(f"arn:aws:s3:::{name}", BufferingHints=HINTS, **members)

        client.create_delivery_stream(
            DeliveryStreamName=PLAIN,
            ExtendedS3DestinationConfiguration=s3(PLAIN, CompressionFormat="GZIP"),
        )
        client.create_delivery_stream(
            DeliveryStreamName=SEALED,
            ExtendedS3DestinationConfiguration=s3(SEALED),
            **{SSE: MANAGED},
        )
        self._lambda = processing(
            lambda_processor(lambda_arn(transform), BufferSizeInMBs=0.2, BufferIntervalInSeconds=0)
        )
        client.create_delivery_stream(
            DeliveryStreamName=TRANSFORMED,
            ExtendedS3DestinationConfiguration=s3(
                TRANSFORMED,
                S3BackupMode="Enabled",
                S3BackupConfiguration=s3(f"{TRANSFORMED}-backup"),
                **self._lambda,
            ),
        )
        client.create_delivery_stream(
            DeliveryStreamName=SEARCHED,
            AmazonopensearchserviceDestinationConfiguration={
                "RoleARN": ROLE_ARN,
                "ClusterEndpoint": self._cluster.endpoint,
                "IndexName": "records",
                "IndexRotationPeriod": "NoRotation",
                "BufferingHints": HINTS,
                "RetryOptions": {"DurationInSeconds": 7200},
                "S3BackupMode": "FailedDocumentsOnly",
                "S3Configuration": s3(SEARCHED),
            },
        )

    # MARK: Threads

    def start(self, *, changes: bool = True) -> "Load":
        for place, stream in enumerate(LOADED):
            chance = random.Random(self._seed + place)
            self._run(lambda stream=stream, chance=chance: self._put(stream, chance))
        if changes:
            self._run(lambda: self._create_and_delete(random.Random(self._seed + 100)))
            self._run(lambda: self._update(random.Random(self._seed + 101)))
        return self

    def rest(self, seconds: float) -> None:
        """Puts nothing for a while: logs are idle then."""
        self._awake.clear()
        time.sleep(seconds)
        self._awake.set()

    def stop(self) -> None:
        """Ends all threads; fails with what ended one of them before."""
        self._is_over.set()
        self._awake.set()
        for each in self._threads:
            each.join(timeout=30)
        if self.error:
            raise self.error

    def _run(self, work: Callable[[], Iterator[Callable[[Connection], None]]]) -> None:
        def run() -> None:
            connection: Connection | None = None
            try:
                for step in work():
                    self._awake.wait()
                    if self._is_over.is_set():
                        return
                    try:
                        connection = connection or Connection(self.hydrant.port, timeout=10)
                        step(connection)
                    except TimeoutError:
                        self.ledger.refused.append((time.monotonic(), "", "no answer in time"))
                        connection = None
                    except (OSError, AssertionError, ValueError, IndexError, TypeError) as error:
                        # The server went away, or its answer did.
                        if isinstance(error, Wrong):
                            raise
                        connection = None
                        self._is_over.wait(0.05)
            except BaseException as error:
                self.error = error

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        self._threads.append(thread)

    def _records(self, stream: str, count: int, chance: random.Random) -> tuple[list[int], list]:
        numbers = [self._numbers[stream] + place for place in range(count)]
        self._numbers[stream] += count
        records = [
            json.dumps(
                {"s": stream, "n": number, "p": "x" * int(chance.paretovariate(0.8) * 20 % 3000)},
                separators=(",", ":"),
            ).encode()
            + (b"" if stream == SEARCHED else b"\n")
            for number in numbers
        ]
        return numbers, records

    def put(self, connection: Connection, stream: str, count: int, chance: random.Random) -> None:
        """Puts records with numbers that are new, and notes which were acknowledged."""
        numbers, records = self._records(stream, count, chance)
        answer = connection.exchange(request("PutRecordBatch", put_body(stream, *records)))
        now = time.monotonic()
        if answer.status != 200:
            self.ledger.refused.append((now, stream, answer.body.decode(errors="replace")))
            return
        results = answer.json["RequestResponses"]
        if len(results) != count:
            raise Wrong(f"{len(results)} answers to {count} records")
        taken = [n for n, each in zip(numbers, results, strict=True) if "RecordId" in each]
        self.ledger.puts[stream].append((now, taken))
        if len(taken) < count:
            self.ledger.refused.append((now, stream, str(results[-1])))

    def _put(self, stream: str, chance: random.Random) -> Iterator[Callable[[Connection], None]]:
        while True:
            count = chance.choice((1, 1, 3, 10, 40))
            yield lambda connection: self.put(connection, stream, count, chance)
            self._is_over.wait(chance.uniform(0, 2 * self._pause))

    def _change(
        self, connection: Connection, stream: str, what: str, size: int, call: str, body: dict
    ) -> bool:
        change = Change(stream, what, size, time.monotonic())
        self.ledger.changes.append(change)
        answer = connection.exchange(request(call, {"DeliveryStreamName": stream} | body))
        if answer.status == 200:
            change.answered = time.monotonic()
            return True
        self.ledger.refused.append((time.monotonic(), stream, answer.body.decode()))
        return False

    def _create_and_delete(
        self, chance: random.Random
    ) -> Iterator[Callable[[Connection], None]]:
        """Streams that are there for a while, with a few records each."""
        alive: list[str] = []
        number = 0

        def create(connection: Connection) -> None:
            name = f"brief-{self._seed % 10_000}-{number}"
            s3 = destination("arn:aws:s3:::brief", BufferingHints=HINTS)
            body = {"ExtendedS3DestinationConfiguration": s3}
            alive.append(name)
            self._change(connection, name, "create", 1, "CreateDeliveryStream", body)

        def delete(connection: Connection) -> None:
            name = alive.pop(0)
            self._change(connection, name, "delete", 0, "DeleteDeliveryStream", {})

        def update(connection: Connection) -> None:
            self._describe_and_update(connection, alive[-1], chance.randint(1, 128))

        while True:
            number += 1
            yield create
            for _ in range(chance.randint(0, 3)):
                yield lambda connection: self.put(connection, alive[-1], 3, chance)
            if chance.random() < 0.5:
                yield update
            if len(alive) > 3:
                yield delete
            self._is_over.wait(chance.uniform(0, 0.3))

    def _describe_and_update(self, connection: Connection, name: str, size: int) -> None:
        answer = connection.exchange(
            request("DescribeDeliveryStream", {"DeliveryStreamName": name})
        )
        if answer.status != 200:
            return
        found = answer.json["DeliveryStreamDescription"]
        body = {
            "CurrentDeliveryStreamVersionId": found["VersionId"],
            "DestinationId": found["Destinations"][0]["DestinationId"],
            "ExtendedS3DestinationUpdate": {
                "BufferingHints": {"SizeInMBs": size, "IntervalInSeconds": 0}
            },
        }
        self._change(connection, name, "update", size, "UpdateDestination", body)

    def _update(self, chance: random.Random) -> Iterator[Callable[[Connection], None]]:
        """Switches the transform and the encryption on and off."""

        def transform(connection: Connection, is_on: bool) -> None:
            answer = connection.exchange(
                request("DescribeDeliveryStream", {"DeliveryStreamName": TRANSFORMED})
            )
            found = answer.json["DeliveryStreamDescription"]
            configuration = dict(self._lambda["ProcessingConfiguration"]) | {"Enabled": is_on}
            connection.exchange(
                request(
                    "UpdateDestination",
                    {
                        "DeliveryStreamName": TRANSFORMED,
                        "CurrentDeliveryStreamVersionId": found["VersionId"],
                        "DestinationId": found["Destinations"][0]["DestinationId"],
                        "ExtendedS3DestinationUpdate": {"ProcessingConfiguration": configuration},
                    },
                )
            )

        def encrypt(connection: Connection, is_on: bool) -> None:
            call = f"St{'art' if is_on else 'op'}DeliveryStreamEncryption"
            more = {SSE: MANAGED} if is_on else {}
            connection.exchange(request(call, {"DeliveryStreamName": SEALED} | more))

        is_on = False
        while True:
            self._is_over.wait(chance.uniform(0.2, 1.5))
            yield lambda connection: transform(connection, is_on)
            yield lambda connection: encrypt(connection, is_on)
            is_on = not is_on


# MARK: Where everything is


@dataclass
class Found:
    """Where the records of a bucket are, by stream and number."""

    delivered: Counter[tuple[str, int]] = field(default_factory=Counter)
    failed: Counter[tuple[str, int]] = field(default_factory=Counter)

    def read(self, bucket: FolderBucket) -> "Found":
        for key in bucket.keys():
            try:
                content = bucket.content(key)
            except FileNotFoundError:
                continue
            if key.startswith(FAILED_FOLDERS):
                for line in content.splitlines():
                    raw = base64.b64decode(json.loads(line)["rawData"])
                    self.failed[parsed(raw)] += 1
            else:
                self.delivered.update(
                    (match[1].decode(), int(match[2])) for match in RECORD.finditer(content)
                )
        return self


@dataclass
class Verdict:
    """What is wrong, and how much was looked at."""

    acknowledged: int = 0
    missing: dict[str, list[int]] = field(default_factory=dict)
    doubled: dict[str, list[int]] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        return not (self.missing or self.doubled or self.wrong)

    def __str__(self) -> str:
        def told(found: dict[str, list[int]]) -> str:
            return str({name: (len(each), each[:5]) for name, each in found.items()})

        return f"missing {told(self.missing)}, doubled {told(self.doubled)}, {self.wrong[:5]}"


class Judge:
    """Looks at a server with everything that was put until a moment."""

    def __init__(self, hydrant: Hydrant, cluster: Cluster, ledger: Ledger, until: float):
        self._hydrant = hydrant
        self._cluster = cluster
        self._ledger = ledger
        self._until = until
        self._buckets = hydrant.data / "buckets"

    def judge(self, *, timeout: float = 30) -> Verdict:
        """Waits until all is delivered, and then says what is wrong."""
        try:
            wait_until(lambda: not self._look().missing, "acknowledged records", timeout=timeout)
            wait_until(self._is_at_rest, "an end of the delivery", timeout=timeout)
        except WaitedTooLong:
            pass
        verdict = self._look()
        if not self._is_at_rest():
            verdict.wrong.append("it does not come to rest")
        self._look_at_order(verdict)
        self._look_at_streams(verdict)
        return verdict

    def _is_at_rest(self) -> bool:
        text = page_of(self._hydrant, "/metrics")
        names = "hydrant_(?:buffers_in_flight|log_backlog_bytes)"
        values = re.findall(rf"^{names}\{{[^}}]*\}} (\S+)$", text, re.MULTILINE)
        return bool(values) and all(float(each) == 0 for each in values)

    def _look_at_order(self, verdict: Verdict) -> None:
        """Records of one producer are in the order in which it put them, by the objects' UUIDs."""
        for stream, name in [(each, each) for each in (PLAIN, SEALED, TRANSFORMED)] + [
            (TRANSFORMED, f"{TRANSFORMED}-backup")
        ]:
            bucket = FolderBucket(self._buckets, name)
            keys = [key for key in bucket.keys() if not key.startswith(FAILED_FOLDERS)]
            last, last_key = -1, ""
            for key in sorted(keys, key=lambda key: ObjectKey.parse(key, stream).uuid):
                for match in RECORD.finditer(bucket.content(key)):
                    number = int(match[2])
                    if number < last:
                        verdict.wrong.append(
                            f"{name}: {number} of {key} comes behind {last} of {last_key}"
                        )
                        break
                    last, last_key = number, key

    def _found(self, name: str) -> Found:
        return Found().read(FolderBucket(self._buckets, name))

    def _look(self) -> Verdict:
        verdict = Verdict()
        for name in (PLAIN, SEALED):
            self._compare(verdict, name, self._found(name).delivered)
        self._compare(verdict, TRANSFORMED, self._found(TRANSFORMED), is_transformed=True)
        backup = self._found(f"{TRANSFORMED}-backup").delivered
        self._compare(verdict, TRANSFORMED, backup, called="backup")
        documents = Counter((each[1], each[2]) for each in self._cluster.documents.values())
        failed = self._found(SEARCHED).failed
        for key in failed:
            if not is_refused(key[1]):
                verdict.wrong.append(f"{key} has failed")
        self._compare(verdict, SEARCHED, documents + failed)
        brief = self._found("brief").delivered
        for name in {each.stream for each in self._ledger.changes}:
            self._compare(verdict, name, brief, is_deleted=self._may_be_deleted(name))
        return verdict

    def _compare(
        self,
        verdict: Verdict,
        stream: str,
        found: Counter[tuple[str, int]] | Found,
        *,
        called: str = "",
        is_transformed: bool = False,
        is_deleted: bool = False,
    ) -> None:
        numbers = self._ledger.acknowledged(stream, self._until)
        if isinstance(found, Found):
            found = found.delivered + found.failed
        mine = {number: count for (name, number), count in found.items() if name == stream}
        if not (called or is_deleted):
            verdict.acknowledged += len(numbers)
        name = called or stream
        missing = [
            each
            for each in numbers
            if each not in mine and not is_deleted and not (is_transformed and is_dropped(each))
        ]
        doubled = [number for number, count in mine.items() if count > 1]
        if missing:
            verdict.missing[name] = missing
        if doubled:
            verdict.doubled[name] = doubled

    # MARK: Streams

    def _changes(self, name: str) -> list[Change]:
        return [
            each
            for each in self._ledger.changes
            if each.stream == name and each.issued <= self._until
        ]

    def _may_be_deleted(self, name: str) -> bool:
        changes = self._changes(name)
        is_there = any(each.what == "create" and self._is_done(each) for each in changes)
        return not is_there or any(each.what == "delete" for each in changes)

    def _is_done(self, change: Change) -> bool:
        return change.answered is not None and change.answered <= self._until

    def _look_at_streams(self, verdict: Verdict) -> None:
        client = self._hydrant.client()
        listed = set(client.list_delivery_streams(Limit=10_000)["DeliveryStreamNames"])
        for name in LOADED:
            if name not in listed:
                verdict.wrong.append(f"{name} is gone")
        for name in {each.stream for each in self._ledger.changes}:
            changes = self._changes(name)
            if any(each.what == "delete" and self._is_done(each) for each in changes):
                if name in listed:
                    verdict.wrong.append(f"{name} was deleted and is there")
            elif not self._may_be_deleted(name):
                if name not in listed:
                    verdict.wrong.append(f"{name} was created and is gone")
                else:
                    self._look_at_configuration(client, name, changes, verdict)

    def _look_at_configuration(
        self, client, name: str, changes: list[Change], verdict: Verdict
    ) -> None:
        found = client.describe_delivery_stream(DeliveryStreamName=name)
        description = found["DeliveryStreamDescription"]
        if description["DeliveryStreamStatus"] != "ACTIVE":
            verdict.wrong.append(f"{name} is {description['DeliveryStreamStatus']}")
            return
        hints = description["Destinations"][0]["ExtendedS3DestinationDescription"]
        size = hints["BufferingHints"]["SizeInMBs"]
        done = [place for place, each in enumerate(changes) if self._is_done(each)]
        possible = {each.size for each in changes[done[-1] :]}
        if size not in possible:
            verdict.wrong.append(f"{name} has {size} MB, not {possible}")


def page_of(hydrant: Hydrant, path: str) -> str:
    """One of the server's status pages."""
    with Connection(hydrant.port) as connection:
        head = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
        return connection.exchange(head.encode()).body.decode()


# MARK: The whole scene


@dataclass
class Scene:
    """A server with its load, in one folder."""

    hydrant: Hydrant
    cluster: Cluster
    load: Load

    @classmethod
    def make(
        cls, folder: Path, cluster: Cluster, seed: int, *options: str, **arguments
    ) -> "Scene":
        """Starts a server and makes its streams."""
        folder.mkdir(parents=True, exist_ok=True)
        programs = Programs(folder)
        transform = programs.write("worker", PROGRAM)
        keys = write_master_keys(folder / "master-keys", fresh_master_key())
        hydrant = Hydrant(
            folder / "server",
            *programs.options,
            *("--master-key", str(keys)),
            # Many segments, which are used again.
            *("--log-segment-kilobytes", "64"),
            *options,
            **arguments,
        )
        load = Load(hydrant, cluster, seed)
        hydrant.start()
        load.create_streams(transform)
        return cls(hydrant, cluster, load)

    def judge(self, until: float, **arguments) -> Verdict:
        return Judge(self.hydrant, self.cluster, self.load.ledger, until).judge(**arguments)
