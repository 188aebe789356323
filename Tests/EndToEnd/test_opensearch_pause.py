"""When neither OpenSearch nor the bucket for failed records takes anything: delivery waits."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from bulk_faults import BulkFaults
from bulk_replies import always, answer
from metrics import metric
from search_streams import SearchBench, SearchFlow, StrictBucket
from streams import fresh_name
from strict_s3 import StrictS3
from transforms import log_lines
from waiting import wait_until

pytest_plugins = ["search_fixtures"]

PAUSED = (
    "delivery is paused: neither the destination nor the bucket for failed records takes anything"
)

GOES_ON = "delivery goes on"


@dataclass
class Scene:
    """A stream whose destination and whose bucket can both go away."""

    search: SearchBench
    faults: BulkFaults
    store: StrictS3
    flow: SearchFlow

    def put(self, count: int) -> None:
        """Puts documents with the next numbers."""
        start = len(self.flow.records)
        self.flow.put(*[b'{"n": %d}' % number for number in range(start, start + count)])

    def take_away_destination(self) -> None:
        """Has the destination refuse everything."""
        self.faults.plan = always(answer(503))

    def take_away_bucket(self) -> None:
        """Has the bucket refuse everything."""
        self.store.fault = lambda _: 503

    def bring_back_destination(self) -> None:
        """Undoes `take_away_destination`."""
        self.faults.plan = lambda _: None

    def bring_back_bucket(self) -> None:
        """Undoes `take_away_bucket`."""
        self.store.fault = lambda _: None

    def pause(self) -> None:
        """Takes both away and puts documents until delivery is paused."""
        self.take_away_destination()
        self.take_away_bucket()
        self.put(10)
        wait_until(lambda: self.said(PAUSED), "the pause")
        (line,) = self.said(PAUSED)
        assert line["level"] == "error"
        assert self.gauge() == 1
        for _ in range(3):
            self.put(10)
        assert self.flow.documents() == []
        assert self.flow.bucket.keys() == []
        assert self.said(GOES_ON) == []

    def said(self, message: str) -> list[dict[str, str]]:
        """The lines of the log with a message."""
        return log_lines(self.search.hydrant, message)

    def gauge(self) -> float | None:
        """What the metric of the pause says."""
        labels = {"stream": self.flow.stream, "pipeline": "source"}
        return metric(self.search.hydrant, "hydrant_delivery_paused", **labels)

    def wait_until_it_goes_on(self) -> None:
        """Waits until the log says so."""
        wait_until(lambda: self.said(GOES_ON), "the end of the pause", timeout=60)
        assert self.said(GOES_ON)[0]["level"] == "notice"
        wait_until(lambda: self.gauge() == 0, "the gauge")

    def numbers(self) -> tuple[list[int], list[int]]:
        """What is in the index and what has failed, sorted."""
        delivered = sorted(each["n"] for each in self.flow.documents())
        failed = sorted(json.loads(each.raw)["n"] for each in self.flow.failures())
        return delivered, failed

    def settle(self) -> tuple[list[int], list[int]]:
        """Waits until every record is in the index or has failed; checks that none is twice."""
        total = len(self.flow.records)
        wait_until(lambda: sum(map(len, self.numbers())) >= total, "all records", timeout=60)
        delivered, failed = self.numbers()
        assert sorted(delivered + failed) == list(range(total))
        return delivered, failed


@pytest.fixture
def make_scene(start_search, faults) -> Iterator[Callable[..., Scene]]:
    """Makes a scene with a server of its own, whose streams may retry for so many seconds."""
    with StrictS3() as store:

        def make(*options: str, retry: int = 1) -> Scene:
            search = start_search(*options, environment=store.environment)
            bucket = StrictBucket(store, fresh_name("bucket"))
            return Scene(search, faults, store, search.flow(faults, bucket=bucket, retry=retry))

        yield make


@pytest.fixture(params=[0, 1], ids=["no retry", "a second"])
def paused(make_scene, request) -> Scene:
    """A scene in which delivery is paused, and more records wait."""
    scene = make_scene(retry=request.param)
    scene.pause()
    return scene


def test_it_goes_on_when_the_destination_is_back(paused):
    """The bucket is still away then; nothing of what still could be delivered needs it."""
    paused.bring_back_destination()
    paused.wait_until_it_goes_on()
    paused.put(10)
    wait_until(lambda: set(range(40, 50)) <= {*paused.numbers()[0]}, "the latest documents")
    assert paused.numbers()[1] == []
    paused.bring_back_bucket()
    paused.settle()


def test_it_goes_on_when_the_bucket_is_back(paused):
    """Everything fails then, until the destination is back as well."""
    paused.bring_back_bucket()
    paused.wait_until_it_goes_on()
    delivered, failed = paused.settle()
    assert (delivered, len(failed)) == ([], 40)
    assert {each.code for each in paused.flow.failures()} == {"503"}
    paused.bring_back_destination()
    paused.put(10)
    delivered, failed = paused.settle()
    assert (delivered, len(failed)) == (list(range(40, 50)), 40)


@pytest.mark.parametrize("stop", ["sigkill", "sigterm"])
def test_a_pause_outlives_the_server(make_scene, stop):
    scene = make_scene()
    scene.pause()
    getattr(scene.search.hydrant, stop)()
    scene.search.hydrant.start()
    wait_until(lambda: len(scene.said(PAUSED)) == 2, "the pause")
    scene.put(10)
    scene.bring_back_destination()
    scene.bring_back_bucket()
    scene.settle()


def test_a_bucket_that_is_away_is_tried_for_ever(make_scene):
    """The destination works: that is no pause, and nothing is set aside, however long it takes."""
    scene = make_scene("--s3-retry-duration", "1")
    scene.take_away_bucket()
    scene.flow.put(b'{"n": 0}', b"bad")
    wait_until(lambda: len(scene.store.puts) >= 4, "attempts to store the failed record")
    scene.put(10)
    wait_until(lambda: len(scene.flow.documents()) == 11, "what can be delivered")
    assert len(scene.store.puts) >= 4
    scene.bring_back_bucket()
    (failed,) = scene.flow.wait_for_failures(1, timeout=60)
    assert failed.raw == b"bad"
    aside = scene.search.hydrant.data / "set-aside"
    assert [each for each in aside.rglob("*") if each.is_file()] == []
    assert scene.said(PAUSED) == []


def test_a_destination_that_is_away_is_no_pause(make_scene):
    """The bucket has not been asked: there is retry time left."""
    scene = make_scene(retry=300)
    scene.take_away_destination()
    scene.take_away_bucket()
    scene.put(10)
    wait_until(lambda: len(scene.faults.requests) >= 3, "three attempts")
    scene.bring_back_destination()
    assert scene.settle() == (list(range(10)), [])
    assert scene.said(PAUSED) == []
