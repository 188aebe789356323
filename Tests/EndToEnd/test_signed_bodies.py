"""Signatures and the ways in which requests come over the line: bodies, connections, headers."""

import gzip
import hashlib
from contextlib import ExitStack
from dataclasses import replace

import pytest

from keys import PRODUCER, UNKNOWN, Key
from signed import UNSIGNED_PAYLOAD, Message, Signer, exchange, message, refusal
from wire import Connection, put_body, request

MAXIMUM_BODY_BYTES = 8 * 1024 * 1024

MAXIMUM_MEMORY_BYTES = 200 * 1000 * 1000

LIST = message("ListDeliveryStreams", {"Limit": 10})

SIGNER = Signer(PRODUCER)

FORGER = Signer(Key("producer", "wrong"))


@pytest.fixture
def port(guarded_hydrant) -> int:
    """Where the shared server listens."""
    return guarded_hydrant.port


@pytest.fixture
def connection(port):
    """A connection to the shared server."""
    with Connection(port) as connection:
        yield connection


def batch(stream: str, *records: bytes) -> Message:
    """A PutRecordBatch that is not signed yet."""
    return message("PutRecordBatch", put_body(stream, *records))


# MARK: x-amz-content-sha256


def with_digest(digest: str) -> Message:
    """A request whose signed headers say what the body's hash is, signed for that hash."""
    request = LIST.adding(("X-Amz-Content-Sha256", digest))
    return SIGNER.sign(request, payload_hash=digest)


def test_the_body_s_hash_may_be_given(port):
    assert exchange(port, with_digest(hashlib.sha256(LIST.body).hexdigest())).status == 200


def test_a_body_may_be_left_unsigned_in_so_many_words(port):
    request = with_digest(UNSIGNED_PAYLOAD)
    assert exchange(port, request).status == 200
    assert exchange(port, replace(request, body=b'{"Limit": 1}')).status == 200


@pytest.mark.parametrize(
    "digest",
    [
        hashlib.sha256(b"another body").hexdigest(),
        hashlib.sha256(b"").hexdigest(),
        "unsigned-payload",
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
        "0" * 64,
        "x",
    ],
)
def test_a_hash_that_is_not_the_body_s_is_refused(port, digest):
    """The signature itself is right: it is over the hash that was given."""
    assert refusal(port, with_digest(digest))[0] == "InvalidSignatureException"


def test_a_body_that_is_not_the_one_of_the_given_hash_is_refused(port):
    request = with_digest(hashlib.sha256(LIST.body).hexdigest())
    assert refusal(port, replace(request, body=b"{}"))[0] == "InvalidSignatureException"


def test_a_body_cannot_be_declared_unsigned_after_signing(port):
    request = replace(SIGNER.sign(LIST), body=b'{"Limit": 1}')
    request = request.adding(("X-Amz-Content-Sha256", UNSIGNED_PAYLOAD))
    assert refusal(port, request)[0] in {
        "InvalidSignatureException",
        "IncompleteSignatureException",
    }


# MARK: Bodies


@pytest.mark.parametrize("size", [1, 7, 4_096])
def test_a_chunked_body_is_signed_as_if_it_were_whole(
    connection, guarded_stream, guarded_bucket, size
):
    request = SIGNER.sign(batch(guarded_stream, bytes(1_000)))
    connection.send(request.encode_chunked(size))
    assert connection.answer().status == 200
    connection.send(replace(request, body=request.body.replace(b"AA", b"AB", 1)).encode_chunked(7))
    assert connection.answer().error == "InvalidSignatureException"
    guarded_bucket.wait_for(bytes(1_000))


def test_a_packed_body_is_signed_as_it_is_sent(connection, guarded_stream, guarded_bucket):
    plain = batch(guarded_stream, b"packed")
    packed = replace(plain, body=gzip.compress(plain.body)).adding(("Content-Encoding", "gzip"))
    assert connection.exchange(SIGNER.sign(packed).encode()).status == 200
    over_plain = SIGNER.sign(packed, payload_hash=hashlib.sha256(plain.body).hexdigest())
    assert connection.exchange(over_plain.encode()).error == "InvalidSignatureException"
    guarded_bucket.wait_for(b"packed")


def test_a_packed_body_in_chunks_is_signed_as_it_is_packed(
    connection, guarded_stream, guarded_bucket
):
    plain = batch(guarded_stream, b"both")
    packed = replace(plain, body=gzip.compress(plain.body)).adding(("Content-Encoding", "gzip"))
    connection.send(SIGNER.sign(packed).encode_chunked(5))
    assert connection.answer().status == 200
    guarded_bucket.wait_for(b"both")


def test_bodies_that_unpack_badly_are_a_matter_for_who_is_known(connection):
    """Nothing is unpacked or parsed for those who are not."""
    broken = replace(LIST, body=b"not gzip").adding(("Content-Encoding", "gzip"))
    assert connection.exchange(SIGNER.sign(broken).encode()).error == "SerializationException"
    assert connection.exchange(FORGER.sign(broken).encode()).error == "InvalidSignatureException"


def test_an_empty_body_is_signed_too(port):
    assert exchange(port, SIGNER.sign(replace(LIST, body=b""))).status in (200, 400)
    assert refusal(port, FORGER.sign(replace(LIST, body=b"")))[0] == "InvalidSignatureException"


def test_expect_100_continue_goes_on_to_the_body(connection, guarded_stream, guarded_bucket):
    request = SIGNER.sign(batch(guarded_stream, b"expected"))
    connection.send(request.head(f"Content-Length: {len(request.body)}", "Expect: 100-continue"))
    assert connection.answer().status == 100
    assert connection.exchange(request.body).status == 200
    guarded_bucket.wait_for(b"expected")


def test_a_body_of_8_mib_is_read_and_checked_to_its_end(connection, guarded_stream, guarded_bucket):
    """White space makes it that long."""
    plain = batch(guarded_stream, b"padded")
    request = SIGNER.sign(replace(plain, body=plain.body.ljust(MAXIMUM_BODY_BYTES)))
    assert connection.exchange(request.encode()).status == 200
    tampered = replace(request, body=request.body[:-1] + b"\n")
    assert connection.exchange(tampered.encode()).error == "InvalidSignatureException"
    guarded_bucket.wait_for(b"padded")


def test_a_large_body_from_an_unknown_key_is_refused(port):
    request = Signer(UNKNOWN).sign(message("PutRecordBatch", b" " * MAXIMUM_BODY_BYTES))
    assert refusal(port, request)[0] == "UnrecognizedClientException"


def test_large_bodies_from_unknown_keys_cost_little_memory(start_hydrant, guarded_hydrant):
    hydrant = start_hydrant("--credentials", str(guarded_hydrant.folder / "keys.json"))
    request = Signer(UNKNOWN).sign(message("PutRecordBatch", b" " * MAXIMUM_BODY_BYTES)).encode()
    with ExitStack() as stack:
        connections = [stack.enter_context(Connection(hydrant.port)) for _ in range(60)]
        for connection in connections:
            connection.send(request)
        for connection in connections:
            assert connection.answer().error == "UnrecognizedClientException"
    assert hydrant.peak_memory_bytes() < MAXIMUM_MEMORY_BYTES


# MARK: Connections


def test_pipelined_requests_are_judged_one_by_one(connection, guarded_stream, guarded_bucket):
    puts = [SIGNER.sign(batch(guarded_stream, b"%d," % each)).encode() for each in range(20)]
    forged = FORGER.sign(batch(guarded_stream, b"evil")).encode()
    unsigned = request("ListDeliveryStreams", b"{}")
    connection.send(b"".join(puts[:10]) + forged + unsigned + b"".join(puts[10:]))
    answers = [connection.answer() for _ in range(22)]
    assert [each.status for each in answers] == [200] * 10 + [400] * 2 + [200] * 10
    assert answers[10].error == "InvalidSignatureException"
    assert answers[11].error == "MissingAuthenticationTokenException"
    guarded_bucket.wait_for(b"".join(b"%d," % each for each in range(20)))


def test_a_connection_outlives_many_refusals(connection):
    good, bad = SIGNER.sign(LIST).encode(), FORGER.sign(LIST).encode()
    for _ in range(50):
        assert connection.exchange(bad).status == 400
        assert connection.exchange(good).status == 200


def test_who_is_let_in_once_is_asked_again(connection):
    """A connection is nobody's."""
    assert connection.exchange(SIGNER.sign(LIST).encode()).status == 200
    again = connection.exchange(LIST.encode())
    assert again.error == "MissingAuthenticationTokenException"


def test_a_request_may_come_byte_by_byte(connection, guarded_stream, guarded_bucket):
    connection.send_slowly(SIGNER.sign(batch(guarded_stream, b"slow")).encode(), pause=0.001)
    assert connection.answer().status == 200
    guarded_bucket.wait_for(b"slow")


# MARK: Canonical forms


@pytest.mark.parametrize("query", ["", "?a=1"])
def test_a_target_in_absolute_form_is_signed_by_its_path(port, query):
    """As proxies are asked for it (RFC 9112, section 3.2.2)."""
    for place in (f"http://127.0.0.1:{port}", "http://localhost", "HTTP://example.com:80"):
        request = SIGNER.sign(replace(LIST, target=f"/{query}"))
        answer = exchange(port, replace(request, target=f"{place}/{query}"))
        assert answer.status == 200, answer.body
        forged = FORGER.sign(replace(LIST, target=f"/{query}"))
        forged = replace(forged, target=f"{place}/{query}")
        assert refusal(port, forged)[0] == "InvalidSignatureException"


@pytest.mark.parametrize(
    "headers",
    [
        (("X-Runs", "a   b \t  c"),),
        (("X-Quoted", '"a   b"'),),
        (("X-Around", "   a   "),),
        (("X-Empty", ""),),
        (("X-Twice", "b"), ("X-Twice", "a")),
        (("X-Twice", "b"), ("x-twice", " a  b "), ("X-TWICE", "")),
        (("X-Commas", "a,b"), ("X-Commas", "c")),
        (("x-amz-a-b", "1"), ("x-amz-a", "2"), ("x-amz-ab", "3")),
        (("X_Under", "1"), ("X-Under", "2")),
        (("X-Utf8", "ünï 日本"),),
        (("X-Colon", "a:b:c"),),
    ],
    ids=str,
)
def test_header_values_are_put_into_canonical_form(port, headers):
    assert exchange(port, SIGNER.sign(LIST.adding(*headers))).status == 200
    forged = FORGER.sign(LIST.adding(*headers))
    assert refusal(port, forged)[0] == "InvalidSignatureException"


def test_the_order_of_repeated_headers_counts(port):
    """Each of the two is signed over by itself; swapped, they are another request."""
    one = SIGNER.sign(LIST.adding(("X-Twice", "a"), ("X-Twice", "b")))
    swapped = LIST.adding(("X-Twice", "b"), ("X-Twice", "a"), *one.headers[len(LIST.headers) + 2 :])
    assert exchange(port, one).status == 200
    assert refusal(port, swapped)[0] == "InvalidSignatureException"


def test_a_value_added_to_a_signed_header_is_noticed(port):
    request = SIGNER.sign(LIST.adding(("X-Once", "a"))).adding(("X-Once", "b"))
    assert refusal(port, request)[0] == "InvalidSignatureException"


def test_headers_that_proxies_add_do_not_matter(port):
    """Those that were not signed and do not begin with x-amz-."""
    request = SIGNER.sign(LIST).adding(("Via", "1.1 proxy"), ("X-Forwarded-For", "192.0.2.1"))
    assert exchange(port, request).status == 200


def test_the_names_of_headers_may_be_written_in_any_case(port):
    request = SIGNER.sign(LIST)
    loud = tuple((name.upper(), value) for name, value in request.headers)
    assert exchange(port, replace(request, headers=loud)).status == 200


@pytest.mark.parametrize("separator", [", ", ",", " ,  "], ids=repr)
def test_the_parts_of_authorization_may_stand_apart_or_not(port, separator):
    request = SIGNER.sign(LIST)
    value = request.header("Authorization").replace(", ", separator)
    request = request.without("Authorization").adding(("Authorization", value))
    assert exchange(port, request).status == 200


@pytest.mark.parametrize(
    "query",
    [
        "b=1&a=2",
        "a=2&a=1&a=",
        "a",
        "a&b=&c=d=e",
        "A=1&a=2&B=3",
        "a-b=1&a=2&a.b=3&a%2Fb=4",
        "%E1%88%B4=1&z=2",
        "z=%2f%2F&y=%41%7e",
        "space=a%20b&plus=%2B",
        "Action=%24x&b=%26%3D%3F",
        "a=" + "x" * 2_000,
    ],
)
def test_queries_are_put_into_canonical_form(port, query):
    """Sorted by what is encoded, and encoded in one way only."""
    request = SIGNER.sign(replace(LIST, target=f"/?{query}"))
    assert exchange(port, request).status == 200
    assert refusal(port, replace(request, target=f"/?{query}0"))[0] == "InvalidSignatureException"


def test_a_query_may_be_rearranged_without_changing_what_it_says(port):
    request = SIGNER.sign(replace(LIST, target="/?b=%2F&a=1"))
    for target in ("/?a=1&b=%2F", "/?b=%2f&a=1", "/?%61=1&b=%2F"):
        assert exchange(port, replace(request, target=target)).status == 200
