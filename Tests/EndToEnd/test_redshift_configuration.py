"""Warehouses' configurations: what is refused by name, what is taken, and what is shown of it."""

from functools import partial

import pytest
from botocore.exceptions import ClientError

from model import assert_conforms
from plaintext import forms
from redshift_streams import (
    CLUSTER,
    KIND,
    LOG_FORMAT,
    NO_COPY,
    PASSWORD,
    USERNAME,
    WORKGROUP,
    create_redshift,
    jdbc,
    redshift_destination,
    update_members,
)
from server import Hydrant
from streams import ROLE_ARN, describe, destination, fresh_name
from updates import assert_refused, described, update
from wire import Connection, request

BUCKET_ARN = "arn:aws:s3:::some-bucket"

INVALID = "InvalidArgumentException"

REFUSED = {INVALID, "ValidationException"}
"""What breaks the model's own constraints is refused by another layer, as AWS does it."""

TABLE, COLUMNS, OPTIONS = "DataTableName", "DataTableColumns", "CopyOptions"


@pytest.fixture(scope="module")
def server(start_module_hydrant) -> Hydrant:
    """A server that loads nothing, shared by the module's tests."""
    return start_module_hydrant(*NO_COPY, *LOG_FORMAT, "--log-level", "debug")


@pytest.fixture(scope="module")
def client(server):
    """A client that sends what the API model forbids."""
    return server.client(parameter_validation=False)


@pytest.fixture(scope="module")
def stream(client) -> str:
    """A stream that tests try to change, and that stays as it is."""
    return create_redshift(client, BUCKET_ARN)


def assert_refused_by_name(client, stream: str, members: dict, *words: str) -> None:
    """Checks that neither a new stream nor one that is there can have such members.

    The message has one of the words.
    """
    whole = redshift_destination(BUCKET_ARN, **members)
    sent = whole | {name: value for name, value in members.items() if name in whole}
    create = partial(
        client.create_delivery_stream,
        DeliveryStreamName=fresh_name(),
        RedshiftDestinationConfiguration=sent,
    )
    change = partial(update, client, stream, kind=KIND, **update_members(sent))
    before = describe(client, stream)
    for call in (create, change):
        with pytest.raises(ClientError) as caught:
            call()
        error = caught.value.response
        assert error["Error"]["Code"] in REFUSED, error
        assert error["ResponseMetadata"]["HTTPStatusCode"] == 400
        message = error["Error"]["Message"].lower()
        assert any(word.lower() in message for word in words), message
        assert PASSWORD.lower() not in message
    assert describe(client, stream) == before


def copy(**members: str) -> dict:
    """The destination's member with a command."""
    return {"CopyCommand": {TABLE: "t"} | members}


# MARK: Refused


# A mark behind a quote makes one character of both for those who do not look at the code points.
TABLES = [
    *("", " ", ".", "a.", ".a", "a..b", "a.b.c.d", '""', 'a.""', '"a', 'a"', 'a"b', '"a"b'),
    *('"a""', "a,b", "a\tb", "a\nb", "a\0b", '"a\nb"', "a\x7fb", "a, (select 1)", 't"; drop'),
    *('"t"\u0301; drop table x; --"', '"t"\u200d.b', 't"\u0301'),
]

COLUMN_LISTS = ["a,,b", ",a", "a,", 'a,"', 'a,""', '"a" b', "a,b\n", "a,\0", 'a" from', "a,\x1b"]

OPTION_LISTS = [
    *("GZIP;", "; DROP TABLE t", "GZIP -- x", "GZIP /* x */", "#", "$$x$$", "{copy}", "a`b`"),
    *("DELIMITER '", "DELIMITER '''", "'a' 'b", "NULL AS '\\'", "x '\\' ; DROP TABLE t; --'"),
    *("'a\\\\\\'", 'QUOTE AS "x"', "\\", "DELIMITER \\'", "NULL AS 'a\0b'", "GZIP\0", "\x1b[0m"),
    *("'' '", "E'\\''", "a <> b", "a:b", "[1]", "ünï", "GZIP\u2028", "GZIP*/"),
    *("'a'\u0301; DROP TABLE t; --'", "DELIMITER '\u0301"),
]


@pytest.mark.parametrize(
    ("member", "value"),
    [
        *((TABLE, each) for each in TABLES),
        *((COLUMNS, each) for each in COLUMN_LISTS),
        *((OPTIONS, each) for each in OPTION_LISTS),
    ],
    ids=ascii,
)
def test_commands_that_could_mean_something_else_are_refused(client, stream, member, value):
    assert_refused_by_name(client, stream, copy(**{member: value}), member)


@pytest.mark.parametrize("member", [TABLE, COLUMNS, OPTIONS])
def test_what_is_wrong_with_a_command_is_an_invalid_argument(client, member):
    create = partial(create_redshift, client, BUCKET_ARN, **copy(**{member: "a..;"}))
    assert_refused(INVALID, create, member)


URLS = [
    *("jdbc:redshift://host", "jdbc:redshift://host/", "jdbc:redshift:///db", "//host:5439/db"),
    *("jdbc:redshift://:5439/db", "jdbc:redshift://host:0/db", "jdbc:redshift://host:65536/db"),
    *("jdbc:redshift://host:x/db", "jdbc:redshift://host:/db", "jdbc:mysql://host:1/db", "host"),
    *("jdbc:redshift://ho st:1/db", "jdbc:redshift://host:1/d\nb", "jdbc:redshift:host/db"),
    *("jdbc:redshift://user@host:1/db", "jdbc:redshift://host:1/db?ssl=true", "", "x" * 513),
    *("jdbc:redshift://host,other:1/db", "jdbc:redshift:///tmp/db", "jdbc:redshift://host:1/d%00"),
    *("jdbc:redshift://host:1/%22%27%5c%0a", "jdbc:redshift://host:1/db;UID=x"),
]


@pytest.mark.parametrize("url", URLS, ids=lambda url: f"{url!a:.60}")
def test_urls_without_one_host_and_one_database_are_refused(client, stream, url):
    assert_refused_by_name(client, stream, {"ClusterJDBCURL": url}, "ClusterJDBCURL")


S3_MEMBERS = [
    {"Prefix": "back\\slash/"},
    {"Prefix": "mark\\\u0301/"},
    {"Prefix": "tab\t/"},
    {"Prefix": "nul\0/"},
    {"Prefix": "!{timestamp:yyyy}/"},
    {"Prefix": "!{firehose:random-string}/"},
    {"ErrorOutputPrefix": "failed/"},
    {"CompressionFormat": "ZIP"},
    {"CompressionFormat": "Snappy"},
    {"CompressionFormat": "HADOOP_SNAPPY"},
    {"BufferingHints": {"SizeInMBs": 129, "IntervalInSeconds": 0}},
    {"BufferingHints": {"SizeInMBs": 5, "IntervalInSeconds": 901}},
    {"BucketARN": "some-bucket"},
]


@pytest.mark.parametrize("members", S3_MEMBERS, ids=ascii)
def test_objects_that_copy_cannot_read_are_refused(client, stream, members):
    s3 = destination(BUCKET_ARN, **members)
    (name,) = members
    hints = ("SizeInMBs", "IntervalInSeconds") if name == "BufferingHints" else ()
    assert_refused_by_name(client, stream, {"S3Configuration": s3}, name, *hints)


@pytest.mark.parametrize(
    "members",
    [
        {"Username": ""},
        {"Username": "a\nb"},
        {"Username": "x" * 513},
        {"RoleARN": "role"},
        {"RetryOptions": {"DurationInSeconds": -1}},
        {"RetryOptions": {"DurationInSeconds": 7_201}},
        {"S3BackupMode": "FailedDataOnly"},
        {"SecretsManagerConfiguration": {"Enabled": True}},
    ],
    ids=lambda members: f"{members!a:.60}",
)
def test_other_members_are_refused_by_name(client, stream, members):
    (name,) = members
    assert_refused_by_name(client, stream, members, name)


def test_a_secret_that_would_have_to_be_looked_up_is_refused_as_not_supported(client):
    secret = {"SecretsManagerConfiguration": {"Enabled": True, "SecretARN": "arn:x"}}
    create = partial(create_redshift, client, BUCKET_ARN, **secret)
    with pytest.raises(ClientError, match="SecretsManagerConfiguration is not supported|secretARN"):
        create()


@pytest.mark.parametrize("missing", ["RoleARN", "ClusterJDBCURL", "CopyCommand", "S3Configuration"])
def test_required_members_are_asked_for_by_name(client, missing):
    given = redshift_destination(BUCKET_ARN)
    del given[missing]
    with pytest.raises(ClientError) as caught:
        client.create_delivery_stream(
            DeliveryStreamName=fresh_name(), RedshiftDestinationConfiguration=given
        )
    assert missing.lower() in caught.value.response["Error"]["Message"].lower()


def test_a_backup_needs_a_place(client, stream):
    mode = {"S3BackupMode": "Enabled"}
    assert_refused_by_name(client, stream, mode, "S3BackupConfiguration", "S3BackupUpdate")


# MARK: Taken


@pytest.mark.parametrize(
    "members",
    [
        {TABLE: "public.events"},
        {TABLE: 'db."My Schema"."a ""quoted"" table; --"'},
        {TABLE: "日本語"},
        {COLUMNS: ""},
        {COLUMNS: 'id, "Odd, one" ,ts'},
        {COLUMNS: ",".join(f"column_{number}" for number in range(800))},
        {OPTIONS: ""},
        {OPTIONS: "json 'auto' GZIP"},
        {OPTIONS: "DELIMITER ';' NULL AS '\\\\N' ACCEPTINVCHARS AS '?' MAXERROR 10"},
        {OPTIONS: "json 's3://bucket/paths.json' REGION 'eu-west-1' TIMEFORMAT 'auto'"},
        {OPTIONS: "CSV QUOTE AS '\"' IGNOREHEADER 1 DELIMITER '''' COMPUPDATE OFF"},
        {OPTIONS: "FIXEDWIDTH 'a:3,b:4' (format = 'x', n = 0.5)"},
        {OPTIONS: "DELIMITER '--' NULL AS '/*' ESCAPE"},
    ],
    ids=lambda members: f"{members!a:.60}",
)
def test_commands_that_mean_one_thing_are_taken_and_shown_as_they_were_given(client, members):
    stream = create_redshift(client, BUCKET_ARN, **copy(**members))
    assert described(client, stream, KIND)["CopyCommand"] == copy(**members)["CopyCommand"]


@pytest.mark.parametrize(
    "url",
    [
        *(jdbc(), jdbc(WORKGROUP), jdbc(port=None), jdbc("10.0.0.1"), jdbc("warehouse", "db", 1)),
        *("jdbc:postgresql://127.0.0.1:5432/postgres", "jdbc:redshift://[::1]:5439/dev"),
    ],
)
def test_every_url_with_a_host_and_a_database_is_taken(client, url):
    stream = create_redshift(client, BUCKET_ARN, ClusterJDBCURL=url)
    assert described(client, stream, KIND)["ClusterJDBCURL"] == url


@pytest.mark.parametrize("seconds", [0, 7_200])
def test_the_longest_and_the_shortest_time_for_retries_are_taken(client, seconds):
    stream = create_redshift(client, BUCKET_ARN, retry=seconds)
    expected = {"DurationInSeconds": seconds}
    assert described(client, stream, KIND)["RetryOptions"] == expected


def test_a_secret_that_is_not_looked_up_is_no_obstacle(client):
    off = {"SecretsManagerConfiguration": {"Enabled": False}}
    stream = create_redshift(client, BUCKET_ARN, **off)
    assert described(client, stream, KIND)["SecretsManagerConfiguration"] == {"Enabled": False}


# MARK: AWS's own patterns


def test_strict_servers_take_only_addresses_as_aws_has_them(start_hydrant):
    client = start_hydrant(*NO_COPY, "--strict-aws").client()
    for host in (CLUSTER, WORKGROUP):
        create_redshift(client, BUCKET_ARN, ClusterJDBCURL=jdbc(host))
    for url in (
        jdbc("warehouse"),
        jdbc("10.0.0.1"),
        jdbc(port=None),
        jdbc("shop.abc.eu-west-1.rds.amazonaws.com"),
        "jdbc:postgresql://localhost:5432/postgres",
    ):
        create = partial(create_redshift, client, BUCKET_ARN, ClusterJDBCURL=url)
        assert_refused("ValidationException", create, "clusterJDBCURL")


# MARK: Shown and changed


def test_a_description_has_everything_but_the_password(server, client):
    """Looked for on the wire, since an SDK would leave out what it does not know."""
    copies = destination("arn:aws:s3:::copies", Prefix="copies/")
    given = {"s3": {"Prefix": "p/"}, "S3BackupMode": "Enabled", "S3BackupConfiguration": copies}
    stream = create_redshift(client, BUCKET_ARN, **given)
    with Connection(server.port) as connection:
        body = {"DeliveryStreamName": stream}
        answer = connection.exchange(request("DescribeDeliveryStream", body))
    shown = assert_conforms("DescribeDeliveryStream", answer.body)["DeliveryStreamDescription"]
    (only,) = shown["Destinations"]
    assert list(only) == ["DestinationId", f"{KIND}DestinationDescription"]
    found = only[f"{KIND}DestinationDescription"]
    assert found["Username"] == USERNAME
    assert found["RoleARN"] == ROLE_ARN
    assert found["CopyCommand"] == {TABLE: "events"}
    assert found["RetryOptions"] == {"DurationInSeconds": 3600}
    assert found["S3DestinationDescription"]["Prefix"] == "p/"
    assert found["S3DestinationDescription"]["CompressionFormat"] == "UNCOMPRESSED"
    assert (found["S3BackupMode"], found["S3BackupDescription"]["Prefix"]) == ("Enabled", "copies/")
    for secret in forms(PASSWORD.encode()):
        assert secret not in answer.body
        assert secret not in server.log().encode()


def test_an_update_keeps_what_it_does_not_name(client):
    stream = create_redshift(client, BUCKET_ARN, retry=7)
    before = described(client, stream, KIND)
    changed = {"Username": "other", "Password": "Another-1", "RetryOptions": {}}
    update(client, stream, "1", kind=KIND, **changed, S3Update={"CompressionFormat": "GZIP"})
    s3 = before["S3DestinationDescription"] | {"CompressionFormat": "GZIP"}
    expected = before | {"Username": "other", "S3DestinationDescription": s3}
    assert described(client, stream, KIND) == expected
    assert describe(client, stream)["VersionId"] == "2"


def test_a_password_alone_is_a_change_that_nobody_sees(client):
    stream = create_redshift(client, BUCKET_ARN)
    before = described(client, stream, KIND)
    update(client, stream, "1", kind=KIND, Password="Another-1")
    assert described(client, stream, KIND) == before
    assert describe(client, stream)["VersionId"] == "2"


# MARK: Options of the server


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (["--copy-statement", "SELECT load({manifst})"], "manifst"),
        (["--copy-statement", "{copy}; {password}"], "password"),
        (["--copy", "jdbc"], "copy"),
        (["--copy-credentials", "password"], "copy-credentials"),
        (["--copy-tls", "verify"], "copy-tls"),
        (["--copy-timeout", "0"], "copy-timeout"),
        (["--copy-timeout", "long"], "copy-timeout"),
        (["--copy-ledger", "a.b.c.d"], "ledger"),
        (["--copy-ledger", ""], "ledger"),
        (["--copy-ledger", 'a"; drop table b'], "ledger"),
        (["--copy-ledger", "a,b"], "ledger"),
        (["--create-copy-ledger"], "copy-ledger"),
        (["--copy", "data-api"], "AWS_ACCESS_KEY_ID"),
        (["--copy-credentials", "keys"], "AWS_ACCESS_KEY_ID"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_options_that_cannot_be_meant_stop_the_start(make_hydrant, options, word):
    assert word in make_hydrant(*options).refusal_to_start()


@pytest.mark.parametrize("url", ["warehouse", "ftp://host/", "http://host:x/"])
def test_an_endpoint_that_is_none_stops_the_start(make_hydrant, url):
    keys = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}
    options = ("--copy", "data-api", "--data-api-endpoint", url)
    assert "data-api-endpoint" in make_hydrant(*options, environment=keys).refusal_to_start()


def test_a_template_with_braces_of_its_own_is_taken(start_hydrant):
    start_hydrant("--copy-statement", "SELECT load('{}'::json, {manifest}, '{1,2}')")
