"""The file with the keys: what it must be like, reading it again, and what needs it."""

import json
from dataclasses import replace

import pytest
from botocore.exceptions import ClientError

from commands import run_hydrant
from keys import AWKWARD, EVERYTHING, PRODUCER, TEMPORARY, Key, may, write_keys, write_private
from signed import Signer, exchange, message
from streams import fresh_name
from waiting import wait_until

LIST = message("ListDeliveryStreams", {})

GOOD = PRODUCER.entry


def may_list(hydrant, key: Key) -> bool:
    """Whether the server lets a key in."""
    answer = exchange(hydrant.port, Signer(key).sign(LIST))
    assert answer.status == 200 or answer.error == "UnrecognizedClientException", answer.body
    return answer.status == 200


def said_in_one_line(said: str) -> bool:
    """Whether a message is one an operator can read: no dump of a value, no trace."""
    return len(said.splitlines()) <= 6 and "Fatal error" not in said


# MARK: What is refused


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660, 0o620, 0o602, 0o610, 0o777])
def test_a_file_that_others_can_open_is_refused(make_hydrant, tmp_path, mode):
    path = write_keys(tmp_path / "keys.json", PRODUCER, mode=mode)
    said = make_hydrant("--credentials", str(path)).refusal_to_start()
    assert str(path) in said
    assert f"{mode:o}" in said, "the mode is not named"
    assert PRODUCER.secret_key not in said


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_a_file_of_the_owner_alone_is_read(start_hydrant, tmp_path, mode):
    path = write_keys(tmp_path / "keys.json", PRODUCER, mode=mode)
    assert may_list(start_hydrant("--credentials", str(path)), PRODUCER)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "null",
        "[]",
        '"keys"',
        '{"keys": {}}',
        '{"keys": ["x"]}',
        '{"keys": [{]}',
        "{}",
        json.dumps({"keys": [GOOD]}) + "x",
    ],
)
def test_a_malformed_file_is_refused(make_hydrant, tmp_path, text):
    path = write_private(tmp_path / "keys.json", text)
    said = make_hydrant("--credentials", str(path)).refusal_to_start()
    assert str(path) in said
    assert said_in_one_line(said), said


@pytest.mark.parametrize(
    ("entry", "named"),
    [
        (GOOD | {"secret": "x"}, "secret"),
        (GOOD | {"AccessKeyID": "x"}, "AccessKeyID"),
        (GOOD | {"allow": [{"actions": ["*"], "streams": ["*"], "deny": []}]}, "deny"),
        ({"accessKeyId": "producer", "allow": list(EVERYTHING)}, "secretAccessKey"),
        ({"secretAccessKey": "hidden-away", "allow": list(EVERYTHING)}, "accessKeyId"),
        (GOOD | {"accessKeyId": ""}, "accessKeyId"),
        (GOOD | {"accessKeyId": 7}, "accessKeyId"),
        (GOOD | {"secretAccessKey": ""}, "secretAccessKey"),
        (GOOD | {"secretAccessKey": ["hidden-away"]}, "secretAccessKey"),
        (GOOD | {"expires": "tomorrow"}, "expires"),
        (GOOD | {"allow": [{"actions": ["*"]}]}, "streams"),
        (GOOD | {"allow": [{"streams": ["*"]}]}, "actions"),
        (GOOD | {"allow": [{"actions": "*", "streams": ["*"]}]}, "actions"),
        (GOOD | {"allow": {"actions": ["*"], "streams": ["*"]}}, "allow"),
        (GOOD | {"allow": []}, "allow"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_entry_that_is_wrong_is_refused_by_name(make_hydrant, tmp_path, entry, named):
    path = write_keys(tmp_path / "keys.json", AWKWARD, entry)
    said = make_hydrant("--credentials", str(path)).refusal_to_start()
    assert str(path) in said
    assert named in said
    assert said_in_one_line(said), said
    assert not any(each in said for each in (PRODUCER.secret_key, AWKWARD.secret_key))
    assert "hidden-away" not in said


@pytest.mark.parametrize(
    ("member", "length"), [("secretAccessKey", 1024), ("sessionToken", 4096)]
)
def test_secrets_have_a_length_and_are_not_shown(start_hydrant, tmp_path, member, length):
    """Neither at the start nor when the file is read again, nor a part of them."""
    secret = "hidden-away" * 400
    path = write_keys(tmp_path / "keys.json", GOOD | {member: secret[:length]})
    hydrant = start_hydrant("--credentials", str(path))
    write_keys(path, GOOD | {member: secret[: length + 1]})
    hydrant.sighup()
    hydrant.wait_for_log(rf"(?m)^.*\berror\b.*{member}")
    assert hydrant.sigterm() == 0
    said = hydrant.refusal_to_start()
    assert str(path) in said
    assert member in said
    assert "hidden-away" not in hydrant.log()


@pytest.mark.parametrize(
    "expires",
    [
        "2030-02-31T12:00:00Z",
        "2029-02-29T12:00:00Z",
        "2030-13-01T12:00:00Z",
        "2030-01-00T12:00:00Z",
        "2030-01-31T24:00:01Z",
        "2030-01-31T12:60:00Z",
        "2030-01-31T12:00:00Zgarbage",
        "2030-01-31T12:00:00",
        " 2030-01-31T12:00:00Z",
        "2030-01-31",
    ],
)
def test_times_that_do_not_exist_are_refused(make_hydrant, tmp_path, expires):
    """Otherwise a key lasts for longer than was meant."""
    path = write_keys(tmp_path / "keys.json", GOOD | {"expires": expires})
    said = make_hydrant("--credentials", str(path)).refusal_to_start()
    assert str(path) in said
    assert expires in said


@pytest.mark.parametrize(
    "text",
    [
        '{"keys": [ENTRY], "keys": [ENTRY]}',
        '{"keys": [{"accessKeyId": "first", REST]}',
        '{"keys": [{"secretAccessKey": "hidden-away", REST]}',
        '{"keys": [{"allow": [{"actions": ["*"], "streams": ["none"]}], REST]}',
    ],
)
def test_members_that_are_given_twice_are_refused(make_hydrant, tmp_path, text):
    """Which of them counts is anybody's guess."""
    entry = json.dumps(GOOD)
    text = text.replace("ENTRY", entry).replace("REST", entry.removeprefix("{"))
    path = write_private(tmp_path / "keys.json", text)
    said = make_hydrant("--credentials", str(path)).refusal_to_start()
    assert str(path) in said
    assert "hidden-away" not in said
    assert PRODUCER.secret_key not in said


def test_members_beside_the_keys_are_refused_by_name(make_hydrant, tmp_path):
    path = write_private(tmp_path / "keys.json", json.dumps({"keys": [GOOD], "users": []}))
    assert "users" in make_hydrant("--credentials", str(path)).refusal_to_start()


def test_a_key_may_be_there_once_only(make_hydrant, tmp_path):
    path = write_keys(tmp_path / "keys.json", PRODUCER, replace(PRODUCER, secret_key="other"))
    said = make_hydrant("--credentials", str(path)).refusal_to_start()
    assert PRODUCER.access_key in said


def test_a_missing_file_is_named(make_hydrant, tmp_path):
    path = tmp_path / "keys.json"
    assert str(path) in make_hydrant("--credentials", str(path)).refusal_to_start()


# MARK: Addresses


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])
def test_addresses_that_others_reach_need_keys(make_hydrant, host):
    said = make_hydrant("--host", host).refusal_to_start()
    assert "--credentials" in said
    assert "--no-auth" in said


def test_keys_open_the_way_to_all_addresses(start_hydrant, tmp_path):
    path = write_keys(tmp_path / "keys.json", PRODUCER)
    hydrant = start_hydrant("--host", "0.0.0.0", "--credentials", str(path))
    assert hydrant.client().list_delivery_streams()["DeliveryStreamNames"] == []
    assert exchange(hydrant.port, LIST).error == "MissingAuthenticationTokenException"


def test_an_operator_can_do_without_keys(start_hydrant):
    hydrant = start_hydrant("--host", "0.0.0.0", "--no-auth")
    assert exchange(hydrant.port, LIST).status == 200


def test_without_keys_signatures_do_not_matter_on_loopback(start_hydrant):
    hydrant = start_hydrant()
    assert exchange(hydrant.port, LIST).status == 200
    assert exchange(hydrant.port, Signer(PRODUCER).sign(LIST)).status == 200
    nonsense = LIST.adding(("Authorization", "AWS4-HMAC-SHA256 nonsense"))
    assert exchange(hydrant.port, nonsense).status == 200


def test_keys_and_no_keys_exclude_each_other(make_hydrant, tmp_path):
    path = write_keys(tmp_path / "keys.json", PRODUCER)
    said = make_hydrant("--no-auth", "--credentials", str(path)).refusal_to_start()
    assert "--no-auth" in said


# MARK: Reading it again


def test_keys_come_and_go_with_sighup(start_hydrant, tmp_path):
    path = write_keys(tmp_path / "keys.json", PRODUCER, AWKWARD)
    hydrant = start_hydrant("--credentials", str(path))
    assert may_list(hydrant, AWKWARD)
    assert not may_list(hydrant, TEMPORARY)

    write_keys(path, PRODUCER, TEMPORARY)
    assert not may_list(hydrant, TEMPORARY), "read before it was asked for"
    hydrant.sighup()
    wait_until(lambda: may_list(hydrant, TEMPORARY), "the new key")
    assert not may_list(hydrant, AWKWARD)
    assert may_list(hydrant, PRODUCER)


def test_secrets_and_rules_change_with_sighup(start_hydrant, tmp_path):
    name = fresh_name()
    path = write_keys(tmp_path / "keys.json", PRODUCER)
    hydrant = start_hydrant("--credentials", str(path))
    changed = replace(PRODUCER, secret_key="another", allow=(may("PutRecord", streams=(name,)),))
    write_keys(path, changed)
    hydrant.sighup()

    def code(key: Key) -> str:
        with pytest.raises(ClientError) as caught:
            hydrant.client(key).put_record(DeliveryStreamName=name, Record={"Data": b"x"})
        return caught.value.response["Error"]["Code"]

    wait_until(lambda: code(changed) == "ResourceNotFoundException", "the new secret")
    assert code(PRODUCER) == "InvalidSignatureException"
    with pytest.raises(ClientError, match="AccessDeniedException"):
        hydrant.client(changed).list_delivery_streams()


@pytest.mark.parametrize("fault", ["malformed", "open", "absent", "unknown member"])
def test_a_bad_file_leaves_the_old_keys(start_hydrant, tmp_path, fault):
    path = write_keys(tmp_path / "keys.json", PRODUCER)
    hydrant = start_hydrant("--credentials", str(path))
    if fault == "malformed":
        write_private(path, '{"keys": [')
    elif fault == "open":
        write_keys(path, PRODUCER, AWKWARD, mode=0o644)
    elif fault == "absent":
        path.unlink()
    else:
        write_keys(path, PRODUCER, AWKWARD.entry | {"Expires": "never"})
    hydrant.sighup()
    line = hydrant.wait_for_log(r"(?m)^.*\berror\b.*keys\.json.*$").group()
    assert AWKWARD.secret_key not in line
    assert may_list(hydrant, PRODUCER)
    assert not may_list(hydrant, AWKWARD)

    write_keys(path, PRODUCER, AWKWARD)
    hydrant.sighup()
    wait_until(lambda: may_list(hydrant, AWKWARD), "the mended file")


def test_requests_go_on_while_keys_are_read_again(start_hydrant, tmp_path):
    path = write_keys(tmp_path / "keys.json", PRODUCER)
    hydrant = start_hydrant("--credentials", str(path))
    for number in range(50):
        write_keys(path, PRODUCER, replace(AWKWARD, secret_key=f"secret-{number}"))
        hydrant.sighup()
        assert may_list(hydrant, PRODUCER)
    last = replace(AWKWARD, secret_key="secret-49")
    request = Signer(last).sign(LIST)
    wait_until(lambda: exchange(hydrant.port, request).status == 200, "the last key")


def test_sighup_without_anything_to_read_is_ignored(start_hydrant):
    hydrant = start_hydrant()
    before = len(hydrant.log().splitlines())
    hydrant.sighup()
    wait_until(lambda: len(hydrant.log().splitlines()) > before, "a line about it")
    assert exchange(hydrant.port, LIST).status == 200
    assert hydrant.sigterm() == 0


# MARK: Secrets


def test_no_secret_is_in_the_log(start_hydrant, tmp_path):
    """Neither of known keys nor of what strangers send; not even with all messages shown."""
    path = write_keys(tmp_path / "keys.json", PRODUCER, TEMPORARY)
    hydrant = start_hydrant("--credentials", str(path), "--log-level", "debug")
    wrong_token = replace(TEMPORARY, token="strange-token")
    requests = [
        *(Signer(key).sign(LIST) for key in (PRODUCER, TEMPORARY, AWKWARD, wrong_token)),
        Signer(replace(PRODUCER, secret_key="wrong")).sign(LIST),
        *(Signer(key).presign(LIST) for key in (PRODUCER, TEMPORARY)),
    ]
    for request in requests:
        exchange(hydrant.port, request)
        exchange(hydrant.port, replace(request, body=b'{"Limit": 1}'))
    run_hydrant(hydrant, "put", fresh_name(), stdin=b"line\n", key=TEMPORARY)
    hydrant.sighup()
    assert hydrant.sigterm() == 0

    said = hydrant.log() + hydrant.stdout()
    secrets = [PRODUCER.secret_key, TEMPORARY.secret_key, TEMPORARY.token, "strange-token"]
    for request in requests[:5]:
        secrets.append(request.header("Authorization").rpartition("=")[2])
    for request in requests[5:]:
        secrets.append(request.target.rpartition("=")[2])
    assert [each for each in secrets if each in said] == []
