"""The Data API executor's calls, as moto reads them.

moto runs no SQL: a statement is STARTED for as long as nobody cancels it. It knows neither
BatchExecuteStatement nor client tokens, so ledgers and repeated requests are for the scripted
server, which is held against moto here.
"""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass

import boto3
import pytest
from botocore.config import Config
from moto.core import DEFAULT_ACCOUNT_ID
from moto.redshiftdata.models import RedshiftDataAPIServiceBackend, redshiftdata_backends
from moto.server import ThreadedMotoServer

from data_api import ACCESS_KEY, SECRET_KEY, DataAPI
from ports import free_port
from redshift_streams import (
    CLUSTER,
    DATA_API,
    ERROR_MANIFESTS,
    FAILED_ONCE,
    KIND,
    LOADED,
    SECRET_ARN,
    USERNAME,
    WORKGROUP,
    RedshiftFlow,
    flow_in,
    jdbc,
)
from streams import ROLE_ARN, fresh_name
from transforms import client_of as firehose_client_of
from updates import update
from waiting import wait_until

REGION = "eu-west-1"

KEYS = {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY}


def client_of(endpoint: str):
    """A boto3 client of a Data API."""
    return boto3.session.Session().client(
        "redshift-data",
        endpoint_url=endpoint,
        region_name=REGION,
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
        config=Config(retries={"total_max_attempts": 1}),
    )


@dataclass
class Moto:
    """moto's server, which runs in this process, so that its statements can be reached."""

    endpoint: str

    @property
    def backend(self) -> RedshiftDataAPIServiceBackend:
        """What it has of the region."""
        return redshiftdata_backends[DEFAULT_ACCOUNT_ID][REGION]

    def statements(self, database: str) -> list:
        """What it took for a database, in order."""
        found = list(self.backend.statements.values())
        return [each for each in found if each.database == database]

    def wait_for(self, database: str, count: int = 1) -> list:
        """Waits until it took so many statements for a database."""
        what = f"{count} statements for {database}"
        wait_until(lambda: len(self.statements(database)) >= count, what)
        return self.statements(database)


@pytest.fixture(scope="module")
def moto() -> Iterator[Moto]:
    """The server, for the module."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    yield Moto(f"http://127.0.0.1:{port}")
    server.stop()


@pytest.fixture
def start_flow(start_hydrant, moto):
    """Starts a server and creates a stream to a database of its own; returns that name too."""

    def start(*options: str, host: str = CLUSTER, **members) -> tuple[RedshiftFlow, str]:
        endpoint = ("--data-api-endpoint", moto.endpoint)
        hydrant = start_hydrant(*DATA_API, *endpoint, *options, environment=KEYS)
        database = fresh_name("db")
        flow = flow_in(hydrant, ClusterJDBCURL=jdbc(host, database), **members)
        return flow, database

    return start


def test_moto_reads_the_statement_and_is_asked_until_it_ends(start_flow, moto):
    """Its region and its service are those of the signature: it finds the one by the other."""
    flow, database = start_flow()
    flow.put(b"record")
    (statement,) = moto.wait_for(database)
    (url,) = flow.manifest_urls()
    assert statement.query_string == (
        f"COPY \"events\" FROM '{url}' CREDENTIALS 'aws_iam_role={ROLE_ARN}' MANIFEST"
    )
    assert (statement.cluster_identifier, statement.db_user) == ("shop", USERNAME)
    assert (statement.secret_arn, statement.query_parameters) == (None, None)
    assert flow.log(LOADED) == []
    statement.status = "FINISHED"
    flow.wait_for_load()
    assert moto.statements(database) == [statement]


@pytest.mark.parametrize("host", [CLUSTER, WORKGROUP], ids=["cluster", "workgroup"])
def test_a_secret_takes_the_place_of_the_user(start_flow, moto, host):
    """A workgroup has a name of its own, which moto does not keep."""
    flow, database = start_flow("--data-api-secret", SECRET_ARN, host=host)
    flow.put(b"record")
    (statement,) = moto.wait_for(database)
    assert statement.cluster_identifier == ("shop" if host == CLUSTER else None)
    assert (statement.db_user, statement.secret_arn) == (None, SECRET_ARN)
    statement.status = "FINISHED"
    flow.wait_for_load()


def test_a_statement_that_somebody_cancels_is_tried_again(start_flow, moto):
    flow, database = start_flow()
    flow.put(b"record")
    (statement,) = moto.wait_for(database)
    assert client_of(moto.endpoint).cancel_statement(Id=statement.id)["Status"] is True
    *_, second = moto.wait_for(database, 2)
    second.status = "FINISHED"
    (said,) = flow.wait_for_load()
    assert said["attempts"] == "2"
    assert len(flow.log(FAILED_ONCE)) == 1


def test_a_statement_that_moto_has_forgotten_is_tried_again(start_flow, moto):
    """How it ended cannot be asked any more."""
    flow, database = start_flow("--copy-timeout", "2")
    flow.put(b"record")
    (statement,) = moto.wait_for(database)
    del moto.backend.statements[statement.id]
    (second,) = moto.wait_for(database)
    assert second.query_string == statement.query_string
    second.status = "FINISHED"
    flow.wait_for_load()


def test_an_endpoint_that_is_not_there_is_a_failed_connection(start_hydrant):
    endpoint = ("--data-api-endpoint", f"http://127.0.0.1:{free_port()}")
    flow = flow_in(start_hydrant(*DATA_API, *endpoint, environment=KEYS), retry=0)
    flow.put(b"record")
    (said,) = flow.wait_until_given_up()
    assert said["code"] == "Redshift.ConnectionFailed"


def test_a_manifest_that_the_bucket_does_not_take_is_kept_later(start_flow, moto):
    """Also over a kill, and the next one is loaded meanwhile."""
    flow, database = start_flow(retry=0)
    obstacle = flow.bucket.folder / "errors"
    obstacle.parent.mkdir(parents=True)
    obstacle.write_text("no folder")
    flow.put(b"record")
    moto.wait_for(database)[0].status = "FAILED"
    flow.hydrant.wait_for_log("errors/manifests/")
    flow.put(b"next")
    moto.wait_for(database, 2)[1].status = "FINISHED"
    flow.wait_for_log(LOADED)
    journal = flow.hydrant.data / "streams" / f"{flow.stream}.stream" / "in-flight"
    # Until then it would be asked for again, which moto, without tokens, takes for another.
    wait_until(
        lambda: any("isSettled" in each.read_text() for each in journal.glob("*.json")),
        "the end of the second in the journal",
    )
    flow.hydrant.sigkill()
    obstacle.unlink()
    flow.hydrant.start()
    flow.wait_until_given_up()
    assert len(flow.keys(ERROR_MANIFESTS)) == 1
    assert len(moto.statements(database)) == 2


# MARK: Changes


@pytest.mark.parametrize("url", ["same", "other"])
def test_what_waits_is_loaded_as_the_user_of_now_unless_the_warehouse_is_another(
    start_flow, moto, url
):
    flow, database = start_flow()
    flow.put(b"record")
    (statement,) = moto.wait_for(database)
    client = firehose_client_of(flow.hydrant)
    other = fresh_name("db")
    place = {"ClusterJDBCURL": jdbc("other.x.eu-west-1.redshift.amazonaws.com", other)}
    changed = {"Username": "somebody"} | (place if url == "other" else {})
    update(client, flow.stream, kind=KIND, **changed)
    statement.status = "ABORTED"
    *_, second = moto.wait_for(database, 2)
    assert second.query_string == statement.query_string
    assert second.cluster_identifier == "shop"
    assert second.db_user == (USERNAME if url == "other" else "somebody")
    second.status = "FINISHED"
    flow.wait_for_load()
    flow.put(b"next")
    *_, last = moto.wait_for(other) if url == "other" else moto.wait_for(database, 3)
    assert last.db_user == "somebody"
    assert last.cluster_identifier == ("other" if url == "other" else "shop")


def test_a_stream_whose_statement_runs_can_be_deleted(start_flow, moto):
    flow, database = start_flow()
    flow.put(b"record")
    (statement,) = moto.wait_for(database)
    client = firehose_client_of(flow.hydrant)
    client.delete_delivery_stream(DeliveryStreamName=flow.stream)
    statement.status = "FINISHED"
    assert flow.hydrant.sigterm() == 0
    assert flow.log(LOADED) == []


# MARK: The scripted server


def test_the_scripted_server_answers_as_moto_does(moto):
    """So that what is shown with the one holds for the other."""
    with DataAPI() as api:
        database = api.database(fresh_name("db"))
        sql = "COPY \"t\" FROM 's3://bucket/some-manifest' CREDENTIALS '' MANIFEST"
        found = []
        for endpoint in (api.endpoint, moto.endpoint):
            client = client_of(endpoint)
            place = {"ClusterIdentifier": "shop", "Database": database.name, "DbUser": "user"}
            taken = client.execute_statement(Sql=sql, ClientToken="token", **place)
            told = client.describe_statement(Id=taken["Id"])
            with pytest.raises(client.exceptions.ResourceNotFoundException):
                client.describe_statement(Id=str(uuid.uuid4()))
            found.append((taken, told, place.items() <= taken.items(), told["QueryString"]))
        (taken, told, *alike), (moto_taken, moto_told, *moto_alike) = found
        assert alike == moto_alike == [True, sql]
        assert taken.keys() <= moto_taken.keys()
        assert told.keys() <= moto_told.keys()
        assert api.violations == []
        assert database.loaded == {"s3://bucket/some-manifest": 1}
        again = client_of(api.endpoint).execute_statement(Sql=sql, ClientToken="token", **place)
        assert again["Id"] == taken["Id"]
        assert database.loaded == {"s3://bucket/some-manifest": 1}
