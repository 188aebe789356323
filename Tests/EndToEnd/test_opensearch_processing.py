"""Streams into OpenSearch with a backup of everything, with a transform, and with encryption."""

from base64 import b64encode

import pytest

from buckets import ObjectKey
from bulk_replies import always, answer
from master_keys import MANAGED, SSE, fresh_master_key, write_master_keys
from plaintext import fresh_secret, traces
from processed import IN_ONE_OBJECT, parse_failures, transform_at_once
from search_streams import (
    DELIVERED,
    ELASTICSEARCH,
    FOLDERS,
    OPENSEARCH,
    PROCESSING_FOLDER,
    numbered,
)
from strict_s3 import StrictS3
from transforms import STATUS_FAILED, processing
from waiting import wait_until

pytest_plugins = ["search_fixtures"]

THIRDS = """
@each
def handle(record):
    number = json.loads(content(record))["n"]
    if number % 3 == 1:
        return answer(record, result="Dropped")
    if number % 3 == 2:
        return answer(record, result="ProcessingFailed")
    return answer(record, json.dumps({"n": number, "seen": True}).encode())
"""

BREAKING = """
handle = each(lambda record: answer(record, b"no document: " + content(record)))
"""


@pytest.mark.parametrize("kind", [OPENSEARCH, ELASTICSEARCH])
def test_all_documents_can_be_backed_up(search, kind):
    """As they were put and with the bucket's own hints; those that fail are in there as well."""
    s3 = {
        "Prefix": "all/",
        "ErrorOutputPrefix": "errors/",
        "CompressionFormat": "GZIP",
        "BufferingHints": IN_ONE_OBJECT,
    }
    flow = search.flow(kind=kind, S3BackupMode="AllDocuments", s3=s3)
    flow.put(*numbered(20))
    flow.put(b" not JSON\n", b'{"pretty":\n1}\n')
    flow.settle(21, 1)
    wait_until(lambda: flow.keys("all/"), "the backup")
    (backup,) = flow.keys("all/")
    assert ObjectKey.parse(backup, flow.stream).extension == ".gz"
    assert flow.bucket.content(backup) == b"".join(flow.records)
    (failed,) = flow.keys()
    assert failed.startswith(f"errors/{FOLDERS[kind]}")
    assert ObjectKey.parse(failed, flow.stream).extension == ""
    assert flow.bucket.raw(failed).startswith(b"{")


def test_a_transform_comes_first(search):
    """What it fails is kept as such, and what it drops is in the backup alone."""
    name = search.programs.write("worker", THIRDS)
    flow = search.flow(
        S3BackupMode="AllDocuments",
        s3={"Prefix": "all/", "ErrorOutputPrefix": "errors/"},
        **processing(transform_at_once(name)),
    )
    flow.put(*numbered(9))
    documents, _ = flow.settle(3)
    assert sorted(each["n"] for each in documents) == [0, 3, 6]
    assert all(each["seen"] for each in documents)

    def kept():
        keys = flow.keys(f"errors/{PROCESSING_FOLDER}")
        return [each for key in keys for each in parse_failures(flow.bucket.raw(key))]

    wait_until(lambda: len(kept()) == 3, "what the transform failed")
    assert sorted(each.raw for each in kept()) == [flow.records[n] for n in (2, 5, 8)]
    assert {each.code for each in kept()} == {STATUS_FAILED}
    wait_until(lambda: flow.keys("all/"), "the backup")
    (backup,) = flow.keys("all/")
    assert flow.bucket.content(backup) == b"".join(flow.records)


def test_what_a_transform_breaks_fails_as_it_is_delivered(search):
    name = search.programs.write("worker", BREAKING)
    flow = search.flow(**processing(transform_at_once(name)))
    flow.put(b'{"n": 1}')
    (failed,) = flow.wait_for_failures(1)
    assert (failed.code, failed.attempts) == ("400", 0)
    assert failed.raw == b'no document: {"n": 1}'
    assert flow.documents() == []


def test_an_encrypted_stream_is_delivered_and_leaves_nothing_open(start_search, faults, tmp_path):
    """Neither while deliveries fail, nor after a kill, nor behind the delivery."""
    keys = write_master_keys(tmp_path / "master.keys", fresh_master_key())
    with StrictS3() as store:
        search = start_search("--master-key", str(keys), environment=store.environment)
        faults.plan = always(answer(503))
        flow = search.flow(
            faults, s3={"Prefix": "all/"}, S3BackupMode="AllDocuments", extra={SSE: MANAGED}
        )
        secret = fresh_secret()
        flow.put(*numbered(20, text=secret.decode()), secret)
        wait_until(lambda: len(faults.requests) >= 2, "two failed attempts")
        assert traces(search.hydrant.data, secret) == []
        search.hydrant.sigkill()
        assert traces(search.hydrant.data, secret) == []
        faults.plan = lambda _: None
        search.hydrant.start()
        wait_until(lambda: flow.osmem.count(flow.index) == 20, "the documents")

        def kept(form: bytes) -> int:
            return store.content(flow.bucket.name).count(form)

        wait_until(lambda: kept(secret) == 21, "the backup")
        wait_until(lambda: kept(b64encode(secret)) == 1, "the failed record")
        wait_until(lambda: flow.log(DELIVERED), "the line in the log")
        assert traces(search.hydrant.data, secret) == []
        assert secret not in search.hydrant.log().encode()
