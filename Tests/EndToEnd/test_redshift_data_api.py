"""COPY through the Redshift Data API: what is asked for, and what is made of each answer."""

import re
from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise

import pytest

from data_api import (
    ABORTED,
    ACCESS_KEY,
    BATCH,
    DESCRIBE,
    EXECUTE,
    FINISHES,
    MANIFEST_URL,
    RESULT,
    RUNS,
    SECRET_KEY,
    THROTTLED,
    TOO_MANY,
    Call,
    Course,
    DataAPI,
    Fault,
    error,
    fails,
    first,
    hang_when_taken,
    raw,
    reset,
    reset_when_taken,
)
from redshift_streams import (
    ERROR_MANIFESTS,
    ERRORS,
    FAILED_ONCE,
    LEDGER,
    MANIFESTS,
    PASSWORD,
    USERNAME,
    WORKGROUP,
    Load,
    data_api_options,
    load_in,
    numbered,
)
from server import Hydrant
from waiting import wait_until


LEDGERS = pytest.mark.parametrize(
    "ledger", [[], ["--copy-ledger", LEDGER]], ids=["token", "ledger"]
)


@pytest.fixture(scope="module")
def api() -> Iterator[DataAPI]:
    """The Data API that the module's tests share."""
    with DataAPI() as api:
        yield api


@pytest.fixture(autouse=True)
def _no_violations(api: DataAPI) -> Iterator[None]:
    yield
    found, api.violations = api.violations, []
    assert not found, f"{len(found)} violations, such as {found[:5]}"


@pytest.fixture(scope="module")
def module_server(start_module_hydrant, api) -> Hydrant:
    """The server that tests share. It logs all that it can."""
    options = data_api_options(api, "--log-level", "debug")
    return start_module_hydrant(*options, environment=api.environment)


@pytest.fixture
def load(module_server, api) -> Callable[..., Load]:
    """Creates a stream of the shared server."""
    return lambda **given: load_in(module_server, api, **given)


@pytest.fixture
def start_load(start_hydrant, api) -> Callable[..., Load]:
    """Creates a stream of a server of the test's own, which has more options."""

    def start(*others: str, **given) -> Load:
        options = data_api_options(api, *others)
        return load_in(start_hydrant(*options, environment=api.environment), api, **given)

    return start


# MARK: What is asked for


def test_a_statement_for_a_cluster_names_it_by_the_first_label_of_its_host(load):
    made = load(course=lambda _: Course(("SUBMITTED", "PICKED", "STARTED", "FINISHED")))
    made.flow.put(b"1\n", b"22\n")
    (said,) = made.flow.wait_for_load()
    (statement,) = made.database.statements
    assert statement.body == {
        "ClusterIdentifier": "shop",
        "Database": made.database.name,
        "DbUser": USERNAME,
        "Sql": made.copy_of(made.manifest),
        "StatementName": made.flow.stream,
        "ClientToken": statement.body["ClientToken"],
    }
    assert (said["records"], said["bytes"], said["attempts"]) == ("2", "5", "1")
    pauses = [later - sooner for sooner, later in pairwise(statement.looks)]
    assert 0.9 < pauses[0] < pauses[1] < pauses[2] < 10


def test_a_statement_for_a_workgroup_has_no_user(load):
    copy = {"DataTableName": "sales.Orders", "DataTableColumns": 'id, "Odd, one"'}
    copy |= {"CopyOptions": "json 'auto' GZIP"}
    made = load(host=WORKGROUP, copy=copy, s3={"CompressionFormat": "GZIP"})
    made.flow.put(b"record")
    made.flow.wait_for_load()
    (statement,) = made.database.statements
    command = 'COPY "sales"."orders" ("id", "Odd, one")'
    assert statement.body == {
        "WorkgroupName": "shop-serverless",
        "Database": made.database.name,
        "Sql": made.copy_of(made.manifest, command) + " json 'auto' GZIP",
        "StatementName": made.flow.stream,
        "ClientToken": statement.body["ClientToken"],
    }


def test_keys_are_in_the_statement_and_nowhere_else(start_hydrant):
    """Nor the password, which the Data API has no use for. Requests are signed with the token."""
    token = "session/token+with=all"
    with DataAPI(session_token=token) as api:
        given = data_api_options(api, "--copy-credentials", "keys", "--log-level", "debug")
        region = {"AWS_REGION": "ap-south-1"}
        hydrant = start_hydrant(*given, environment=api.environment | region)
        made = load_in(hydrant, api, host="warehouse", region="ap-south-1")
        made.database.course = lambda number: [fails("ERROR: no"), FINISHES][min(number, 1)]
        made.flow.put(b"record")
        made.flow.wait_for_load()
        keys = f"aws_access_key_id={ACCESS_KEY};aws_secret_access_key={SECRET_KEY};token={token}"
        statements = made.database.statements
        expected = made.copy_of(made.manifest, credentials=keys)
        assert [each.sqls for each in statements] == [[expected]] * 2
        assert statements[0].body["ClusterIdentifier"] == "warehouse"
        assert api.violations == []
    assert FAILED_ONCE in hydrant.log()
    assert not any(secret in hydrant.log() for secret in (SECRET_KEY, token, PASSWORD))


# MARK: Ends of a statement


def test_what_fails_ends_with_its_code_and_its_manifest_is_kept(load):
    loads = {text: load(course=lambda _, t=text: fails(t), retry=0) for text in ERRORS}
    for made in loads.values():
        made.flow.put(b"record")
    found = {}
    for text, made in loads.items():
        (said,) = made.flow.wait_until_given_up()
        made.flow.assert_each_object_has_its_manifest(ERROR_MANIFESTS)
        made.flow.assert_each_object_has_its_manifest()
        assert text.split(": ", 1)[1] in said["error"]
        assert said["attempts"] == "1"
        assert len(made.database.loads) == 1
        assert made.flow.log(FAILED_ONCE) == []
        found[text] = said["code"].removeprefix("Redshift.")
    assert found == ERRORS


def test_an_aborted_statement_is_tried_again(load):
    """A status that nobody has heard of is no end: old clusters say UNKNOWN for a while."""
    made = load(course=lambda number: Course(("UNKNOWN", "FINISHED")) if number else ABORTED)
    made.flow.put(b"record")
    (said,) = made.flow.wait_for_load()
    assert said["attempts"] == "2"
    (failed,) = made.flow.log(FAILED_ONCE)
    assert failed["manifest"] == made.manifest
    assert failed["attempts"] == "1"
    assert len(made.database.loads) == 2, "the old token answers with what was aborted"


# MARK: Ends of a request


@pytest.mark.parametrize("operation", [EXECUTE, DESCRIBE])
def test_what_fails_on_the_way_is_asked_again_and_loads_once(load, operation):
    """Where a statement was taken, the same token finds it."""
    faults = {
        "throttled": THROTTLED,
        "too many": TOO_MANY,
        "internal": error(500, "InternalServerException"),
        "unavailable": error(503, "ServiceUnavailable"),
        "no JSON": raw(502, b"<html>"),
        "reset": reset,
        "reset when taken": reset_when_taken,
        "unreadable": raw(200, b'{"Id":', carries_out=True),
        "empty": raw(200, b"{}", carries_out=True),
    }
    loads = [load(fault=first(1, fault, operation)) for fault in faults.values()]
    for made in loads:
        made.flow.put(b"record")
    for made in loads:
        made.flow.wait_for_load()
    loaded = [sorted(made.database.loaded.values()) for made in loads]
    assert dict(zip(faults, loaded, strict=True)) == dict.fromkeys(faults, [1])


@LEDGERS
def test_a_refusal_says_nothing_of_a_statement_that_may_run(start_load, ledger):
    """The first request was carried out; only its own token finds out what became of it."""
    refusals = [THROTTLED]

    def fault(call: Call) -> Fault | None:
        if made.database.loads:
            return refusals.pop() if refusals and call.operation == EXECUTE else None
        is_load = call.operation == (BATCH if ledger else EXECUTE)
        return raw(200, b'{"Id":', carries_out=True) if is_load else None

    made = start_load(*ledger, course=lambda _: RUNS, fault=fault)
    made.flow.put(b"record")
    made.flow.wait_for_log(FAILED_ONCE, 2)
    wait_until(lambda: any(each.looks for each in made.database.loads), "a look")
    (statement,) = made.database.loads
    made.database.finish(statement)
    made.flow.wait_for_load()
    made.assert_loaded_once()


def test_what_is_refused_is_given_up_with_its_code(load):
    refusals = {
        "AccessDeniedException": "Redshift.AccessDenied",
        "UnrecognizedClientException": "Redshift.AuthenticationFailed",
        "ExpiredTokenException": "Redshift.AuthenticationFailed",
    }
    loads = {
        kind: load(fault=first(9, error(400, kind, f"{kind} was said")), retry=0)
        for kind in refusals
    }
    for made in loads.values():
        made.flow.put(b"record")
    found = {}
    for kind, made in loads.items():
        (said,) = made.flow.wait_until_given_up()
        assert f"{kind} was said" in said["error"]
        found[kind] = said["code"]
    assert found == refusals


# MARK: Retries


def test_the_pauses_between_attempts_double_and_let_others_go_first(load):
    """The one that fails holds up nothing."""
    made = load(course=lambda number: fails("ERROR: no") if number in (0, 2) else FINISHES)
    made.flow.put(b"first ")
    made.database.wait_for_loads(1)
    made.flow.put(b"second")
    said = made.flow.wait_for_load(2)
    assert [each["attempts"] for each in said] == ["1", "3"]
    assert said[0]["manifest"] > said[1]["manifest"]
    made.assert_loaded_once(2)
    attempts = [made.database.loads[each] for each in (0, 2, 3)]
    pauses = [later.when - sooner.looks[-1] for sooner, later in pairwise(attempts)]
    assert [0.8 < pauses[0] < 1.7, 1.6 < pauses[1] < 2.9] == [True, True], pauses


def test_the_time_for_retries_goes_on_over_a_restart(start_load):
    made = start_load(course=lambda _: fails("ERROR: never"), retry=4)
    made.flow.put(b"record")
    made.database.wait_for_loads(2)
    made.flow.hydrant.sigkill()
    made.flow.hydrant.start()
    (said,) = made.flow.wait_until_given_up()
    assert int(said["attempts"]) >= 3
    assert made.database.loads[-1].when - made.database.loads[0].when < 4.5
    made.flow.assert_each_object_has_its_manifest(ERROR_MANIFESTS)


def test_one_statement_runs_at_a_time_and_objects_are_stored_meanwhile(load):
    made = load(course=lambda number: FINISHES if number else RUNS)
    made.flow.put(b"first")
    (held,) = made.database.wait_for_loads(1)
    for number, record in enumerate(numbered(8), 2):
        made.flow.put(record)
        stored = partial(lambda least: len(made.flow.keys(MANIFESTS)) >= least, number)
        wait_until(stored, f"manifest {number}", timeout=5)
    assert made.database.loads == [held]
    made.database.finish(held)
    made.flow.wait_for_load(9)
    made.assert_loaded_once(9)


def test_many_manifests_that_are_retried_do_not_hold_up_one_that_can_be_loaded(load):
    bad: set[str] = set()

    def fault(call: Call) -> Fault | None:
        if call.operation != EXECUTE:
            return None
        url = MANIFEST_URL.search(call.body["Sql"])[1]
        bad.update([url] if len(bad) < 8 else [])
        return error(400, "ValidationException") if url in bad else None

    made = load(fault=fault)
    for number, record in enumerate(numbered(8), 1):
        made.flow.put(record)
        wait_until(lambda n=number: len(bad) >= n, f"manifest {number}", timeout=5)
    made.flow.put(b"good")
    made.flow.wait_for_load()


# MARK: Kills


@pytest.mark.parametrize("stop", ["sigkill", "sigterm"])
def test_a_statement_that_runs_when_the_server_ends_is_not_run_again(start_load, stop):
    """Asked with the same token, the Data API answers with the statement that runs."""
    made = start_load(course=lambda _: RUNS)
    made.flow.put(b"record")
    (statement,) = made.database.wait_for_loads(1)
    wait_until(lambda: statement.looks, "a look")
    getattr(made.flow.hydrant, stop)()
    before = len(statement.looks)
    made.flow.hydrant.start()
    wait_until(lambda: len(statement.looks) > before, "a look after the restart")
    made.database.finish(statement)
    made.flow.wait_for_load()
    made.assert_loaded_once()
    assert made.database.loads == [statement]


@LEDGERS
def test_a_kill_before_the_answer_does_not_run_a_statement_again(start_load, ledger):
    made = start_load(*ledger, fault=first(1, hang_when_taken, BATCH if ledger else EXECUTE))
    made.flow.put(b"record")
    made.database.wait_for_loads(1)
    made.flow.hydrant.sigkill()
    made.flow.hydrant.start()
    made.flow.wait_for_load()
    made.assert_loaded_once()
    made.flow.put(b"next")
    made.flow.wait_for_load(2)
    made.assert_loaded_once(2)


# MARK: The ledger


@pytest.mark.parametrize("option", [[], ["--create-copy-ledger"]], ids=["", "created"])
def test_the_ledger_is_looked_into_and_written_with_the_load(start_load, option):
    made = start_load("--copy-ledger", f"ops.{LEDGER}", *option)
    made.flow.put(b"record")
    made.flow.wait_for_load()
    url, table = made.manifest, f'"ops"."{LEDGER}"'
    *creation, look, batch = made.database.statements
    assert [each.sqls for each in creation] == [
        [
            f"CREATE TABLE IF NOT EXISTS {table} (manifest varchar(1300) NOT NULL PRIMARY KEY, "
            "stream varchar(64) NOT NULL, loaded timestamp NOT NULL)"
        ]
    ][: len(option)]
    assert (look.operation, batch.operation) == (EXECUTE, BATCH)
    assert re.fullmatch(rf"SELECT .* FROM {table} WHERE manifest = '{url}'", look.sqls[0])
    assert len(made.database.calls_of(RESULT)) == 1
    assert batch.sqls == [
        f"LOCK TABLE {table}",
        # For one that came between the look and the lock.
        f"SELECT 1 / (CASE WHEN count(*) > 0 THEN 0 ELSE 1 END) FROM {table} "
        f"WHERE manifest = '{url}'",
        made.copy_of(url),
        f"INSERT INTO {table} (manifest, stream, loaded) "
        f"VALUES ('{url}', '{made.flow.stream}', CURRENT_TIMESTAMP)",
    ]
    assert batch.body["StatementName"] == made.flow.stream
    assert made.database.ledger == {url}
    made.assert_loaded_once()


def test_what_the_ledger_knows_is_not_loaded_again(start_load):
    """Somebody else has loaded it, or an attempt whose end nobody heard of."""
    made = start_load("--copy-ledger", LEDGER, "--copy-timeout", "3", course=lambda _: RUNS)
    made.flow.put(b"record")
    (batch,) = made.database.wait_for_loads(1)
    made.database.fault = first(10**9, error(503, "ServiceUnavailable"), DESCRIBE)
    made.database.finish(batch)
    made.flow.wait_for_log(FAILED_ONCE)
    made.database.fault = lambda _: None
    made.flow.wait_for_load()
    made.assert_loaded_once()
    assert made.database.loads == [batch]


def test_a_batch_that_fails_is_classified_like_a_statement(start_load):
    text = 'ERROR: relation "events" does not exist'
    made = start_load("--copy-ledger", LEDGER, course=lambda _: fails(text), retry=0)
    made.flow.put(b"record")
    (said,) = made.flow.wait_until_given_up()
    assert said["code"] == "Redshift.TableNotFound"
    assert made.database.ledger == set()
