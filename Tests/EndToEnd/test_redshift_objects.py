"""Objects and manifests without any COPY: each object has one manifest, whatever happens."""

import os
import random
import re
from collections.abc import Iterator
from contextlib import suppress

import pytest

from buckets import FolderBucket, ObjectKey, S3Bucket
from processors import JSON_OBJECTS, backup
from redshift_streams import (
    FAILED_ONCE,
    KIND,
    LOG_FORMAT,
    MANIFESTS,
    NO_COPY,
    PROCESSING_FAILED,
    HeldS3,
    RedshiftFlow,
    create_redshift,
    flow_in,
    numbered,
    redshift_destination,
    update_members,
)
from server import Hydrant
from streams import AT_ONCE, BY_SIZE_ONLY, MEBIBYTE, create_stream, destination, fresh_name, put
from strict_s3 import DROP
from transform_programs import FAILING, FILTER
from transforms import STATUS_FAILED, client_of, parse_failures, processing
from updates import update
from waiting import WaitedTooLong, wait_until

pytest_plugins = ["transform_fixtures"]

AWKWARD = [b"plain ", b"", b"\0\xff\n", b"\n\n", b"x" * 700_000]

MOMENTS = ["object refused", "object stored", "manifest refused", "manifest stored"]
"""Where a server is killed: `refused` has not been carried out, `stored` was not answered."""


@pytest.fixture(scope="module")
def warehouse(start_module_hydrant, seaweed) -> Hydrant:
    """A server that writes objects and manifests to SeaweedFS, shared by the module's tests."""
    return start_module_hydrant(*NO_COPY, *LOG_FORMAT, environment=seaweed.environment)


@pytest.fixture(scope="module")
def local(start_module_hydrant) -> Hydrant:
    """A server that writes objects and manifests to folders, shared by the module's tests."""
    return start_module_hydrant(*NO_COPY, *LOG_FORMAT)


@pytest.fixture
def held() -> Iterator[HeldS3]:
    """An S3 endpoint that stops at moments."""
    with HeldS3() as endpoint:
        yield endpoint
        endpoint.moment = ""


@pytest.fixture
def start_held(start_hydrant, held) -> RedshiftFlow:
    """A stream of a server of the test's own to that endpoint."""
    hydrant = start_hydrant(*NO_COPY, *LOG_FORMAT, environment=held.environment)
    return flow_in(hydrant, held.bucket(fresh_name("bucket")), s3={"Prefix": "p/"})


# MARK: What is written


@pytest.mark.parametrize("compression", ["UNCOMPRESSED", "GZIP"])
@pytest.mark.parametrize("prefix", ["", "raw/", "no-slash-"])
def test_each_object_has_a_manifest_with_its_own_length(warehouse, bucket, compression, prefix):
    s3 = {"CompressionFormat": compression} | ({"Prefix": prefix} if prefix else {})
    flow = flow_in(warehouse, bucket, s3=s3)
    for _ in range(3):
        flow.put(*AWKWARD)
    keys = flow.wait_for()
    extensions = {ObjectKey.parse(key, flow.stream).extension for key in keys}
    assert extensions == {".gz" if compression == "GZIP" else ""}
    assert sorted(each["key"] for each in flow.log("delivered")) == keys
    assert flow.log(FAILED_ONCE) == []


@pytest.mark.parametrize("prefix", ["sp ace/'q\"uote'/", "ünï日本/e=1&f+g%41/", "manifests/"])
def test_manifests_name_awkward_keys_as_they_are(warehouse, bucket, prefix):
    """COPY reads a key as the manifest has it: nothing is encoded but what JSON must have so."""
    flow = flow_in(warehouse, bucket, s3={"Prefix": prefix})
    flow.put(b"record")
    wait_until(lambda: len(bucket.keys()) == 2, "an object and a manifest")
    (manifest,) = [key for key in bucket.keys() if key.startswith(f"{prefix}{MANIFESTS}")]
    (key,) = set(bucket.keys()) - {manifest}
    assert ObjectKey.parse(key, flow.stream).prefix.startswith(f"{prefix}20")
    if prefix != MANIFESTS:
        flow.assert_each_object_has_its_manifest()


def test_folders_as_buckets_have_manifests_too(local):
    flow = flow_in(local)
    flow.put(*AWKWARD)
    flow.wait_for()


def test_buffers_are_cut_by_the_hints_of_the_s3_configuration(local):
    flow = flow_in(local, s3={"BufferingHints": BY_SIZE_ONLY})
    flow.put(*(bytes([65 + number]) * 700_000 for number in range(5)))
    wait_until(lambda: len(flow.keys(MANIFESTS)) == 4, "four manifests")
    assert [len(each) for each in flow.contents()] == [700_000] * 4
    flow.assert_each_object_has_its_manifest()
    assert all(len(each) <= MEBIBYTE for each in flow.contents())


# MARK: S3 fails


@pytest.mark.parametrize("status", [403, 404, 500, 503, DROP])
@pytest.mark.parametrize("failing", ["object", "manifest"])
def test_what_s3_does_not_take_is_sent_again_as_it_was(start_held, held, failing, status):
    """An object that S3 has is not sent again because its manifest was not taken."""
    failures = {"object": (0, 1), "manifest": (1, 2)}[failing]
    held.fault = lambda puts: status if puts in failures else None
    start_held.put(b"record")
    start_held.wait_for()
    wait_until(lambda: len(held.puts) == 4, "the last attempt")
    assert held.refusals == []
    assert len(set(held.puts)) == 2, "an attempt had another key or another body"


def test_an_outage_of_s3_delays_and_harms_nothing(start_hydrant, own_seaweed):
    bucket = S3Bucket(own_seaweed, own_seaweed.create_bucket())
    own_seaweed.stop()
    hydrant = start_hydrant(*NO_COPY, *LOG_FORMAT, environment=own_seaweed.environment)
    flow = flow_in(hydrant, bucket, s3={"CompressionFormat": "GZIP"})
    for record in numbered(20):
        flow.put(record)
    own_seaweed.start()
    flow.wait_for(timeout=60)


def test_an_object_that_s3_never_takes_has_no_manifest(start_hydrant, held):
    """COPY would fail for what is not there. The next ones are loaded."""
    held.fault = lambda _: 503
    options = (*NO_COPY, *LOG_FORMAT, "--s3-retry-duration", "1")
    hydrant = start_hydrant(*options, environment=held.environment)
    flow = flow_in(hydrant, held.bucket(fresh_name("bucket")), s3={"Prefix": "p/"})
    flow.put(b"never")
    aside = hydrant.data / "set-aside" / flow.stream
    (path,) = wait_until(lambda: [each for each in aside.rglob("*") if each.is_file()], "the file")
    assert path.read_bytes() == b"never"
    assert flow.bucket.keys() == []
    held.fault = lambda _: None
    flow.put(b"next")
    flow.wait_for(b"next")
    assert not any(MANIFESTS in str(each.relative_to(aside)) for each in aside.rglob("*"))


# MARK: Kills


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_kill_at_any_moment_leaves_one_object_and_one_manifest(start_held, held, moment):
    flow = start_held
    flow.put(b"before\n")
    flow.wait_for()
    held.moment = moment
    flow.put(*numbered(3, "during"))
    wait_until(lambda: held.held, moment)
    flow.hydrant.sigkill()
    held.moment = ""
    flow.hydrant.start()
    flow.put(b"after\n")
    assert len(flow.wait_for()) in (2, 3)
    assert held.refusals == []
    bodies = {(key, body) for _, key, body in held.puts}
    assert len(bodies) == len({key for key, _ in bodies}), "a key was used for two contents"
    (path,) = set(held.held)
    assert path.partition("/")[2].split("/", 1)[1] in held.objects(flow.bucket.name)


def test_kills_at_random_leave_each_record_in_one_object_with_one_manifest(start_hydrant):
    """HYDRANT_SEED repeats a run's choices."""
    seed = int(os.environ.get("HYDRANT_SEED", random.randrange(2**32)))
    print(f"HYDRANT_SEED={seed}")
    chance = random.Random(seed)
    hydrant = start_hydrant(*NO_COPY, *LOG_FORMAT)
    flow = flow_in(hydrant, s3={"CompressionFormat": "GZIP"})
    for number in range(10):
        wanted = len(flow.bucket.keys()) + chance.randint(0, 4)
        for record in numbered(chance.randint(2, 6), f"round {number}"):
            flow.put(record)
        # Two files at least follow each put that does not share its object with another.
        with suppress(WaitedTooLong):
            wait_until(
                lambda least=wanted: len(flow.bucket.keys()) >= least, "files", timeout=1, pause=0
            )
        hydrant.sigkill()
        hydrant.start()
    flow.wait_for()


# MARK: Transforms


def test_what_a_transform_drops_is_in_no_object_and_makes_no_manifest(start_bench):
    bench = start_bench(*NO_COPY)
    flow = transformed(bench, FILTER)
    flow.put(b"keep 1\n", b"drop 2\n", b"keep 3\n")
    flow.wait_for(b"keep 1\nkeep 3\n")
    before = flow.bucket.keys()
    flow.put(b"drop 4\n", b"drop 5\n")
    wait_until(lambda: dropped(flow) == 3, "the transform")
    flow.put(b"keep 6\n")
    flow.wait_for(b"keep 1\nkeep 3\nkeep 6\n")
    assert len(flow.bucket.keys()) == len(before) + 2


def test_what_fails_in_a_transform_is_kept_and_not_loaded(start_bench):
    """A buffer in which all failed has no manifest, and so no COPY."""
    flow = transformed(start_bench(*NO_COPY), FAILING, s3={"Prefix": "p/"})
    flow.put(b"bad 1\n", b"bad 2\n")
    wait_until(lambda: len(failures(flow)) == 2, "the failures")
    assert [(each.raw, each.code) for each in failures(flow)] == [
        (b"bad 1\n", STATUS_FAILED),
        (b"bad 2\n", STATUS_FAILED),
    ]
    assert flow.bucket.keys() == flow.keys(PROCESSING_FAILED)


def test_records_that_fail_beside_others_are_not_in_the_object(local):
    given = processing(JSON_OBJECTS)
    flow = flow_in(local, s3={"BufferingHints": {"SizeInMBs": 5, "IntervalInSeconds": 1}}, **given)
    flow.put(b'{"n":1}', b"no JSON", b'{"n":2}{"n":3}')
    flow.wait_for(b'{"n":1}{"n":2}{"n":3}')
    (key,) = wait_until(lambda: flow.keys(PROCESSING_FAILED), "the failure")
    assert b"bm8gSlNPTg==" in flow.bucket.raw(key)
    assert len(flow.keys(MANIFESTS)) == 1


def transformed(bench, body: str, s3: dict | None = None) -> RedshiftFlow:
    """A stream through a program of one go."""

    def create(client, bucket_arn: str, *, BufferingHints=AT_ONCE, **members) -> str:
        hints = {"BufferingHints": BufferingHints}
        return create_redshift(client, bucket_arn, s3=hints | (s3 or {}), **members)

    flow = bench.flow_through("once", body, create=create)
    prefix = (s3 or {}).get("Prefix", "")
    return RedshiftFlow(bench.hydrant, flow.stream, flow.bucket, prefix)


def dropped(flow: RedshiftFlow) -> int:
    """How many records transforms have dropped."""
    return sum(int(each["dropped"]) for each in flow.log("transformed"))


def failures(flow: RedshiftFlow) -> list:
    """The records whose transform failed."""
    contents = [flow.bucket.content(key) for key in flow.keys(PROCESSING_FAILED)]
    return [each for content in contents for each in parse_failures(content)]


# MARK: Source backup


def test_the_backup_has_the_source_and_no_manifests(local):
    copies = FolderBucket(local.data / "buckets", fresh_name("copies"))
    members = processing(JSON_OBJECTS) | backup(copies.arn, CompressionFormat="GZIP")
    flow = flow_in(local, **members)
    flow.put(b'{"n":1} {"n":2}', b"no JSON")
    flow.wait_for(b'{"n":1}{"n":2}')
    for key in copies.wait_for(b'{"n":1} {"n":2}no JSON'):
        assert re.match(r"\d{4}/", ObjectKey.parse(key, flow.stream).prefix)


def test_the_backup_may_be_in_the_same_bucket(local):
    bucket = FolderBucket(local.data / "buckets", fresh_name("bucket"))
    given = {"s3": {"Prefix": "load/"}} | backup(bucket.arn, Prefix="copies/")
    flow = flow_in(local, bucket, **given)
    flow.put(b"record")
    wait_until(lambda: len(bucket.keys()) == 3, "object, manifest and backup")
    load = [key for key in bucket.keys() if key.startswith("load/")]
    assert len(load) == 2
    assert [key.partition("/")[0] for key in bucket.keys()] == ["copies", "load", "load"]


# MARK: Changes


def test_an_update_moves_objects_and_manifests_together(local):
    """Records that wait go where the update says."""
    flow = flow_in(local, s3={"Prefix": "old/", "BufferingHints": BY_SIZE_ONLY})
    flow.put(b"waiting ")
    client = client_of(local)
    s3 = {"Prefix": "new/", "CompressionFormat": "GZIP", "BufferingHints": AT_ONCE}
    update(client, flow.stream, kind=KIND, S3Update=s3)
    flow.put(b"later")
    flow.prefix = "new/"
    keys = [ObjectKey.parse(key, flow.stream) for key in flow.wait_for()]
    assert {(key.version, key.extension) for key in keys} == {(2, ".gz")}
    assert all(key.startswith("new/") for key in flow.bucket.keys())


def test_from_s3_to_a_warehouse_and_back(local):
    """Objects have manifests for as long as there is a table to load."""
    client = client_of(local)
    bucket = FolderBucket(local.data / "buckets", fresh_name("bucket"))
    stream = create_stream(client, bucket.arn, Prefix="plain/")
    put(client, stream, b"1 ")
    bucket.wait_for(b"1 ")
    table = update_members(redshift_destination(bucket.arn, s3={"Prefix": "table/"}))
    update(client, stream, "1", kind=KIND, **table)
    flow = RedshiftFlow(local, stream, bucket, "table/")
    flow.put(b"2 ", b"3 ")
    wait_until(lambda: len(flow.keys(MANIFESTS)) >= 1, "a manifest")
    update(client, stream, "2", **destination(bucket.arn, Prefix="later/"))
    put(client, stream, b"4")
    wait_until(lambda: any(key.startswith("later/") for key in bucket.keys()), "the last object")
    found = {"plain/": b"", "table/2": b"", "later/": b""}
    for folder in found:
        keys = [key for key in bucket.keys() if key.startswith(folder)]
        found[folder] = b"".join(map(bucket.content, keys))
    assert found == {"plain/": b"1 ", "table/2": b"2 3 ", "later/": b"4"}
    others = [key for key in bucket.keys() if not key.startswith(tuple(found))]
    assert sorted(others) == flow.keys(MANIFESTS)


def test_what_was_sealed_for_the_warehouse_gets_its_manifest_after_a_change(start_held, held):
    """Also if the server is killed between its object and its manifest."""
    flow = start_held
    held.moment = "manifest refused"
    flow.put(b"sealed")
    wait_until(lambda: held.held, "the manifest")
    plain = destination("arn:aws:s3:::other", Prefix="plain/")
    update(client_of(flow.hydrant), flow.stream, **plain)
    put(client_of(flow.hydrant), flow.stream, b"later")
    flow.hydrant.sigkill()
    held.moment = ""
    flow.hydrant.start()
    flow.wait_for(b"sealed")
    held.wait_for("other", b"later")
