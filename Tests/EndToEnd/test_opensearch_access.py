"""How search servers are reached: credentials, TLS, and the file that says so."""

import hashlib
import json
import re
from base64 import b64encode
from urllib.parse import parse_qsl, quote

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from bulk_faults import Bulk, BulkFaults
from bulk_replies import answer, one_by_one, reset
from certificates import Authority
from keys import write_private
from plaintext import forms
from search_fixtures import endpoint_settings
from search_streams import (
    ELASTICSEARCH,
    OPENSEARCH,
    create_search_stream,
    numbered,
)
from streams import describe
from updates import assert_refused, described, update
from waiting import wait_until

pytest_plugins = ["search_fixtures"]

PASSWORD = "hidden-away"

API_KEY = b64encode(b"id:also-hidden-away").decode()

AWS = {"AWS_ACCESS_KEY_ID": "searchkey", "AWS_SECRET_ACCESS_KEY": "search/secret+key"}

SIGNATURE = re.compile(
    r"AWS4-HMAC-SHA256 Credential=searchkey/\d{8}/eu-west-1/es/aws4_request, ?"
    r"SignedHeaders=(?P<signed>[^,]+), ?Signature=(?P<signature>[0-9a-f]{64})"
)


def basic(user: str, password: str) -> str:
    """The header that shows a user's password."""
    return "Basic " + b64encode(f"{user}:{password}".encode()).decode()


def with_user(endpoint: str, user: str) -> str:
    """An endpoint with somebody in front of the host."""
    return endpoint.replace("://", f"://{user}@")


def authorization(bulk: Bulk) -> str | None:
    """What a request shows, at most once."""
    shown = bulk.headers.get_all("Authorization", [])
    assert len(shown) <= 1
    return shown[0] if shown else None


# MARK: Credentials in the endpoint


@pytest.mark.parametrize("kind", [OPENSEARCH, ELASTICSEARCH])
def test_a_password_in_the_endpoint_is_shown_to_the_server_alone(start_search, faults, kind):
    """Neither to who describes the stream, nor in the log, whatever goes wrong."""
    search = start_search("--log-level", "debug")
    faults.plan = one_by_one(answer(401))
    endpoint = with_user(faults.endpoint, f"user:{PASSWORD}")
    flow = search.flow(endpoint=endpoint, kind=kind)
    flow.put(*numbered(2), b"bad")
    _, (failed,) = flow.settle(2, 1)
    assert [authorization(each) for each in faults.requests] == [basic("user", PASSWORD)] * 2

    starred = endpoint.replace(PASSWORD, "****")
    assert described(search.client, flow.stream, kind)["ClusterEndpoint"] == starred
    search.hydrant.restart()
    assert described(search.client, flow.stream, kind)["ClusterEndpoint"] == starred
    flow.put(b'{"n": 2}')
    flow.settle(3, 1)
    assert authorization(faults.requests[-1]) == basic("user", PASSWORD)

    gone = search.flow(endpoint="http://user:hidden-away@127.0.0.1:1", retry=0)
    gone.put(b"{}")
    failed = [failed, *gone.wait_for_failures(1)]
    assert not any(PASSWORD in each.message for each in failed)
    encoded = basic("user", PASSWORD).removeprefix("Basic ").encode()
    said = search.hydrant.log().encode()
    assert not any(form in said for form in (*forms(PASSWORD.encode()), encoded))


def test_a_user_in_the_endpoint_may_be_percent_encoded(search, faults):
    flow = search.flow(endpoint=with_user(faults.endpoint, "us%40er:p%3Ass%2Fw%20d"))
    flow.put(b"{}")
    flow.settle(1)
    assert authorization(faults.requests[0]) == basic("us@er", "p:ss/w d")


# MARK: Credentials in the settings


def test_the_settings_say_what_to_show(start_search, osmem, tmp_path):
    """The first pattern that fits the endpoint counts; without one, nothing is shown."""
    with BulkFaults(osmem) as one, BulkFaults(osmem) as other:
        settings = endpoint_settings(
            tmp_path / "endpoints.json",
            {"endpoint": f"{one.endpoint}/passw?rd*", "username": "user", "password": "p:äss"},
            {"endpoint": f"{one.endpoint}/key", "apiKey": "a2V5OnNlY3JldA=="},
            {"endpoint": f"{one.endpoint}/*", "username": "last", "password": "resort"},
        )
        search = start_search(*settings)
        expected = {
            (one, "/password"): basic("user", "p:äss"),
            (one, "/password/key"): basic("user", "p:äss"),
            (one, "/passwrd"): basic("last", "resort"),
            (one, "/key"): "ApiKey a2V5OnNlY3JldA==",
            (one, "/else"): basic("last", "resort"),
            (one, ""): None,
            (other, "/password"): None,
        }
        flows = [search.flow(server, path=path) for server, path in expected]
        for flow in flows:
            flow.put(b"{}")
        for flow, ((server, path), shown) in zip(flows, expected.items(), strict=True):
            flow.settle(1)
            assert authorization(server.requests_at(path)[0]) == shown, path


@pytest.mark.parametrize("token", [None, "a/session+token=="])
def test_requests_are_signed_as_aws_signs_them(start_search, faults, tmp_path, token):
    """With the keys in the environment; a packed body is signed as it is sent."""
    signing = {"service": "es", "region": "eu-west-1"}
    settings = endpoint_settings(
        tmp_path / "endpoints.json",
        {"endpoint": "*/packed", "sigV4": signing, "compression": "GZIP"},
        {"endpoint": "*", "sigV4": signing},
    )
    environment = AWS | ({"AWS_SESSION_TOKEN": token} if token else {})
    search = start_search(*settings, environment=environment)
    paths = ["", "/packed", "/some%20path/%C3%A4"]
    flows = [search.flow(faults, path=path) for path in paths]
    for flow in flows:
        flow.put(*numbered(3, text="ä"))
    for flow in flows:
        flow.settle(3)
    assert len(faults.requests) == len(paths)
    for each in faults.requests:
        assert_signed(each, faults.endpoint, token)
    assert faults.requests_at("/packed")[0].headers["Content-Encoding"] == "gzip"


def assert_signed(bulk: Bulk, endpoint: str, token: str | None) -> None:
    """Checks a request's signature with botocore's own signer."""
    match = SIGNATURE.fullmatch(authorization(bulk) or "")
    assert match, bulk.headers
    signed = match["signed"].split(";")
    assert signed == sorted(signed)
    amazons = {name.lower() for name in bulk.headers if name.lower().startswith("x-amz-")}
    assert {"host"} | amazons <= set(signed)
    assert bulk.headers["X-Amz-Security-Token"] == token
    claimed = bulk.headers.get("X-Amz-Content-Sha256")
    assert claimed in (None, hashlib.sha256(bulk.sent).hexdigest())
    # With the headers that were signed, as they were sent. botocore takes a query as it is, while
    # AWS encodes it in its own way before it looks at the signature.
    headers = {name: bulk.headers[name] for name in signed}
    query = "&".join(sorted(f"{quote(n)}={quote(v)}" for n, v in parse_qsl(bulk.query)))
    request = AWSRequest(bulk.method, f"{endpoint}{bulk.path}?{query}", headers, bulk.sent)
    request.context["timestamp"] = bulk.headers["X-Amz-Date"]
    credentials = Credentials(*AWS.values(), token)
    signer = SigV4Auth(credentials, "es", "eu-west-1")
    canonical = signer.canonical_request(request)
    text = signer.string_to_sign(request, canonical)
    assert signer.signature(text, request) == match["signature"], canonical


# MARK: TLS


def test_a_server_is_trusted_by_its_authority(start_search, osmem, tmp_path):
    """The one that the settings name for it; by no other is it sent anything."""
    authority = Authority(tmp_path / "authority")
    stranger = Authority(tmp_path / "stranger", "stranger")
    with BulkFaults(osmem, pair=authority.server()) as faults:
        settings = endpoint_settings(
            tmp_path / "endpoints.json",
            {"endpoint": "*/trusted", "certificateAuthority": str(authority.path)},
            {"endpoint": "*/strange", "certificateAuthority": str(stranger.path)},
        )
        search = start_search(*settings)
        trusted = search.flow(faults, path="/trusted")
        trusted.put(*numbered(3))
        trusted.settle(3)
        for path in ("/strange", "/unnamed"):
            flow = search.flow(faults, path=path, retry=0)
            flow.put(b"{}")
            (failed,) = flow.wait_for_failures(1)
            assert not failed.code.isdigit()
            assert faults.requests_at(path) == []


# MARK: What is refused


def assert_hides_secrets(said: str) -> None:
    """Checks that a message shows no secret of these tests."""
    assert PASSWORD not in said
    assert API_KEY not in said


@pytest.mark.parametrize("kind", [OPENSEARCH, ELASTICSEARCH])
def test_a_domain_is_not_supported(search, faults, kind):
    """It stands for an endpoint that only AWS could look up; in an update as well."""
    domain = "arn:aws:es:us-east-1:000000000000:domain/some-domain"
    member = f"{kind}DestinationConfiguration"
    arn = "arn:aws:s3:::some-bucket"

    def create():
        create_search_stream(search.client, arn, kind, DomainARN=domain, IndexName="index")

    message = assert_refused("InvalidArgumentException", create)
    assert message.startswith(member)
    assert message.endswith("DomainARN is not supported")

    flow = search.flow(faults, kind=kind)
    message = assert_refused(
        "InvalidArgumentException",
        lambda: update(search.client, flow.stream, kind=kind, DomainARN=domain),
    )
    assert message.endswith("DomainARN is not supported")
    assert describe(search.client, flow.stream)["VersionId"] == "1"


def test_aws_own_rules_allow_no_endpoint_without_tls(start_search, faults):
    search = start_search("--strict-aws")
    with pytest.raises(ClientError, match="ClusterEndpoint|clusterEndpoint"):
        search.flow(faults)


ENTRY = {"endpoint": "http://127.0.0.1:9200*"}

USER = {"username": "user", "password": PASSWORD}

KEY = {"apiKey": API_KEY}

SIGV4 = {"sigV4": {"service": "es", "region": "eu-west-1"}}

REFUSED: list[tuple[dict, str]] = [
    (USER, "endpoint"),
    (ENTRY | {"endpoint": 7}, "endpoint"),
    (ENTRY | {"endpoint": ""}, "endpoint"),
    (ENTRY | {"user": "x"} | KEY, "user"),
    (ENTRY | {"Password": "x"} | KEY, "Password"),
    (ENTRY | {"sigV4": {"service": "es", "region": "eu-west-1", "account": "x"}}, "account"),
    (ENTRY | {"username": "user"}, "password"),
    (ENTRY | {"password": PASSWORD}, "username"),
    (ENTRY | USER | KEY, "apiKey"),
    (ENTRY | USER | SIGV4, "sigV4"),
    (ENTRY | KEY | SIGV4, "sigV4"),
    (ENTRY | {"apiKey": [PASSWORD]}, "apiKey"),
    (ENTRY | {"username": "user", "password": {"is": PASSWORD}}, "password"),
    (ENTRY | {"sigV4": {"service": "es"}}, "region"),
    (ENTRY | {"sigV4": {"region": "eu-west-1"}}, "service"),
    (ENTRY | {"sigV4": True}, "sigV4"),
    (ENTRY | {"compression": "ZIP"} | KEY, "compression"),
    (ENTRY | {"compression": True}, "compression"),
    (ENTRY | {"maximumRequestMegabytes": 0}, "maximumRequestMegabytes"),
    (ENTRY | {"maximumRequestMegabytes": 101}, "maximumRequestMegabytes"),
    (ENTRY | {"maximumRequestMegabytes": "5"}, "maximumRequestMegabytes"),
    (ENTRY | {"timeoutSeconds": 0}, "timeoutSeconds"),
    (ENTRY | {"timeoutSeconds": 901}, "timeoutSeconds"),
    (ENTRY | {"timeoutSeconds": 1.5}, "timeoutSeconds"),
    (ENTRY | {"certificateAuthority": "/no/such/authority.pem"}, "authority.pem"),
]
"""Entries that are wrong, and what must be named."""


@pytest.mark.parametrize(("entry", "named"), REFUSED, ids=range(len(REFUSED)))
def test_settings_that_are_wrong_are_refused_by_name(make_hydrant, tmp_path, entry, named):
    settings = endpoint_settings(tmp_path / "endpoints.json", ENTRY | SIGV4, entry)
    said = make_hydrant(*settings, environment=AWS).refusal_to_start()
    assert settings[1] in said
    assert named in said
    assert_hides_secrets(said)
    assert len(said.splitlines()) <= 6 and "Fatal error" not in said


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "{}",
        '{"endpoints": {}}',
        '{"endpoints": ["http://127.0.0.1"]}',
        '{"endpoints": [], "others": []}',
        '{"endpoints": [], "endpoints": []}',
        '{"endpoints": [{"endpoint": "*", "apiKey": "hidden-away", "apiKey": "eA=="}]}',
        json.dumps({"endpoints": [ENTRY | KEY]}) + "x",
    ],
)
def test_a_file_of_another_form_is_refused(make_hydrant, tmp_path, text):
    path = write_private(tmp_path / "endpoints.json", text)
    said = make_hydrant("--endpoint-settings", str(path)).refusal_to_start()
    assert str(path) in said
    assert_hides_secrets(said)
    assert "Fatal error" not in said


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660])
def test_a_file_that_others_can_open_is_refused(make_hydrant, tmp_path, mode):
    (option, path) = endpoint_settings(tmp_path / "endpoints.json", ENTRY | KEY)
    (tmp_path / "endpoints.json").chmod(mode)
    said = make_hydrant(option, path).refusal_to_start()
    assert path in said
    assert f"{mode:o}" in said
    assert_hides_secrets(said)


def test_a_file_that_is_missing_is_named(make_hydrant, tmp_path):
    path = str(tmp_path / "endpoints.json")
    assert path in make_hydrant("--endpoint-settings", path).refusal_to_start()


def test_no_secret_of_the_settings_is_in_the_log(start_search, faults, tmp_path):
    """Not with all messages shown, and not when the server is refused."""
    settings = endpoint_settings(
        tmp_path / "endpoints.json",
        {"endpoint": "*/password", **USER},
        {"endpoint": "*/key", **KEY},
        {"endpoint": "*/signed", **SIGV4},
    )
    search = start_search(*settings, "--log-level", "debug", environment=AWS)
    for path in ("/password", "/key", "/signed"):
        faults.plan = one_by_one(answer(403), reset())
        flow = search.flow(faults, path=path, retry=1)
        flow.put(b"{}")
        wait_until(lambda path=path: len(faults.requests_at(path)) >= 2, "two attempts")
    assert search.hydrant.sigterm() == 0
    said = search.hydrant.log()
    secrets = [PASSWORD, API_KEY, AWS["AWS_SECRET_ACCESS_KEY"]]
    secrets += [authorization(each).rpartition("=")[2] for each in faults.requests_at("/signed")]
    secrets += [authorization(each).split()[1] for each in faults.requests_at("/password")]
    assert [each for each in secrets if each and each in said] == []
