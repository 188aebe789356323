"""A server starts on what an earlier version left when it was killed, and does what was left to do.

`data_folder_scenes.py` says what that is: every buffer is in a state of its own. Each record comes
out once, where the earlier version would have brought it; then the server is killed, and nothing
comes again with the next record. The same holds for what the server under test leaves itself, so
that archives can be made of every version.
"""

import json
import subprocess
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from buckets import ObjectKey, decompress
from bulk_faults import Item
from commands import run_hydrant
from data_api import BATCH, Database
from data_folders import (
    ARCHIVES,
    DATA,
    MASTER_KEYS,
    PROGRAM,
    UPPER,
    Destinations,
    Documents,
    Expected,
    Manifest,
    StreamFolder,
    Warehouse,
    readdress,
    running_destinations,
    unpack,
)
from firehose_receiver import Place
from make_data_folder import make
from redshift_streams import ERROR_MANIFESTS, MANIFESTS
from server import BINARY, Hydrant, clean_environment
from splunk_receiver import Token
from streams import put
from transform_programs import Programs
from transforms import client_of
from waiting import wait_until

CHECK_SECONDS = 40

LAST = b'{"event":"last"}'
"""A record that every destination takes. What would be sent again comes before it."""

FAILED = "failed/"
"""What is in the key of every object of failed records."""


@dataclass
class Scene:
    """An unpacked archive, and destinations that know what they had of its streams."""

    folder: Path
    manifest: Manifest
    places: Destinations
    programs: Programs
    endpoints: dict[str, Place]
    tokens: dict[str, Token]
    databases: dict[str, Database]

    @property
    def options(self) -> tuple[str, ...]:
        """What a server is started with."""
        return self.places.options(self.programs, self.folder / MASTER_KEYS)

    @property
    def environment(self) -> dict[str, str]:
        """The variables that go with the options."""
        return self.places.buckets.environment

    # MARK: What became of a stream

    def problems(self) -> list[str]:
        """All that did not become what it should."""
        found = [
            f"{stream} ({expected.state}): {problem}"
            for stream, expected in self.manifest.streams.items()
            for problem in self._problems_of(stream, expected)
        ]
        return found + self.places.complaints

    def _problems_of(self, stream: str, expected: Expected) -> Iterator[str]:
        for bucket, content in expected.contents.items():
            yield from self._problems_in_bucket(stream, expected, bucket, content)
        if documents := expected.documents:
            sent = self._items_of(stream)
            yield from documents_problems(documents, last_of(expected), sent)
            held = self.places.osmem.documents(documents.index)
            wanted = documents.held | documents.known
            yield from difference("documents", [f"{each}" for each in wanted if each not in held])
        if expected.requests is not None:
            yield from requests_problems(expected, self.endpoints[stream])
        if expected.body is not None:
            token = self.tokens[stream]
            bodies = b"".join(token.bodies()).decode("latin-1")
            if bodies != expected.body + LAST.decode():
                yield f"Splunk has {bodies!r}"
            if any(post.ack_id is None for post in token.posts):
                yield "Splunk was sent something twice"
        if expected.warehouse:
            yield from loads_problems(expected.warehouse, self.databases[stream])

    def _items_of(self, stream: str) -> list[Item]:
        items = [item for each in self.places.search.requests for item in each.items]
        return [each for each in items if each.index.startswith(stream)]

    def _problems_in_bucket(
        self, stream: str, expected: Expected, bucket: str, content: str
    ) -> Iterator[str]:
        puts = [(key, body) for name, key, body in self.places.buckets.puts if name == bucket]
        for key, count in Counter(key for key, _ in puts).items():
            if count > 1:
                yield f"{key} was put {count} times"
        found = {key: decompress(body).decode("latin-1") for key, body in puts}
        known = expected.objects.get(bucket, {})
        for key, wanted in known.items():
            if key not in found:
                yield f"{key} was not put"
            elif wanted not in (None, found[key]):
                yield f"{key} is {found[key][:200]!r}, not {wanted[:200]!r}"
        failed = {key for key in found if FAILED in key}
        if strange := sorted(failed - known.keys()):
            yield f"failed records in {strange}"
        manifests = {key for key in found if key.startswith(MANIFESTS)}
        if strange := sorted(key for key in found if key.startswith(ERROR_MANIFESTS)):
            yield f"loads were given up: {strange}"
        keys = sorted(found.keys() - failed - manifests, key=lambda key: moment(key, stream))
        whole = "".join(found[key] for key in keys)
        if content or expected.warehouse:
            content += last_of(expected) if bucket == stream else LAST.decode()
        if whole != content:
            yield f"{bucket} has {len(whole)} bytes, not {len(content)}: ...{whole[-200:]!r}"


def moment(key: str, stream: str) -> tuple:
    """What a stream's keys are in order of, whatever their prefixes are."""
    parsed = ObjectKey.parse(key, stream)
    return parsed.time, parsed.uuid


def last_of(expected: Expected) -> str:
    """What becomes of the last record."""
    return (LAST.upper() if expected.is_transformed else LAST).decode()


def difference(what: str, missing: Iterable[str]) -> Iterator[str]:
    """Says what is missing, if anything is."""
    if found := sorted(missing):
        yield f"{what} are missing: {found[:5]}"


def documents_problems(expected: Documents, last: str, sent: list[Item]) -> Iterator[str]:
    """What is wrong with the documents that were sent for a stream."""
    documents = Counter(each.document.decode("latin-1") for each in sent)
    wanted = Counter([*expected.known.values(), *expected.others, last])
    if documents != wanted:
        missing, strange = wanted - documents, documents - wanted
        yield f"{missing.total()} documents are missing, and {strange.total()} too many"
    ids = {each.id: each.document.decode("latin-1") for each in sent}
    if len(ids) != len(sent) or ids.keys() & expected.held.keys():
        yield "an id was sent again"
    if not expected.known.items() <= ids.items():
        yield "a document was sent again under another id"


def requests_problems(expected: Expected, place: Place) -> Iterator[str]:
    """What is wrong with what an HTTP endpoint was sent."""
    records = [each.decode("latin-1") for each in place.records()]
    if sorted(records) != sorted([*expected.requests, LAST.decode()]):
        yield f"the endpoint has {len(records)} records, such as {records[-5:]}"
    if len(place.requests) != len(place.taken()):
        yield "the endpoint was sent something twice"


def loads_problems(expected: Warehouse, database: Database) -> Iterator[str]:
    """What is wrong with what a warehouse was asked to load."""
    if twice := [url for url, count in database.loaded.items() if count > 1]:
        yield f"loaded twice: {twice}"
    if (expected.manifest in database.loaded) == expected.is_loaded:
        yield f"the loads are {dict(database.loaded)}"
    if len(database.loaded.keys() - {expected.manifest}) != 1:
        yield f"the last record is not loaded once: {dict(database.loaded)}"
    for call in database.calls_of(BATCH):
        if any(expected.manifest in sql for sql in call.body["Sqls"]):
            is_same = call.body["ClientToken"] in expected.tokens
            if is_same != expected.is_open:
                yield f"the token is {call.body['ClientToken']}, after {expected.tokens}"


# MARK: The scene


PRESENT = "present"


@pytest.fixture(scope="module")
def present(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive of what the server under test leaves itself."""
    folder = tmp_path_factory.mktemp("present")
    make(folder / "made", folder / "present.tar.xz")
    return folder / "present.tar.xz"


@pytest.fixture(params=[*sorted(each.name.split(".")[0] for each in ARCHIVES.iterdir()), PRESENT])
def scene(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Scene]:
    """Each archive, with destinations in front of which no server runs yet."""
    archive = ARCHIVES / f"{request.param}.tar.xz"
    if request.param == PRESENT:
        archive = request.getfixturevalue("present")
    folder = tmp_path / "hydrant"
    manifest = unpack(archive, folder)
    programs = Programs(tmp_path)
    programs.write("worker", UPPER, name=PROGRAM)
    with running_destinations(tmp_path) as places:
        readdress(folder / DATA, places.ports)
        scene = Scene(folder, manifest, places, programs, {}, {}, {})
        for stream, expected in manifest.streams.items():
            prepare(scene, stream, expected)
        yield scene


def prepare(scene: Scene, stream: str, expected: Expected) -> None:
    """Has the destinations know a stream, and have what they had of it."""
    places = scene.places
    if documents := expected.documents:
        for name, document in documents.held.items():
            path = f"/{documents.index}/_doc/{name}"
            status, said = places.osmem.request("PUT", path, json.loads(document))
            assert status == 201, said
    if expected.access_key:
        scene.endpoints[stream] = places.http.place(stream, access_key=expected.access_key)
    if expected.token:
        scene.tokens[stream] = places.splunk.token(expected.token, kind=expected.token_kind)
    if warehouse := expected.warehouse:
        database = places.warehouses.database(warehouse.database)
        database.ledger.update([warehouse.manifest] if warehouse.is_loaded else [])
        scene.databases[stream] = database


def flush(hydrant: Hydrant, streams: Iterable[str]) -> None:
    """Has all that the streams hold delivered, at the same time."""
    with ThreadPoolExecutor(4) as pool:
        commands = [
            pool.submit(run_hydrant, hydrant, "flush", each, "--timeout", "40") for each in streams
        ]
    for each in commands:
        done = each.result()
        assert done.returncode == 0, done.stderr.decode()


def left(data: Path, streams: Iterable[str]) -> list[str]:
    """What is still under way, or was set aside."""
    folders = [StreamFolder(data, each).path for each in streams]
    journals = [path for each in folders for path in each.glob("*in-flight/*")]
    return [str(each) for each in [*journals, *(data / "set-aside").rglob("*")]]


# MARK: The tests


def test_a_check_finds_nothing_wrong_with_it(scene: Scene):
    before = {each: each.stat().st_mtime_ns for each in scene.folder.rglob("*")}
    done = subprocess.run(
        [BINARY, "serve", "--check", "--port", "0", "--data-dir", scene.folder / DATA]
        + ["--min-buffer-interval", "0", *scene.options],
        env=clean_environment() | scene.environment,
        cwd=scene.folder,
        capture_output=True,
        text=True,
        timeout=CHECK_SECONDS,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for stream in scene.manifest.streams:
        assert f"ok    stream {stream}:" in done.stdout, done.stdout
    assert {each: each.stat().st_mtime_ns for each in scene.folder.rglob("*")} == before


def test_what_is_left_to_do_is_done_once(scene: Scene, make_hydrant):
    streams = scene.manifest.streams
    hydrant = make_hydrant(*scene.options, folder=scene.folder, environment=scene.environment)
    hydrant.start()
    flush(hydrant, streams)
    hydrant.sigkill()
    hydrant.start()
    for stream in streams:
        put(client_of(hydrant), stream, LAST)
    flush(hydrant, streams)
    problems = scene.problems()
    assert not problems, "\n".join(problems)
    # A record for each transformed stream came last.
    transformed = sum(each.is_transformed for each in streams.values())
    events = scene.programs.events(PROGRAM)
    assert sum(each.count for each in events) == scene.manifest.transformed + transformed
    wait_until(lambda: not left(hydrant.data, streams), "the journals to be empty")
    assert hydrant.sigterm() == 0
    assert left(hydrant.data, streams) == []
    lines = [json.loads(line) for line in hydrant.log().splitlines()]
    assert [each for each in lines if each["level"] == "error"] == []
