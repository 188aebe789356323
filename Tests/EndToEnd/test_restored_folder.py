"""A data folder that is copied, or put back as it was: no document is lost to another one."""

import json
import shutil

import pytest

from search_streams import SearchFlow
from transforms import client_of
from waiting import wait_until

pytest_plugins = ["search_fixtures"]

WAITS = {"SizeInMBs": 5, "IntervalInSeconds": 900}


def documents(begin: int, end: int) -> list[bytes]:
    return [json.dumps({"n": number}).encode() for number in range(begin, end)]


def wait_for(flow: SearchFlow, numbers: range) -> None:
    def has_all() -> bool:
        found = sorted(flow.numbers())
        assert len(found) == len(set(found)), "a document is there twice"
        return found == list(numbers)

    wait_until(has_all, f"{len(numbers)} documents", timeout=30)


@pytest.mark.parametrize("how", ["put back", "copied to another machine's disk"])
def test_what_a_restored_folder_is_given_overwrites_nothing(start_search, how):
    bench = start_search()
    flow = bench.flow()
    server = bench.hydrant
    flow.put(*documents(0, 50))
    wait_for(flow, range(50))
    server.sigterm()
    copy = server.folder / "copy"
    shutil.copytree(server.data, copy)
    # What the original goes on with, ...
    server.start()
    flow.put(*documents(50, 100))
    wait_for(flow, range(100))
    server.sigterm()
    # ... the copy knows nothing of.
    if how == "put back":
        shutil.rmtree(server.data)
        shutil.copytree(copy, server.data)
    else:
        server.data = copy
    server.start()
    flow.put(*documents(100, 150))
    wait_for(flow, range(150))


def test_what_was_not_delivered_when_it_was_copied_is_there_once(start_search):
    bench = start_search()
    flow = bench.flow(hints=WAITS)
    server = bench.hydrant
    flow.put(*documents(0, 50))
    server.sigterm()
    copy = server.folder / "copy"
    shutil.copytree(server.data, copy)
    for folder in (server.data, copy):
        server.data = folder
        server.start()
        client_of(server).update_destination(
            DeliveryStreamName=flow.stream,
            CurrentDeliveryStreamVersionId="1",
            DestinationId="destinationId-000000000001",
            AmazonopensearchserviceDestinationUpdate={
                "BufferingHints": {"SizeInMBs": 1, "IntervalInSeconds": 0}
            },
        )
        wait_for(flow, range(50))
        server.sigterm()
