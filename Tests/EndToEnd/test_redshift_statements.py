"""What a warehouse is sent, word for word, and what psql is told besides."""

import re
from functools import partial

import pytest

from postgres_wire import Drop, Hold, Refusal, Session, Wire, on
from search_streams import StrictBucket
from streams import ROLE_ARN
from strict_s3 import ACCESS_KEY, SECRET_KEY, StrictS3
from transform_fixtures import LOG_FORMAT
from updates import assert_refused
from warehouse import LOADER
from warehouse_psql import FakePsql, command_lines
from warehouse_statements import HOSTILE_NAMES, literal, statements_in
from warehouse_streams import (
    LOADED,
    LOADED_BEFORE,
    PASSWORD,
    WarehouseBench,
    WarehouseFlow,
    numbered,
)

pytest_plugins = ["warehouse_fixtures"]

ROLE_CREDENTIALS = f"'aws_iam_role={ROLE_ARN}'"


def quoted(name: str) -> str:
    """A name as an identifier that is written as it is."""
    return '"' + name.replace('"', '""') + '"'


def only_statement(wire: Wire, flow: WarehouseFlow) -> str:
    """Waits for the load, and returns the one statement that it took."""
    flow.wait_for_log(LOADED)
    (session,) = wire.sessions
    (statement,) = session.statements
    return statement


def manifest_url(flow: WarehouseFlow) -> str:
    """The URL of the one manifest."""
    (manifest,) = flow.check_manifests()
    return flow.url(manifest.key)


# MARK: COPY


@pytest.mark.parametrize(
    ("table", "columns", "options", "target", "end"),
    [
        ("tweets", None, None, '"tweets"', ""),
        ("Tweets", "id,Screen_Name", "GZIP", '"tweets" ("id", "screen_name")', " GZIP"),
        ("public.tweets", None, "JSON 'auto'", '"public"."tweets"', " JSON 'auto'"),
        ("db.Public.t$1", None, "csv", '"db"."public"."t$1"', " csv"),
        ('"My Table"', '"A b", c', "delimiter ','", '"My Table" ("A b", "c")', " delimiter ','"),
        ('"S"."a""b.c"', '"a,b" , "c""d"', None, '"S"."a""b.c" ("a,b", "c""d")', ""),
        ('S."T"', None, "JSON 's3://b/a b.json' GZIP", '"s"."T"', " JSON 's3://b/a b.json' GZIP"),
        ("t", None, "DELIMITER '\\t' NULL AS '\\\\N'", '"t"', " DELIMITER '\\t' NULL AS '\\\\N'"),
        ("t", None, "NULL 'it''s; --' CSV", '"t"', " NULL 'it''s; --' CSV"),
        ("t", None, "MAXERROR 10, FIXEDWIDTH '0:3'", '"t"', " MAXERROR 10, FIXEDWIDTH '0:3'"),
    ],
)
def test_copy_is_what_redshift_wants(copier, wire, table, columns, options, target, end):
    flow = copier.flow(wire, table=table, columns=columns, options=options)
    flow.put(*numbered(3))
    assert only_statement(wire, flow) == (
        f"COPY {target} FROM '{manifest_url(flow)}' CREDENTIALS {ROLE_CREDENTIALS} MANIFEST{end}"
    )


@pytest.mark.parametrize("mark", ["", "\u0301", "\u200d"], ids=["alone", "accent", "joiner"])
def test_a_quote_in_the_prefix_stays_in_the_url(copier, wire, mark):
    """Also one that would be seen as one character with what follows it."""
    flow = copier.flow(wire, table="t", prefix=f"it'{mark}; DROP TABLE x; --/", options=None)
    flow.put(*numbered(3))
    said = only_statement(wire, flow)
    url = manifest_url(flow).replace("'", "''")
    assert said == f"COPY \"t\" FROM '{url}' CREDENTIALS {ROLE_CREDENTIALS} MANIFEST"


def load_hostile(bench: WarehouseBench, wire: Wire, **members) -> dict[str, tuple[str, str]]:
    """Loads into a table for each hostile name; returns the one statement that it took, and the
    manifest that is in there."""
    flows = {name: bench.flow(wire, table=quoted(name), **members) for name in HOSTILE_NAMES}
    for flow in flows.values():
        flow.put(*numbered(1))
    for flow in flows.values():
        flow.wait_for_log(LOADED)
    statements = [each for (each,) in (session.statements for session in wire.sessions)]
    assert len(statements) == len(flows)
    urls = {name: flow.log(LOADED)[0]["manifest"] for name, flow in flows.items()}
    found = {name: [each for each in statements if url in each] for name, url in urls.items()}
    return {name: (only, urls[name]) for name, (only,) in found.items()}


@pytest.mark.parametrize("standard", [True, False], ids=["standard", "escapes"])
def test_no_name_breaks_out(copier, standard):
    """Of tables, whatever the server takes backslashes in literals for."""
    with Wire(password=PASSWORD, standard_strings=standard) as wire:
        for name, (said, url) in load_hostile(copier, wire, options=None).items():
            assert said == (
                f"COPY {quoted(name)} FROM '{url}' CREDENTIALS {ROLE_CREDENTIALS} MANIFEST"
            )


def test_no_column_breaks_out(copier, wire):
    columns = ", ".join(map(quoted, HOSTILE_NAMES))
    flow = copier.flow(wire, table="t", columns=columns, options=None)
    flow.put(*numbered(1))
    said = only_statement(wire, flow)
    assert said.startswith(f'COPY "t" ({columns}) FROM \'s3://')
    assert said.endswith(f"' CREDENTIALS {ROLE_CREDENTIALS} MANIFEST")


@pytest.mark.parametrize("standard", [True, False], ids=["standard", "escapes"])
def test_no_name_breaks_out_of_a_template(start_warehouse, standard):
    """There is a literal in a literal, whatever the server takes backslashes in literals for."""
    template = "SELECT load({copy_literal}, {options_literal}, 7)"
    bench = start_warehouse("--copy-statement", template)
    options = "NULL AS '\\\\' ESCAPE"
    with Wire(password=PASSWORD, standard_strings=standard) as wire:
        for name, (said, url) in load_hostile(bench, wire, options=options).items():
            assert len(statements_in(said, escapes=not standard)) == 1, said
            parts = re.fullmatch(r"SELECT load\((.*), (E?'[^,]*'), 7\)", said, re.DOTALL)
            assert literal(parts[2], escapes=not standard) == options
            assert literal(parts[1], escapes=not standard) == (
                f"COPY {quoted(name)} FROM '{url}' CREDENTIALS {ROLE_CREDENTIALS} "
                f"MANIFEST {options}"
            )


@pytest.mark.parametrize(
    ("members", "named"),
    [
        ({"table": '""'}, "DataTableName"),
        ({"table": '"open'}, "DataTableName"),
        ({"table": 'a"b"'}, "DataTableName"),
        ({"table": '"a"b'}, "DataTableName"),
        ({"table": "a..b"}, "DataTableName"),
        ({"table": "a.b.c.d"}, "DataTableName"),
        ({"table": '"a\tb"'}, "DataTableName"),
        ({"table": '"a\0b"'}, "DataTableName"),
        ({"table": '"t"\u0301; DROP TABLE x; --"'}, "DataTableName"),
        ({"table": 't"\u0301; DROP TABLE x; --'}, "DataTableName"),
        ({"columns": "a,,b"}, "DataTableColumns"),
        ({"columns": '"a"\u200d) FROM x; --"'}, "DataTableColumns"),
        ({"columns": "a,"}, "DataTableColumns"),
        ({"columns": '"a'}, "DataTableColumns"),
        ({"columns": 'a, "b\x7f"'}, "DataTableColumns"),
        ({"options": "GZIP; DROP TABLE x"}, "CopyOptions"),
        ({"options": "GZIP -- x"}, "CopyOptions"),
        ({"options": "GZIP /* x */"}, "CopyOptions"),
        ({"options": 'GZIP "x"'}, "CopyOptions"),
        ({"options": "JSON 'auto"}, "CopyOptions"),
        ({"options": "NULL 'a''"}, "CopyOptions"),
        ({"options": "NULL 'a\\' GZIP"}, "CopyOptions"),
        ({"options": "NULL 'a\\' DROP '"}, "CopyOptions"),
        ({"options": "NULL E'a\\'' DROP"}, "CopyOptions"),
        ({"options": "GZIP \\! id"}, "CopyOptions"),
        ({"options": "GZIP \\"}, "CopyOptions"),
        ({"options": "GZIP $$ $$"}, "CopyOptions"),
        ({"options": "GZIP :HOME"}, "CopyOptions"),
        ({"options": "NULL '\0'"}, "CopyOptions"),
        ({"prefix": "back\\slash/"}, "Prefix"),
        ({"prefix": "tab\there/"}, "Prefix"),
    ],
    ids=lambda value: repr(value) if isinstance(value, str) else str(value),
)
def test_what_cannot_be_quoted_is_refused(copier, wire, members, named):
    call = partial(copier.flow, wire, **{"table": "t", **members})
    assert_refused("InvalidArgumentException", call, named)


# MARK: Templates


def test_a_template_can_be_filled_with_all_parts(start_warehouse, wire):
    template = (
        "CALL load({table}, {columns}, {manifest}, {credentials}, {options}, {options_literal}, "
        "{copy_literal}); {copy}"
    ).replace("; ", " AND ")
    flow = start_warehouse("--copy-statement", template).flow(
        wire, table='S."T"', columns="a, B", options="JSON 'auto'"
    )
    flow.put(*numbered(1))
    said = only_statement(wire, flow).replace("E'", "'")
    url = manifest_url(flow)
    target = '"s"."T" ("a", "b")'
    copy = f"COPY {target} FROM '{url}' CREDENTIALS {ROLE_CREDENTIALS} MANIFEST JSON 'auto'"
    inner = copy.replace("'", "''")
    assert said == (
        f'CALL load("s"."T", "a", "b", \'{url}\', {ROLE_CREDENTIALS}, JSON \'auto\', '
        f"'JSON ''auto''', '{inner}') AND {copy}"
    )


@pytest.mark.parametrize("template", ["SELECT {nothing}", "SELECT {copy} {COPY}"])
def test_a_template_with_an_unknown_part_is_refused(make_hydrant, template):
    said = make_hydrant("--copy-statement", template).refusal_to_start()
    assert "placeholder" in said


# MARK: Credentials


@pytest.mark.parametrize("token", [None, "a/session+token=="], ids=["keys", "token"])
def test_the_servers_keys_can_be_in_the_statement(start_hydrant, wire, token):
    """And nowhere else: neither in a log nor on a command line, also not while it is carried
    out."""
    with StrictS3(session_token=token) as store:
        options = ("--copy-credentials", "keys", *LOG_FORMAT)
        hydrant = start_hydrant(*options, environment=store.environment)
        bench = WarehouseBench(hydrant, StrictBucket(store, "bucket"))
        hold = wire.plan = Hold("COPY")
        flow = bench.flow(wire, table="t", options=None)
        flow.put(*numbered(1))
        hold.wait()
        secrets = [SECRET_KEY, PASSWORD] + ([token] if token else [])
        assert not [each for each in secrets if each in command_lines(hydrant)]
        hold.let_go()
        keys = f"aws_access_key_id={ACCESS_KEY};aws_secret_access_key={SECRET_KEY}"
        keys += f";token={token}" if token else ""
        expected = f"COPY \"t\" FROM '{manifest_url(flow)}' CREDENTIALS '{keys}' MANIFEST"
        assert only_statement(wire, flow) == expected
        assert wire.sessions[0].password == PASSWORD
        assert not [each for each in secrets if each in hydrant.log()]


def test_errors_do_not_repeat_credentials(start_warehouse, seaweed, wire):
    """The database's message quotes the statement, and so may psql's."""

    def plan(_: Session, statement: str) -> Refusal:
        return Refusal("42601", f"syntax error in: {statement}", detail=statement)

    wire.plan = plan
    flow = start_warehouse("--copy-credentials", "keys").flow(wire, retry=0, options="NULL 'a'")
    flow.put(*numbered(1))
    (said,) = flow.wait_for_given_up()
    assert said["code"] == "Redshift.SyntaxError"
    secret = seaweed.environment["AWS_SECRET_ACCESS_KEY"]
    assert not [each for each in (secret, PASSWORD) if each in flow.hydrant.log()]


# MARK: The ledger


def test_a_load_and_its_entry_are_one_transaction(warehouse, proxy):
    flow = warehouse.flow(proxy)
    flow.put(*numbered(3))
    flow.settle(3)
    url = manifest_url(flow)
    (session,) = proxy.sessions
    words = [each.split()[0] for each in session.statements]
    assert words.count("COMMIT") == 1 and words[-1] == "COMMIT"
    begin, lock, look, load, entry, _ = session.statements[words.index("BEGIN") :]
    assert begin.startswith("BEGIN")
    assert lock.startswith("LOCK TABLE")
    assert look.startswith("SELECT") and f"'{url}'" in look
    assert load.startswith("SELECT redshift_copy(")
    assert re.fullmatch(
        r'INSERT INTO "?hydrant_loads"? \("?manifest"?, "?stream"?, "?loaded"?\) '
        rf"VALUES \('{re.escape(url)}', '{flow.stream}', CURRENT_TIMESTAMP\)",
        entry,
    ), entry


def test_what_the_ledger_has_is_not_loaded(warehouse, proxy):
    """Somebody else has loaded it meanwhile: here the first attempt, which had no answer."""
    proxy.plan = on("COMMIT", Drop.AFTER)
    flow = warehouse.flow(proxy)
    flow.put(*numbered(3))
    flow.wait_for_log(LOADED_BEFORE)
    first, second = proxy.sessions
    assert any("redshift_copy" in each for each in first.statements)
    assert not any("redshift_copy" in each for each in second.statements)
    assert second.statements[-1] == "ROLLBACK"
    assert flow.numbers() == [0, 1, 2]


def test_the_ledger_can_be_anywhere(start_warehouse, postgres):
    """The second server finds it there already, and uses it."""
    postgres.query('CREATE SCHEMA "Audit"')
    options = ("--copy-ledger", '"Audit"."the loads"', "--create-copy-ledger")
    for start in (0, 3):
        flow = start_warehouse(*options, postgres=postgres).flow()
        flow.put(*numbered(3, start))
        flow.wait_for_log(LOADED)
        url = manifest_url(flow)
        found = postgres.query('SELECT manifest FROM "Audit"."the loads"')
        assert [url] in found


# MARK: psql


def test_psql_gets_all_by_its_environment_and_its_input(start_warehouse, tmp_path):
    psql = FakePsql(tmp_path / "fake")
    ca = tmp_path / "ca.pem"
    ca.write_text("")
    options = ("--psql", str(psql.path), "--copy-tls", "verify-full", "--copy-ca", str(ca))
    strange = {"PGSERVICE": "other", "PGOPTIONS": "-c x=y", "PGPASSFILE": "/x", "SECRET": "hidden"}
    host = "examplecluster.abc123xyz789.eu-central-1.redshift.amazonaws.com"
    bench = start_warehouse(*options, environment=strange)
    flow = bench.flow(url=f"jdbc:redshift://{host}/Dev", table="t", user="o'reilly")
    flow.put(*numbered(1))
    flow.wait_for_log(LOADED)
    (call,) = psql.calls
    assert call.environment == {
        "PATH": call.environment["PATH"],
        "PGHOST": host,
        "PGPORT": "5439",
        "PGDATABASE": "Dev",
        "PGUSER": "o'reilly",
        "PGPASSWORD": PASSWORD,
        "PGSSLMODE": "verify-full",
        "PGSSLROOTCERT": str(ca),
        "PGCONNECT_TIMEOUT": "30",
        "PGAPPNAME": "hydrant",
        "HOME": "/nonexistent",
        "LC_ALL": "C",
    }
    assert call.arguments[:2] == ["--no-psqlrc", "--quiet"]
    assert not [each for each in call.arguments if PASSWORD in each or "COPY" in each]
    assert f"COPY \"t\" FROM '{manifest_url(flow)}'" in call.script


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("jdbc:redshift://10.0.0.1:5555/db", ("10.0.0.1", "5555", "db")),
        ("jdbc:postgresql://localhost/Some_db", ("localhost", "5439", "Some_db")),
        ("jdbc:redshift://[::1]:1/a%20b", ("::1", "1", "a b")),
    ],
)
def test_the_url_says_where_psql_goes(start_warehouse, tmp_path, url, place):
    """psql is found by the PATH."""
    psql = FakePsql(tmp_path / "fake")
    path = f"{psql.path.parent}:/usr/bin:/bin"
    flow = start_warehouse(environment={"PATH": path}).flow(url=url, table="t")
    flow.put(*numbered(1))
    flow.wait_for_log(LOADED)
    (call,) = psql.calls
    names = ("PGHOST", "PGPORT", "PGDATABASE")
    assert tuple(call.environment[each] for each in names) == place
    assert call.environment["PGSSLMODE"] == "prefer"
    assert "PGSSLROOTCERT" not in call.environment


@pytest.mark.parametrize(
    ("user", "database", "password"),
    [
        (LOADER, "records", PASSWORD),
        ("o'reilly", "host=example.com", "pass'word\"; \\! id"),
        ("host=example.com", "postgresql://example.com:1/db", "$(id) `id` \\'ünï"),
        ("postgresql://example.com", "-h", "service=other"),
    ],
)
def test_the_database_is_told_who_connects(copier, user, database, password):
    """Nothing of that leads elsewhere."""
    with Wire(password=password) as wire:
        url = f"jdbc:redshift://127.0.0.1:{wire.port}/{database}"
        flow = copier.flow(wire, url=url, table="t", user=user, password=password)
        flow.put(*numbered(1))
        flow.wait_for_log(LOADED)
        (session,) = wire.sessions
        expected = {"user": user, "database": database, "application_name": "hydrant"}
        assert expected.items() <= session.parameters.items()
        assert session.password == password


# MARK: The judge


def test_what_breaks_out_is_noticed():
    """Of the tests' own reading of SQL."""
    plain, escaping = {"escapes": False}, {"escapes": True}
    assert statements_in("a 'x;y'; b \"c;\" -- d; e\n; f", **plain) == [
        "a 'x;y'",
        'b "c;" -- d; e',
        "f",
    ]
    assert len(statements_in("a '\\'; b; --'", **plain)) == 3
    assert len(statements_in("a '\\'; b; --'", **escaping)) == 1
    assert len(statements_in("a E'\\'; b; --'", **plain)) == 1
    assert literal("E'a\\\\''b'", **plain) == literal("E'a\\\\''b'", **escaping) == "a\\'b"
    assert literal("'a\\''b'", **plain) == "a\\'b"
