"""Nothing of an encrypted stream's records lies in the open in the data folder."""

from dataclasses import dataclass

import pytest

from buckets import FolderBucket, decompress
from commands import run_hydrant
from master_keys import create_encrypted, fresh_master_key, write_master_keys, written
from plaintext import forms, fresh_secret, traces
from server import Hydrant
from streams import create_stream, put
from strict_s3 import StrictS3
from waiting import wait_until

HINTS = {"SizeInMBs": 1, "IntervalInSeconds": 900}

BUCKET = "sealed-bucket"

COMPRESSIONS = ["UNCOMPRESSED", "GZIP", "ZIP"]


@pytest.fixture
def endpoint():
    """A strict endpoint of the test's own, to make fail."""
    with StrictS3() as endpoint:
        yield endpoint


@pytest.fixture
def master_key_file(tmp_path):
    """A file with one master key."""
    return write_master_keys(tmp_path / "master.keys", fresh_master_key())


@pytest.fixture
def start_sealed(start_hydrant, endpoint, master_key_file):
    """Starts a server that has a master key and delivers to the strict endpoint."""

    def start(*options: str) -> Hydrant:
        keys = ("--master-key", str(master_key_file))
        return start_hydrant(*keys, *options, environment=endpoint.environment)

    return start


def create(client, *, encrypted: bool, **members) -> str:
    """Creates a stream into `BUCKET`, encrypted or not; returns its name."""
    make = create_encrypted if encrypted else create_stream
    return make(client, f"arn:aws:s3:::{BUCKET}", BufferingHints=HINTS, **members)


@dataclass
class Scene:
    """A stream whose records all hold one secret, and what was put into it."""

    hydrant: Hydrant
    stream: str
    secret: bytes
    expected: bytes = b""

    def put(self, records: int) -> None:
        """Puts records of 10 kB with the secret at various places."""
        batch = [
            bytes([65 + number % 20]) * (number % 7) + (self.secret * 250)[:10_000]
            for number in range(records)
        ]
        put(self.hydrant.client(), self.stream, *batch)
        self.expected += b"".join(batch)

    def traces(self) -> list[str]:
        """The files in the data folder in which the secret lies open."""
        return traces(self.hydrant.data, self.secret)


@pytest.fixture
def make_scene():
    """Makes scenes."""

    def make(hydrant: Hydrant, *, encrypted: bool, **members) -> Scene:
        stream = create(hydrant.client(), encrypted=encrypted, **members)
        return Scene(hydrant, stream, fresh_secret())

    return make


# MARK: Everywhere a record goes


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("encrypted", [True, False], ids=["encrypted", "open"])
def test_nothing_lies_open_from_the_put_to_the_delivery(
    start_sealed, make_scene, endpoint, encrypted, compression
):
    """The stream that is not encrypted shows that the search finds what there is."""
    endpoint.fault = lambda _: 503
    hydrant = start_sealed()
    scene = make_scene(hydrant, encrypted=encrypted, CompressionFormat=compression)
    stages = {}

    scene.put(50)
    stages["buffered"] = scene.traces()
    scene.put(100)
    wait_until(lambda: len(endpoint.puts) >= 2, "two failed attempts")
    stages["failing"] = scene.traces()
    hydrant.sigkill()
    stages["killed"] = scene.traces()
    before = len(endpoint.puts)
    hydrant.start()
    wait_until(lambda: len(endpoint.puts) > before, "an attempt after the restart")
    stages["recovered"] = scene.traces()
    assert hydrant.sigterm() == 0
    stages["stopped"] = scene.traces()

    if encrypted:
        assert stages == {stage: [] for stage in stages}
        assert scene.secret not in hydrant.log().encode()
    else:
        assert all(stages.values()), stages

    endpoint.fault = lambda _: None
    hydrant.start()
    scene.put(110)
    wait_until(lambda: len(endpoint.content(BUCKET)) > 1_500_000, "the deliveries", timeout=60)
    assert scene.expected.startswith(endpoint.content(BUCKET))
    if encrypted:
        assert scene.traces() == [], "after the delivery"


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("encrypted", [True, False], ids=["encrypted", "open"])
def test_what_is_set_aside_is_sealed_too(
    start_sealed, make_scene, endpoint, master_key_file, tmp_path, encrypted, compression
):
    endpoint.fault = lambda _: 503
    hydrant = start_sealed("--s3-retry-duration", "1")
    scene = make_scene(hydrant, encrypted=encrypted, CompressionFormat=compression)
    scene.put(120)
    hydrant.wait_for_log("set aside")
    folder = hydrant.data / "set-aside" / scene.stream
    files = wait_until(lambda: [p for p in folder.rglob("*") if p.is_file()], "the file")
    found = scene.traces()
    assert (found == []) if encrypted else any("set-aside" in path for path in found)
    if not encrypted:
        return

    (offered,) = {body for _, _, body in endpoint.puts}
    (path,) = files
    opened = run_hydrant(None, "unseal", str(path), "--master-key", str(master_key_file))
    assert opened.returncode == 0, opened.stderr
    assert opened.stdout == offered
    assert scene.secret in decompress(opened.stdout)

    wrong = write_master_keys(tmp_path / "wrong.keys", fresh_master_key())
    refused = run_hydrant(None, "unseal", str(path), "--master-key", str(wrong))
    assert (refused.returncode != 0, refused.stdout) == (True, b"")
    assert refused.stderr.startswith(b"hydrant: ")


def test_what_is_not_sealed_cannot_be_unsealed(master_key_file, tmp_path):
    plain = tmp_path / "plain"
    plain.write_bytes(b"anything" * 1_000)
    for path in (plain, tmp_path / "absent"):
        done = run_hydrant(None, "unseal", str(path), "--master-key", str(master_key_file))
        assert (done.returncode != 0, done.stdout) == (True, b"")
        assert path.name.encode() in done.stderr


def test_a_damaged_sealed_file_is_refused(start_sealed, make_scene, endpoint, master_key_file):
    """A byte that was changed anywhere is noticed, and what is behind it is not given out."""
    endpoint.fault = lambda _: 503
    hydrant = start_sealed("--s3-retry-duration", "1")
    scene = make_scene(hydrant, encrypted=True)
    scene.put(120)
    hydrant.wait_for_log("set aside")
    folder = hydrant.data / "set-aside" / scene.stream
    (path,) = wait_until(lambda: [p for p in folder.rglob("*") if p.is_file()], "the file")
    whole = path.read_bytes()
    for position in range(0, len(whole), len(whole) // 7 + 1):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
        done = run_hydrant(None, "unseal", str(path), "--master-key", str(master_key_file))
        assert done.returncode != 0, f"byte {position} may be changed"
    for length in (0, 1, 1 << 16, len(whole)):
        path.write_bytes(whole[:8] + length.to_bytes(8, "little") + whole[16:])
        done = run_hydrant(None, "unseal", str(path), "--master-key", str(master_key_file))
        assert done.returncode != 0, f"it may be called {length} bytes long"
    path.write_bytes(whole[:-1])
    done = run_hydrant(None, "unseal", str(path), "--master-key", str(master_key_file))
    assert done.returncode != 0, "the end may be cut off"


def test_local_buckets_hold_what_was_put(start_hydrant, master_key_file, tmp_path):
    """A bucket is the destination: what arrives there is as open as the stream's owner wants."""
    bucket = FolderBucket(tmp_path / "buckets", "my-bucket")
    options = ("--local-buckets", str(bucket.folder.parent), "--master-key", str(master_key_file))
    hydrant = start_hydrant(*options)
    client = hydrant.client()
    secret = fresh_secret()
    stream = create_encrypted(client, bucket.arn)
    put(client, stream, secret, b"more")
    bucket.wait_for(secret + b"more")
    wait_until(lambda: hydrant.delivered_records(stream) == 2, "the delivery in the log")
    assert traces(hydrant.data, secret) == []
    assert hydrant.sigterm() == 0
    assert traces(hydrant.data, secret) == []


def test_the_master_key_is_not_written_down(start_hydrant, tmp_path, endpoint):
    """Neither in the data folder nor in the log, in whatever form."""
    key = fresh_master_key()
    path = write_master_keys(tmp_path / "master.keys", key)
    options = ("--master-key", str(path), "--log-level", "debug")
    hydrant = start_hydrant(*options, environment=endpoint.environment)
    put(hydrant.client(), create(hydrant.client(), encrypted=True), b"record")
    assert hydrant.sigterm() == 0
    assert traces(hydrant.data, key) == []
    assert not any(form in hydrant.log().encode() for form in forms(key))


# MARK: All streams


def test_the_operator_can_have_everything_sealed(start_sealed, make_scene, endpoint):
    """Streams need not ask for it; they are told that it was done."""
    endpoint.fault = lambda _: 503
    hydrant = start_sealed("--encrypt-at-rest")
    scene = make_scene(hydrant, encrypted=False)
    record = {"Data": scene.secret}
    answer = hydrant.client().put_record(DeliveryStreamName=scene.stream, Record=record)
    assert answer["Encrypted"] is True
    scene.expected += scene.secret
    scene.put(120)
    wait_until(lambda: endpoint.puts, "an attempt")
    assert scene.traces() == []
    hydrant.sigkill()
    assert scene.traces() == []
    endpoint.fault = lambda _: None
    hydrant.start()
    wait_until(lambda: endpoint.content(BUCKET), "the delivery", timeout=60)
    assert scene.expected.startswith(endpoint.content(BUCKET))


def test_what_was_sealed_is_delivered_without_the_option_too(start_sealed, make_scene, endpoint):
    """And what was in the open before the option came."""
    hydrant = start_sealed()
    scene = make_scene(hydrant, encrypted=False)
    scene.put(30)
    hydrant.options.append("--encrypt-at-rest")
    hydrant.restart()
    scene.put(30)
    hydrant.options.remove("--encrypt-at-rest")
    hydrant.restart()
    scene.put(60)
    wait_until(lambda: len(endpoint.content(BUCKET)) > 900_000, "the delivery", timeout=60)
    assert scene.expected.startswith(endpoint.content(BUCKET))


def test_sealing_everything_needs_a_master_key(make_hydrant):
    said = make_hydrant("--encrypt-at-rest").refusal_to_start()
    assert "--master-key" in said


# MARK: Where the key comes from


def assert_seals(hydrant: Hydrant) -> None:
    """Checks that a server can encrypt a stream."""
    client = hydrant.client()
    stream = create_stream(client, "arn:aws:s3:::bucket")
    client.start_delivery_stream_encryption(DeliveryStreamName=stream)
    answer = client.put_record(DeliveryStreamName=stream, Record={"Data": b"x"})
    assert answer["Encrypted"] is True


def test_the_key_may_come_from_the_environment(start_hydrant):
    for text in (written(fresh_master_key()), fresh_master_key().hex()):
        assert_seals(start_hydrant(environment={"HYDRANT_MASTER_KEY": text}))


@pytest.mark.parametrize(
    "text",
    [
        "{base64}",
        "{hex}\n",
        "{HEX}\n",
        "# a comment\n\n  {base64}  \n# another\n{hex}\n",
        "{base64}\r\n{hex}\r\n",
    ],
)
def test_keys_are_read_in_both_forms(start_hydrant, tmp_path, text):
    key = fresh_master_key()
    path = write_master_keys(tmp_path / "master.keys")
    path.write_text(text.format(base64=written(key), hex=key.hex(), HEX=key.hex().upper()))
    assert_seals(start_hydrant("--master-key", str(path)))


@pytest.mark.parametrize(
    "text",
    ["", "# nothing\n", "t00shrt\n", "00" * 31, "00" * 33, "zz" * 32, "A" * 43 + "*\n"],
    ids=["empty", "comments", "short", "31", "33", "no-digits", "no-base64"],
)
def test_a_file_without_good_keys_is_refused(make_hydrant, tmp_path, text):
    path = write_master_keys(tmp_path / "master.keys")
    path.write_text(text)
    said = make_hydrant("--master-key", str(path)).refusal_to_start()
    assert str(path) in said
    assert not text.strip() or text.strip() not in said, "it shows what may be a key"


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660])
def test_a_file_that_others_can_open_is_refused(make_hydrant, tmp_path, mode):
    path = write_master_keys(tmp_path / "master.keys", fresh_master_key(), mode=mode)
    said = make_hydrant("--master-key", str(path)).refusal_to_start()
    assert str(path) in said
    assert f"{mode:o}" in said


def test_a_missing_file_and_a_bad_variable_are_refused(make_hydrant, tmp_path):
    path = tmp_path / "absent.keys"
    assert str(path) in make_hydrant("--master-key", str(path)).refusal_to_start()
    bad = make_hydrant(environment={"HYDRANT_MASTER_KEY": "hidden-away"}).refusal_to_start()
    assert "HYDRANT_MASTER_KEY" in bad
    assert "hidden-away" not in bad
