"""HTTPS: who is served, with which certificate, and who is turned away."""

import json
import socket
import ssl
from contextlib import ExitStack
from pathlib import Path

import pytest
from botocore.exceptions import HTTPClientError

from buckets import FolderBucket
from certificates import Authority, Pair
from commands import run_aws, run_curl, run_hydrant
from keys import PRODUCER, TEMPORARY, UNKNOWN, write_keys
from streams import create_stream, fresh_name, put
from waiting import wait_until
from wire import put_body

TIME_OUT_SECONDS = 20

HEALTH = b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


@pytest.fixture(scope="module")
def authority(tmp_path_factory) -> Authority:
    """The authority that clients trust."""
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def tls_hydrant(authority, start_module_hydrant):
    """A server with TLS that the module's tests share."""
    return start_module_hydrant(*authority.server("shared").options)


@pytest.fixture
def tls_client(tls_hydrant, authority):
    """A boto3 client of that server."""
    return tls_hydrant.client(verify=authority.path)


@pytest.fixture
def tls_bucket(tls_hydrant) -> FolderBucket:
    """A bucket of that server."""
    return FolderBucket(tls_hydrant.data / "buckets", fresh_name("bucket"))


@pytest.fixture
def own_pair(authority) -> Pair:
    """A certificate that a test may replace."""
    return authority.server(fresh_name("own"))


def context(authority: Authority, own: Pair | None = None) -> ssl.SSLContext:
    """A client's settings: it trusts the authority, and may have a certificate to show."""
    made = ssl.create_default_context(cafile=authority.path)
    if own:
        made.load_cert_chain(own.certificate, own.key)
    return made


def ask(port: int, settings: ssl.SSLContext, request: bytes = HEALTH) -> tuple[bytes, dict, str]:
    """Sends a request by TLS; returns the answer, the server's certificate and TLS's version."""
    with (
        socket.create_connection(("127.0.0.1", port), timeout=TIME_OUT_SECONDS) as raw,
        settings.wrap_socket(raw, server_hostname="127.0.0.1") as secured,
    ):
        secured.sendall(request)
        received = b""
        while part := secured.recv(65_536):
            received += part
        return received, secured.getpeercert(), secured.version()


def served_serial(port: int, authority: Authority) -> int:
    """The serial number of the certificate that a new connection sees."""
    _, certificate, _ = ask(port, context(authority))
    return int(certificate["serialNumber"], 16)


# MARK: Clients


def test_it_says_https_where_it_listens(tls_hydrant):
    expected = f"hydrant is listening on https://127.0.0.1:{tls_hydrant.port}\n"
    assert tls_hydrant.stdout() == expected


def test_boto3_puts_by_tls(tls_client, tls_bucket):
    stream = create_stream(tls_client, tls_bucket.arn)
    put(tls_client, stream, b"a", b"b")
    tls_client.put_record(DeliveryStreamName=stream, Record={"Data": b"c"})
    tls_bucket.wait_for(b"abc")


def test_large_bodies_go_through(tls_client, tls_bucket):
    stream = create_stream(tls_client, tls_bucket.arn)
    put(tls_client, stream, *[bytes([number]) * 1_000_000 for number in range(4)])
    tls_bucket.wait_for(b"".join(bytes([number]) * 1_000_000 for number in range(4)))


def test_the_aws_cli_puts_by_tls(tls_hydrant, tls_client, tls_bucket, authority):
    stream = create_stream(tls_client, tls_bucket.arn)
    arguments = ("put-record", "--delivery-stream-name", stream, "--record", "Data=cli")
    done = run_aws(tls_hydrant, *arguments, AWS_CA_BUNDLE=str(authority.path))
    assert done.returncode == 0, done.stderr
    tls_bucket.wait_for(b"cli")
    assert run_aws(tls_hydrant, *arguments).returncode != 0, "an unknown authority was trusted"


def test_hydrant_s_own_client_puts_by_tls(tls_hydrant, tls_client, tls_bucket, authority):
    stream = create_stream(tls_client, tls_bucket.arn)
    arguments = ("put", stream, "--retry-duration", "0")
    bundle = {"AWS_CA_BUNDLE": str(authority.path)}
    done = run_hydrant(tls_hydrant, *arguments, stdin=b"own\n", **bundle)
    assert done.returncode == 0, done.stderr
    assert run_hydrant(tls_hydrant, *arguments, stdin=b"evil\n").returncode != 0
    tls_bucket.wait_for(b"own\n")


def test_hydrant_s_own_client_does_not_try_a_stranger_s_certificate_again(
    tls_hydrant, tls_client, tls_bucket
):
    """It will not be trusted later either, however long one waits."""
    name = create_stream(tls_client, tls_bucket.arn)
    done = run_hydrant(tls_hydrant, "put", name, "--retry-duration", "300", stdin=b"line\n")
    assert done.returncode == 1
    first, last = done.stderr.decode().splitlines()
    assert first.startswith("hydrant: ")
    assert last == "0 records, 0 bytes"


def test_curl_puts_by_tls(tls_hydrant, tls_client, tls_bucket, authority, tmp_path):
    stream = create_stream(tls_client, tls_bucket.arn)
    body = tmp_path / "body.json"
    body.write_text(json.dumps(put_body(stream, b"curl")))
    options = ("--cacert", str(authority.path))
    done = run_curl(tls_hydrant, "PutRecordBatch", body, *options, key=PRODUCER)
    assert done.stdout.endswith("\n200"), done.stdout + done.stderr
    tls_bucket.wait_for(b"curl")


def test_signatures_are_checked_behind_tls_too(start_hydrant, authority, own_pair, tmp_path):
    keys = write_keys(tmp_path / "keys.json", PRODUCER, TEMPORARY)
    hydrant = start_hydrant("--credentials", str(keys), *own_pair.options)
    for key in (PRODUCER, TEMPORARY):
        hydrant.client(key, verify=authority.path).list_delivery_streams()
    stranger = hydrant.client(UNKNOWN, verify=authority.path)
    with pytest.raises(stranger.exceptions.ClientError, match="UnrecognizedClientException"):
        stranger.list_delivery_streams()


@pytest.mark.parametrize("kind", ["ec", "rsa"])
def test_keys_of_both_kinds_are_taken(start_hydrant, authority, kind):
    hydrant = start_hydrant(*authority.server(f"of-{kind}", kind=kind).options)
    assert ask(hydrant.port, context(authority))[0].startswith(b"HTTP/1.1 200")


# MARK: Versions


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_current_versions_work(tls_hydrant, authority, version):
    settings = context(authority)
    settings.minimum_version = settings.maximum_version = version
    answer, _, spoken = ask(tls_hydrant.port, settings)
    assert answer.startswith(b"HTTP/1.1 200")
    assert spoken == version.name.replace("_", ".")


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_old_versions_are_refused_by_the_server(tls_hydrant, authority, version):
    """The alert shows that it was not the client's own library that refused."""
    settings = context(authority)
    settings.set_ciphers("ALL:@SECLEVEL=0")
    settings.minimum_version = settings.maximum_version = version
    with pytest.raises(ssl.SSLError) as caught:
        ask(tls_hydrant.port, settings)
    assert caught.value.reason == "TLSV1_ALERT_PROTOCOL_VERSION"


# MARK: What is not TLS


def test_plain_http_ends_without_an_answer_and_harms_nobody(tls_hydrant, authority):
    with socket.create_connection(("127.0.0.1", tls_hydrant.port), TIME_OUT_SECONDS) as raw:
        raw.sendall(HEALTH)
        try:
            received = raw.recv(65_536)
        except ConnectionResetError:
            received = b""
    assert not received.startswith(b"HTTP"), "it was answered in the clear"
    assert ask(tls_hydrant.port, context(authority))[0].startswith(b"HTTP/1.1 200")


def test_garbage_harms_nobody(tls_hydrant, authority):
    for garbage in (b"\0" * 5_000, b"\x16\x03\x01\xff\xff" + b"x" * 70_000, b"\x16\x03\x01"):
        with socket.create_connection(("127.0.0.1", tls_hydrant.port), TIME_OUT_SECONDS) as raw:
            try:
                raw.sendall(garbage)
            except (BrokenPipeError, ConnectionResetError):
                pass
    assert ask(tls_hydrant.port, context(authority))[0].startswith(b"HTTP/1.1 200")


def test_clients_that_stop_in_the_handshake_hold_nobody_up(tls_hydrant, tls_client, authority):
    """Fifty say nothing, fifty say the first half of a hello, while another is served."""
    hello = ssl.MemoryBIO()
    settings = context(authority)
    with pytest.raises(ssl.SSLWantReadError):
        settings.wrap_bio(ssl.MemoryBIO(), hello, server_hostname="127.0.0.1").do_handshake()
    half = hello.read()[:100]
    with ExitStack() as stack:
        for number in range(100):
            raw = socket.create_connection(("127.0.0.1", tls_hydrant.port), TIME_OUT_SECONDS)
            stack.enter_context(raw)
            if number % 2:
                raw.sendall(half)
        for _ in range(20):
            assert ask(tls_hydrant.port, settings)[0].startswith(b"HTTP/1.1 200")
        tls_client.list_delivery_streams()


def test_a_handshake_that_never_ends_does_not_hold_up_the_stop(start_hydrant, own_pair):
    hydrant = start_hydrant(*own_pair.options)
    with socket.create_connection(("127.0.0.1", hydrant.port), TIME_OUT_SECONDS) as raw:
        raw.sendall(b"\x16\x03\x01")
        assert hydrant.sigterm() == 0


# MARK: Changing the certificate


def test_a_new_certificate_is_served_after_sighup(start_hydrant, authority, own_pair):
    hydrant = start_hydrant(*own_pair.options)
    old = own_pair.serial
    with (
        socket.create_connection(("127.0.0.1", hydrant.port), TIME_OUT_SECONDS) as raw,
        context(authority).wrap_socket(raw, server_hostname="127.0.0.1") as kept,
    ):
        kept.sendall(HEALTH.replace(b"Connection: close\r\n", b""))
        received = b""
        while b'"status"' not in received:
            received += kept.recv(65_536)
        new = authority.server(own_pair.certificate.stem, kind="rsa").serial
        assert served_serial(hydrant.port, authority) == old, "read before it was asked for"
        hydrant.sighup()
        wait_until(lambda: served_serial(hydrant.port, authority) == new, "the new certificate")

        kept.sendall(HEALTH)
        assert kept.recv(65_536).startswith(b"HTTP/1.1 200"), "an old connection was ended"


def damage(pair: Pair, fault: str, authority: Authority) -> None:
    """Makes a pair's files such that nothing can be served with them."""
    if fault == "garbage":
        pair.certificate.write_text("not a certificate")
    elif fault == "absent":
        pair.key.unlink()
    elif fault == "empty":
        pair.certificate.write_bytes(b"")
    else:
        pair.key.write_bytes(authority.server(fresh_name("other")).key.read_bytes())


FAULTS = ["garbage", "absent", "empty", "mismatch"]


@pytest.mark.parametrize("fault", FAULTS)
def test_files_that_are_bad_leave_the_old_certificate(start_hydrant, authority, own_pair, fault):
    hydrant = start_hydrant(*own_pair.options)
    serial = own_pair.serial
    damage(own_pair, fault, authority)
    hydrant.sighup()
    hydrant.wait_for_log(rf"(?m)^.*\berror\b.*{own_pair.certificate.stem}.*$")
    assert served_serial(hydrant.port, authority) == serial

    mended = authority.server(own_pair.certificate.stem).serial
    hydrant.sighup()
    wait_until(lambda: served_serial(hydrant.port, authority) == mended, "the mended files")


@pytest.mark.parametrize("fault", FAULTS)
def test_files_that_are_bad_are_refused_at_the_start(make_hydrant, authority, own_pair, fault):
    damage(own_pair, fault, authority)
    said = make_hydrant(*own_pair.options).refusal_to_start()
    assert own_pair.certificate.stem in said
    assert "Fatal error" not in said


def test_a_certificate_needs_its_key_and_a_key_its_certificate(make_hydrant, own_pair):
    assert "--tls-key" in make_hydrant(*own_pair.options[:2]).refusal_to_start()
    assert "--tls-certificate" in make_hydrant(*own_pair.options[2:]).refusal_to_start()


def test_a_client_authority_needs_a_certificate(make_hydrant, authority):
    said = make_hydrant("--tls-client-ca", str(authority.path)).refusal_to_start()
    assert "--tls-certificate" in said


# MARK: Client certificates


def is_turned_away(port: int, settings: ssl.SSLContext) -> bool:
    """Whether the server ends the connection. With TLS 1.3 that shows after the handshake."""
    try:
        answer, _, _ = ask(port, settings)
    except (ssl.SSLError, ConnectionError):
        return True
    assert answer == b"" or answer.startswith(b"HTTP/1.1 200")
    return answer == b""


@pytest.fixture(scope="module")
def closed_hydrant(authority, start_module_hydrant):
    """A server that demands certificates of its clients."""
    options = (*authority.server("closed").options, "--tls-client-ca", str(authority.path))
    return start_module_hydrant(*options)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_client_certificate_is_demanded(closed_hydrant, authority, version):
    def settings(own: Pair | None) -> ssl.SSLContext:
        made = context(authority, own)
        made.minimum_version = made.maximum_version = version
        return made

    stranger = Authority(authority.path.parent / "strangers", "stranger").client()
    port = closed_hydrant.port
    assert not is_turned_away(port, settings(authority.client()))
    assert is_turned_away(port, settings(None))
    assert is_turned_away(port, settings(stranger))
    assert is_turned_away(port, settings(authority.client("lapsed", lapsed=True)))
    assert not is_turned_away(port, settings(authority.client()))


def test_boto3_shows_its_certificate(closed_hydrant, authority):
    own = authority.client("boto3")
    closed_hydrant.client(verify=authority.path, certificate=own).list_delivery_streams()
    with pytest.raises((HTTPClientError, OSError)):
        closed_hydrant.client(verify=authority.path).list_delivery_streams()


def test_a_client_authority_that_is_none_is_refused(make_hydrant, authority, own_pair, tmp_path):
    for path in (tmp_path / "absent.pem", Path(own_pair.key)):
        options = (*own_pair.options, "--tls-client-ca", str(path))
        assert path.name in make_hydrant(*options).refusal_to_start()


def test_a_client_that_ends_its_side_without_a_goodbye_gets_its_answer(
    tls_hydrant, tls_client, tls_bucket, authority
):
    """The record is stored, so that a client that heard nothing would put it again."""
    stream = create_stream(tls_client, tls_bucket.arn)
    body = json.dumps(put_body(stream, b"once")).encode()
    head = (
        "POST / HTTP/1.1\r\nHost: localhost\r\nX-Amz-Target: Firehose_20150804.PutRecordBatch\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    with (
        socket.create_connection(("127.0.0.1", tls_hydrant.port), TIME_OUT_SECONDS) as raw,
        context(authority).wrap_socket(raw, server_hostname="127.0.0.1") as secured,
    ):
        secured.sendall(head.encode() + body)
        # Of TCP alone: the TLS layer's own shutdown would send the goodbye first.
        socket.socket.shutdown(secured, socket.SHUT_WR)
        received = b""
        while b"RecordId" not in received and (part := secured.recv(65_536)):
            received += part
    assert received.startswith(b"HTTP/1.1 200"), received
