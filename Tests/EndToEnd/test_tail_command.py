"""`hydrant tail`: records are shown as they are put, and arrive all the same."""

import base64
import gzip
import json
import os
import pty
import select
import signal
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest

from buckets import FolderBucket
from commands import run_hydrant, run_redirected
from keys import EVERYTHING, Key, may, write_keys
from ports import free_port
from producers import MAXIMUM_RECORD_BYTES
from server import BINARY, Hydrant, clean_environment
from streams import create_stream, fresh_name, put
from strict_firehose import StrictFirehose
from transforms import batches
from waiting import wait_until
from wire import Connection, put_body, request

WAITING = b"hydrant: waiting for records\n"


class Tail:
    """A running `hydrant tail`, whose output is read as it comes."""

    def __init__(self, process: subprocess.Popen, output: int):
        self.process = process
        self.seen = b""
        self._output = output

    def wait_for(self, count: int, *, timeout: float = 10) -> list[bytes]:
        """Waits for so many lines; returns all so far."""

        wait_until(
            lambda: self.now().count(b"\n") >= count, f"{count} lines", timeout=timeout, pause=0.02
        )
        return self.seen.splitlines(keepends=True)

    def wait_for_end(self, end: bytes) -> None:
        """Waits until the last of what was shown is this, while the process runs."""

        def is_there() -> bool:
            assert self.process.poll() is None, self.said()
            return self.now().endswith(end)

        wait_until(is_there, f"{end} at the end of the output")

    def now(self) -> bytes:
        """What was shown so far."""
        self._read(0)
        return self.seen

    def rest(self) -> list[bytes]:
        """Waits for the end of the output; returns all of it in lines."""
        while self._read(10):
            pass
        return self.seen.splitlines(keepends=True)

    def stopped(self) -> None:
        """Holds the process, as a slow terminal would."""
        self.process.send_signal(signal.SIGSTOP)

    def goes_on(self) -> None:
        """Lets it go on."""
        self.process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        """Leaves nobody to read the output."""
        os.dup2(os.open(os.devnull, os.O_RDONLY), self._output)

    def said(self) -> bytes:
        """What it said on standard error after it began, as far as it is there."""
        assert self.process.stderr
        os.set_blocking(self.process.stderr.fileno(), False)
        return self.process.stderr.read() or b""

    def _read(self, timeout: float) -> bool:
        """Reads what is there; false at the end."""
        while select.select([self._output], [], [], timeout)[0]:
            try:
                data = os.read(self._output, 1 << 20)
            except OSError:  # a terminal whose other side is closed
                return False
            if not data:
                return False
            self.seen += data
        return True


@contextmanager
def tailing(
    hydrant: Hydrant, stream: str, *options: str, key: Key | None = None, terminal: bool = False
) -> Iterator[Tail]:
    """Watches a stream from now on, at a terminal or not."""
    place = {"AWS_ENDPOINT_URL_FIREHOSE": hydrant.endpoint} | (key.environment if key else {})
    mine, its = pty.openpty() if terminal else os.pipe()
    process = subprocess.Popen(
        [BINARY, "tail", stream, *options],
        stdin=subprocess.DEVNULL,
        stdout=its,
        stderr=subprocess.PIPE,
        env=clean_environment() | place,
        bufsize=0,
    )
    os.close(its)
    with process:
        try:
            assert process.stderr
            assert process.stderr.readline() == WAITING
            yield Tail(process, mine)
        finally:
            os.close(mine)
            if process.poll() is None:
                process.kill()


@pytest.fixture
def stream(client, folder_bucket) -> str:
    """A stream of the shared server that delivers at once."""
    return create_stream(client, folder_bucket.arn)


def put_quickly(hydrant: Hydrant, stream: str, records: list[bytes]) -> None:
    """Puts very many records."""
    with Connection(hydrant.port, timeout=60) as connection:
        for batch in batches(records):
            answer = connection.exchange(request("PutRecordBatch", put_body(stream, *batch)))
            assert answer.status == 200


def left_out(said: bytes) -> int:
    """How many records were not shown, by what was said."""
    lines = [each.split() for each in said.splitlines() if b"were left out" in each]
    return sum(int(each[1]) for each in lines)


# MARK: What is shown


def test_records_are_shown_as_they_are_put(hydrant, client, stream, folder_bucket):
    put(client, stream, b"before\n")
    with tailing(hydrant, stream) as tail:
        put(client, stream, b"one\n", b"two")
        assert tail.wait_for(2) == [b"one\n", b"two\n"]
        client.put_record(DeliveryStreamName=stream, Record={"Data": b"three\n"})
        assert tail.wait_for(3)[2:] == [b"three\n"]
        assert tail.said() == b""
    wait_until(lambda: hydrant.delivered_records(stream) == 4, "the deliveries")
    assert b"".join(folder_bucket.contents()) == b"before\none\ntwothree\n"


CUT_SHORT = gzip.compress(b"cut short")[:-5]

SHOWN: list[tuple[bytes, list[bytes]]] = [
    (b"", [b"\n"]),
    (b"\n", [b"\n"]),
    (b"a\n\n", [b"a\n", b"\n"]),
    (b"several\nlines", [b"several\n", b"lines\n"]),
    ("äöü 日本語 🚰".encode(), ["äöü 日本語 🚰\n".encode()]),
    (b"\0", [b"\0\n"]),
    (b"\xff\xfe", [b"base64://4=\n"]),
    (b"text\xc3", [b"base64:dGV4dMM=\n"]),
    (gzip.compress(b"packed\n"), [b"packed\n"]),
    (gzip.compress(b"one\n") + gzip.compress(b"two\n"), [b"one\n", b"two\n"]),
    (gzip.compress(b""), [b"\n"]),
    (b"\x1f\x8b\x08", [b"base64:H4sI\n"]),
    (CUT_SHORT, [b"base64:" + base64.b64encode(CUT_SHORT) + b"\n"]),
    (gzip.compress(b"\xff"), [b"base64:/w==\n"]),
]
"""Records, and the lines in which they are shown."""


def test_records_are_shown_as_text_or_as_base64(hydrant, client, stream):
    with tailing(hydrant, stream, "--limit", str(len(SHOWN))) as tail:
        put(client, stream, *[record for record, _ in SHOWN])
        assert tail.rest() == [line for _, lines in SHOWN for line in lines]
        assert tail.process.wait(timeout=10) == 0


def test_raw_bytes_are_what_was_put(hydrant, client, stream):
    records = [bytes(range(256)), b"", b"no end", gzip.compress(b"packed")]
    with tailing(hydrant, stream, "--raw", "--limit", "4") as tail:
        put(client, stream, *records)
        tail.rest()
        assert tail.seen == b"".join(records)


def test_a_line_of_json_has_what_the_producer_was_answered(hydrant, client, stream):
    with tailing(hydrant, stream, "--json", "--limit", "3") as tail:
        ids = put(client, stream, b'"text" \x1b\n', b"\xff", gzip.compress(b"packed"))
        shown = [json.loads(line) for line in tail.rest()]
    assert [each["recordId"] for each in shown] == ids
    assert [each.get("data") for each in shown] == ['"text" \x1b\n', None, "packed"]
    assert [each.get("base64") for each in shown] == [None, "/w==", None]
    for each in shown:
        age = datetime.now(UTC) - datetime.fromisoformat(each["arrival"])
        assert abs(age.total_seconds()) < 30


def test_the_largest_record_is_shown(hydrant, client, stream):
    record = b"x" * MAXIMUM_RECORD_BYTES
    with tailing(hydrant, stream, "--limit", "3") as tail:
        put(client, stream, record, record, b"last")
        assert tail.rest() == [record + b"\n"] * 2 + [b"last\n"]


def test_a_bomb_is_not_unpacked(hydrant, client, stream):
    """It is shown as it was put."""
    bomb = gzip.compress(b"\0" * 200_000_000, compresslevel=1)[:1_000_000]
    bomb = bomb if len(bomb) < 1_000_000 else gzip.compress(b"\0" * 100_000_000)
    with tailing(hydrant, stream, "--limit", "1") as tail:
        put(client, stream, bomb)
        assert tail.rest() == [b"base64:" + base64.b64encode(bomb) + b"\n"]


def test_all_who_watch_see_all(hydrant, client, stream):
    with tailing(hydrant, stream) as one, tailing(hydrant, stream) as other:
        for number in range(20):
            put(client, stream, b"%d" % number)
        for tail in (one, other):
            assert tail.wait_for(20) == [b"%d\n" % number for number in range(20)]


def test_no_other_stream_s_records_are_seen(hydrant, client, stream, folder_bucket):
    other = create_stream(client, folder_bucket.arn)
    with tailing(hydrant, stream) as tail:
        put(client, other, b"other")
        put(client, stream, b"own")
        assert tail.wait_for(1) == [b"own\n"]


def test_only_what_was_taken_is_shown(start_hydrant):
    """The server takes the first entries of a batch and refuses the others."""
    hydrant = start_hydrant("--stream-limit", "*:records=3")
    client = hydrant.client()
    stream = create_stream(client, "arn:aws:s3:::bucket")
    with tailing(hydrant, stream) as tail:
        answer = client.put_record_batch(
            DeliveryStreamName=stream, Records=[{"Data": b"%d" % number} for number in range(5)]
        )
        assert answer["FailedPutCount"] == 2
        wait_until(lambda: not put_fails(client, stream, b"last"), "the limit to be over")
        assert tail.wait_for(4) == [b"0\n", b"1\n", b"2\n", b"last\n"]


def put_fails(client, stream: str, record: bytes) -> bool:
    """Whether a put is told to slow down."""
    records = [{"Data": record}]
    answer = client.put_record_batch(DeliveryStreamName=stream, Records=records)
    return answer["FailedPutCount"] > 0


# MARK: At a terminal

HOSTILE = (
    b"\x1b[2J\x1b]0;title\x07 \x1b[31m \r\x08\x7f\x00 \xc2\x9b31m "
    b"\xe2\x80\xae \xe2\x80\xa8 \x0b\x0c"
)
"""What clears a screen, sets a title, rings, goes back, and turns the writing around."""


def assert_harmless(shown: bytes) -> None:
    """Checks that a terminal obeys nothing of it but tabs and the ends of lines."""
    text = shown.replace(b"\r\n", b"\n").decode()
    assert not [each for each in text if each < " " and each not in "\n\t"], shown
    assert not [each for each in text if "\x7f" <= each <= "\x9f" or each in "\u202e\u2028"], shown


@pytest.mark.parametrize("options", [(), ("--json",)], ids=["text", "json"])
def test_a_terminal_gets_nothing_that_it_would_obey(hydrant, client, stream, options):
    with tailing(hydrant, stream, *options, terminal=True) as tail:
        put(client, stream, HOSTILE, gzip.compress(HOSTILE), b"\tplain \xc3\xa4")
        tail.wait_for(3)
        assert_harmless(tail.seen)
        assert "plain ä".encode() in tail.seen


def test_lines_and_tabs_stay_at_a_terminal(hydrant, client, stream):
    with tailing(hydrant, stream, terminal=True) as tail:
        put(client, stream, b"a\tb\nc\n")
        assert tail.wait_for(2) == [b"a\tb\r\n", b"c\r\n"]


def test_a_file_gets_what_was_put(hydrant, client, stream):
    with tailing(hydrant, stream) as tail:
        put(client, stream, HOSTILE)
        tail.wait_for(1)
        assert tail.seen == HOSTILE + b"\n"


# MARK: Too much


def test_what_cannot_be_shown_is_counted(hydrant, client, stream):
    """A watcher that is slow holds nobody up."""
    with tailing(hydrant, stream) as tail:
        tail.stopped()
        count = 300
        put_quickly(hydrant, stream, [b"%06d" % n + b"x" * 99_000 for n in range(count)])
        put(client, stream, b"last")
        tail.goes_on()
        tail.wait_for_end(b"last\n")
        shown = tail.seen.splitlines()
        assert 0 < len(shown) <= count
        assert left_out(tail.said()) == count + 1 - len(shown)
        numbers = [int(each[:6]) for each in shown[:-1]]
        assert numbers == list(range(count))[-len(numbers) :]


def test_very_many_small_records_are_no_trouble(hydrant, client, stream):
    with tailing(hydrant, stream) as tail:
        tail.stopped()
        count = 150_000
        put_quickly(hydrant, stream, [b"x"] * count)
        put(client, stream, b"last")
        tail.goes_on()
        tail.wait_for_end(b"last\n")
        assert left_out(tail.said()) == count + 1 - tail.seen.count(b"\n")


def test_many_producers_at_once_are_seen_whole(hydrant, stream):
    """Each record once, in the order of its own producer."""
    def produce(number: int) -> None:
        own = hydrant.client()
        for part in range(25):
            put(own, stream, *[b"%d %d" % (number, 10 * part + each) for each in range(10)])

    with tailing(hydrant, stream) as tail, ThreadPoolExecutor(8) as pool:
        list(pool.map(produce, range(8)))
        lines = tail.wait_for(2000)
        assert left_out(tail.said()) == 0
    assert len(lines) == 2000
    for number in range(8):
        own = [int(each.split()[1]) for each in lines if each.startswith(b"%d " % number)]
        assert own == list(range(250))


# MARK: The end


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda each: each.name)
def test_it_ends_when_it_is_interrupted(hydrant, client, stream, number):
    with tailing(hydrant, stream) as tail:
        put(client, stream, b"record")
        tail.wait_for(1)
        tail.process.send_signal(number)
        assert tail.process.wait(timeout=5) in (0, -number, 128 + number)
        assert tail.said() == b""


def test_it_goes_on_over_a_restart_of_the_server(make_hydrant):
    """What was put while it could not ask is shown or counted."""
    hydrant = make_hydrant(port=free_port()).start()
    stream = create_stream(hydrant.client(), "arn:aws:s3:::bucket")
    with tailing(hydrant, stream) as tail:
        put(hydrant.client(), stream, b"before")
        tail.wait_for(1)
        hydrant.sigkill()
        hydrant.start()
        put(hydrant.client(), stream, b"meanwhile")

        def shows(record: bytes) -> bool:
            put(hydrant.client(), stream, record)
            return record in tail.now()

        wait_until(lambda: shows(b"after"), "records of the new server", pause=0.3)
        tail.wait_for(2)
        said = tail.said()
        assert said.count(b"; waiting\n") <= 1
        shown = tail.seen.count(b"\n")
        wait_until(lambda: hydrant.delivered_records(stream) >= 2, "the deliveries")
        assert shown + left_out(said) >= 3


def test_a_stream_that_is_deleted_ends_it(hydrant, client, stream):
    with tailing(hydrant, stream) as tail:
        client.delete_delivery_stream(DeliveryStreamName=stream)
        assert tail.process.wait(timeout=10) == 1
        assert tail.said().startswith(b"hydrant: ResourceNotFoundException: ")


def test_a_stream_that_is_made_anew_is_watched(hydrant, client, stream, folder_bucket):
    """The places of the old one's records mean nothing in the new one."""
    with tailing(hydrant, stream) as tail:
        put(client, stream, *[b"old"] * 50)
        tail.wait_for(50)
        tail.stopped()
        client.delete_delivery_stream(DeliveryStreamName=stream)
        create_stream(client, folder_bucket.arn, name=stream)
        tail.goes_on()

        def shows() -> bool:
            put(client, stream, b"new")
            return tail.now().endswith(b"new\n")

        wait_until(shows, "records of the new stream", pause=0.3)


def test_output_that_nobody_reads_ends_it(hydrant, client, stream):
    with tailing(hydrant, stream) as tail:
        tail.close()
        put(client, stream, b"record")
        assert tail.process.wait(timeout=10) in (0, 1, 141, -signal.SIGPIPE)


def test_output_that_cannot_be_written_is_an_error(hydrant, client, stream):
    end = time.monotonic() + 20
    process = subprocess.Popen(
        ["sh", "-c", 'exec "$0" "$@" >/dev/full', BINARY, "tail", stream],
        stderr=subprocess.PIPE,
        env=clean_environment() | {"AWS_ENDPOINT_URL_FIREHOSE": hydrant.endpoint},
    )
    with process:
        assert process.stderr
        assert process.stderr.readline() == WAITING
        put(client, stream, b"record")
        assert process.wait(timeout=end - time.monotonic()) == 1
        assert process.stderr.read().startswith(b"hydrant: ")


# MARK: Errors


def test_a_stream_that_is_not_there_is_an_error(hydrant):
    done = run_hydrant(hydrant, "tail", "nobody")
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.startswith(b"hydrant: ResourceNotFoundException: ")


def test_nobody_listening_is_an_error(hydrant):
    url = f"http://127.0.0.1:{free_port()}"
    done = run_hydrant(hydrant, "tail", "any", "--endpoint-url", url)
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.startswith(b"hydrant: ")


def test_other_servers_do_not_have_it():
    """AWS's own, for one: it says what it says, and nothing hangs."""
    with StrictFirehose() as endpoint:
        done = run_redirected(endpoint, "", "tail", "any")
    assert done.returncode == 1
    assert done.stderr.startswith(b"hydrant: ")


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("a", "b"),
        ("a", "--json", "--raw"),
        ("a", "--limit", "0"),
        ("a", "--limit", "all"),
    ],
    ids=" ".join,
)
def test_wrong_arguments_are_refused(hydrant, arguments):
    done = run_hydrant(hydrant, "tail", *arguments)
    assert done.returncode == 64
    assert b"Usage" in done.stderr


# MARK: Keys


OPERATOR = Key("operator", "operator-secret", allow=EVERYTHING)
PRODUCER = Key("producer", "producer-secret", allow=(may("*"),))
WATCHER = Key(
    "watcher",
    "watcher-secret",
    allow=({"actions": ["hydrant:TailDeliveryStream"], "streams": ["mine-*"]},),
)


def test_a_key_needs_the_action_for_the_stream(start_hydrant, tmp_path):
    """All of AWS's own actions are not enough."""
    keys = write_keys(tmp_path / "keys.json", OPERATOR, PRODUCER, WATCHER)
    hydrant = start_hydrant("--credentials", str(keys))
    bucket = FolderBucket(hydrant.data / "buckets", fresh_name("bucket"))
    for name in ("mine-1", "yours-1"):
        create_stream(hydrant.client(OPERATOR), bucket.arn, name=name)
    for key, name in ((PRODUCER, "mine-1"), (WATCHER, "yours-1")):
        done = run_hydrant(hydrant, "tail", name, key=key)
        assert (done.returncode, done.stdout) == (1, b"")
        assert done.stderr.startswith(b"hydrant: AccessDeniedException: ")
        assert b"hydrant:TailDeliveryStream" in done.stderr
    done = run_hydrant(hydrant, "tail", "mine-1")
    assert done.stderr.startswith(b"hydrant: MissingAuthenticationTokenException: ")
    for key, name in ((WATCHER, "mine-1"), (OPERATOR, "yours-1")):
        with tailing(hydrant, name, key=key) as tail:
            put(hydrant.client(PRODUCER), name, b"record")
            assert tail.wait_for(1) == [b"record\n"]


def test_a_watcher_may_not_put(start_hydrant, tmp_path):
    keys = write_keys(tmp_path / "keys.json", OPERATOR, WATCHER)
    hydrant = start_hydrant("--credentials", str(keys))
    create_stream(hydrant.client(OPERATOR), "arn:aws:s3:::bucket", name="mine-1")
    client = hydrant.client(WATCHER)
    with pytest.raises(client.exceptions.ClientError, match="AccessDenied"):
        put(client, "mine-1", b"record")


def test_a_reader_that_has_enough_ends_it_quietly(hydrant, client, stream):
    """As in `hydrant tail STREAM | head -1`."""
    reading, writing = os.pipe()
    environment = clean_environment() | {"AWS_ENDPOINT_URL": hydrant.endpoint}
    with subprocess.Popen(
        [BINARY, "tail", stream],
        stdout=writing,
        stderr=subprocess.PIPE,
        env=environment,
    ) as process:
        os.close(writing)
        assert process.stderr.readline() == b"hydrant: waiting for records\n"
        os.close(reading)
        put(client, stream, b"nobody reads this")
        assert process.wait(30) == 128 + signal.SIGPIPE
        assert process.stderr.read() == b""


def test_every_line_of_json_says_when_it_arrived(hydrant, client, stream):
    """Also on a whole second, which JSON has without a fraction; the time is that of the put."""
    with tailing(hydrant, stream, "--json", "--limit", "200") as tail:
        began = time.time()
        for _ in range(200):
            put(client, stream, b"x\n")
        lines = [json.loads(line) for line in tail.rest()]
    arrivals = [datetime.fromisoformat(each["arrival"]).timestamp() for each in lines]
    assert len(arrivals) == 200
    assert all(began - 0.001 <= each <= time.time() + 0.001 for each in arrivals)
    assert arrivals == sorted(arrivals)
