"""A real Prometheus that scrapes servers under test, and its checker `promtool`.

Both are in Debian's package `prometheus`. The settings are those of the sample configuration in
`deploy/prometheus`, only quicker.
"""

import json
import os
import shutil
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import yaml

from ports import free_port
from server import REPOSITORY, Hydrant, clean_environment
from waiting import wait_until

FOLDER = REPOSITORY / "deploy/prometheus"

CONFIGURATION, RULES = FOLDER / "prometheus.yml", FOLDER / "alerts.yml"

JOB = "hydrant"

SCRAPE_SECONDS = 0.25

TIME_OUT_SECONDS = 60


@dataclass(frozen=True)
class Sample:
    """A value with its labels."""

    labels: frozenset[tuple[str, str]]
    value: float

    def label(self, name: str) -> str | None:
        """A label's value."""
        return dict(self.labels).get(name)


class QueryFailed(AssertionError):
    """Prometheus said that a query is wrong."""


class Prometheus:
    """One Prometheus with a storage folder of its own, which scrapes servers until it is killed."""

    def __init__(self, folder: Path, *servers: Hydrant):
        self.port = free_port()
        self._folder = folder
        self._servers = servers
        self._process: subprocess.Popen | None = None
        folder.mkdir(parents=True, exist_ok=True)

    # MARK: Start and stop

    def start(self) -> "Prometheus":
        """Starts it and waits until it answers."""
        configuration = self._folder / "prometheus.json"
        # JSON is YAML.
        configuration.write_text(json.dumps(quick_configuration(*self._servers)))
        with (self._folder / "prometheus.log").open("wb") as log:
            self._process = subprocess.Popen(
                [
                    program("prometheus"),
                    f"--config.file={configuration}",
                    f"--storage.tsdb.path={self._folder / 'storage'}",
                    f"--web.listen-address=127.0.0.1:{self.port}",
                    "--log.level=warn",
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=clean_environment() | {"GOMEMLIMIT": "300MiB"},
                start_new_session=True,
            )
        wait_until(self._is_ready, "Prometheus to be ready", timeout=TIME_OUT_SECONDS)
        return self

    def kill(self) -> None:
        """Ends it."""
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _is_ready(self) -> bool:
        assert self._process is not None
        if (status := self._process.poll()) is not None:
            log = (self._folder / "prometheus.log").read_text(errors="replace")
            raise AssertionError(f"Prometheus ended with {status}:\n{log[-2_000:]}")
        try:
            with urllib.request.urlopen(f"{self._endpoint}/-/ready", timeout=2) as answer:
                return answer.status == 200
        except OSError:
            return False

    @property
    def _endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    # MARK: What it knows

    def query(self, expression: str, *, at: float | None = None) -> list[Sample]:
        """What an expression is now, or was then."""
        moment = {} if at is None else {"time": str(at)}
        found = self._api("query", query=expression, **moment)
        if found["resultType"] == "scalar":
            return [Sample(frozenset(), float(found["result"][1]))]
        return [Sample(_labels(each), float(each["value"][1])) for each in found["result"]]

    def query_range(
        self, expression: str, start: float, end: float, step: float
    ) -> dict[frozenset, list[float]]:
        """What an expression was in a time, by labels, as a graph asks for it."""
        found = self._api(
            "query_range", query=expression, start=str(start), end=str(end), step=str(step)
        )
        return {
            _labels(each): [float(value) for _, value in each["values"]]
            for each in found["result"]
        }

    def label_values(self, metric: str, label: str) -> list[str]:
        """The values of a label of a metric."""
        return self._api(f"label/{label}/values", **{"match[]": metric})

    def alerts(self) -> list[dict]:
        """The alerts that are pending or firing."""
        return self._api("alerts")["alerts"]

    def rules(self) -> list[dict]:
        """All rules, and how they went."""
        return [rule for group in self._api("rules")["groups"] for rule in group["rules"]]

    def wait_for_scrape(self) -> None:
        """Waits until every server was scraped after the call."""
        asked = time.time()

        def is_fresh() -> bool:
            found = self.query(f'timestamp(up{{job="{JOB}"}} == 1)')
            fresh = [each for each in found if each.value > asked]
            return len(fresh) == len(self._servers)

        wait_until(is_fresh, "a scrape")

    def wait_for_evaluation(self) -> None:
        """Waits until every rule was looked at after the call."""
        asked = datetime.now(UTC)

        def is_fresh() -> bool:
            looked = [each["lastEvaluation"] for each in self.rules()]
            # To the microsecond: what follows is of no matter.
            moments = [datetime.fromisoformat(each[:26].rstrip("Z") + "+00:00") for each in looked]
            return min(moments) > asked

        wait_until(is_fresh, "an evaluation")

    def _api(self, path: str, **parameters: str):
        url = f"{self._endpoint}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url, timeout=TIME_OUT_SECONDS) as answer:
                whole = json.loads(answer.read())
        except urllib.error.HTTPError as error:
            said = error.read().decode(errors="replace")
            raise QueryFailed(f"{parameters}: {said}") from None
        assert whole["status"] == "success", whole
        assert not whole.get("warnings"), whole["warnings"]
        return whole["data"]


def _labels(found: dict) -> frozenset[tuple[str, str]]:
    return frozenset(found["metric"].items())


def quick_configuration(*servers: Hydrant) -> dict:
    """The sample configuration for these servers, with scrapes several times a second."""
    whole = yaml.safe_load(CONFIGURATION.read_text())
    interval = f"{int(SCRAPE_SECONDS * 1000)}ms"
    whole["global"] = {"scrape_interval": interval, "evaluation_interval": interval}
    whole["rule_files"] = [str(CONFIGURATION.parent / each) for each in whole["rule_files"]]
    (job,) = whole["scrape_configs"]
    assert job["job_name"] == JOB
    job["static_configs"] = [{"targets": [f"127.0.0.1:{each.port}" for each in servers]}]
    return whole


def promtool(*arguments: str | Path, stdin: str = "") -> subprocess.CompletedProcess:
    """Runs `promtool`; its output is text."""
    return subprocess.run(
        [program("promtool"), *map(str, arguments)],
        input=stdin,
        env=clean_environment(),
        cwd=os.sep,
        capture_output=True,
        text=True,
        timeout=TIME_OUT_SECONDS,
    )


def program(name: str) -> str:
    """The path of one of Prometheus' programs."""
    found = shutil.which(name)
    assert found, f"`{name}` is missing; it is in Debian's package `prometheus`"
    return found
