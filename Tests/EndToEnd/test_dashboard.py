"""The dashboard, asked of a real Prometheus about a real server: its numbers are what happened."""

import math
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest

from bulk_faults import BulkFaults
from counted_load import OPTIONS, CountedLoad, Truth
from dashboard_truths import expectation
from dashboards import Dashboard, Target, metric_names, without_rates
from firehose_receiver import FirehoseReceiver
from metrics import scrape
from prometheus import Prometheus, promtool
from server import Hydrant
from splunk_receiver import SplunkReceiver
from streams import create_stream
from transform_programs import PYTHON_FIRST, Programs
from waiting import wait_until

pytest_plugins = ["search_fixtures"]

pytestmark = pytest.mark.timeout(300)

ROUNDS = 6

STEP_SECONDS = 0.5

dashboard = Dashboard()

PANELS = {str(each): each for each in dashboard.panels}

TOTALS = [name for name, each in PANELS.items() if each.is_total]

RATES = [name for name, each in PANELS.items() if each.is_of_counters and not each.is_total]

MAY_BE_EMPTY: dict[str, str] = {}
"""Panels that may have no data after this load, with the reason."""

NOT_SHOWN: dict[str, str] = {}
"""Metrics that are details for those who look for them, in neither the dashboard nor the rules."""

ACCEPTED_HINTS: set[str] = set()
"""What `promtool check metrics` says of the page and what stays as it is."""

PROMETHEUS_OWN = {"up"}
"""Metrics that Prometheus adds itself."""


@dataclass
class Observed:
    """A load that is over, and Prometheus that has seen it from the beginning."""

    load: CountedLoad
    truth: Truth
    prometheus: Prometheus
    hydrant: Hydrant
    start: float
    end: float

    def fill_in(self, expression: str, *, stream: str | None = None) -> str:
        """An expression for all servers, and for all streams or for one."""
        known = {
            name: self.prometheus.label_values(*dashboard.variable_query(name))
            for name in ("instance", "stream")
        }
        chosen = {name: dashboard.all_of(name, values) for name, values in known.items()}
        return dashboard.fill_in(expression, **chosen | ({"stream": [stream]} if stream else {}))

    def now(self, target: Target, *, stream: str | None = None) -> dict[frozenset, float]:
        """What a query is at the end of the load, by labels."""
        found = self.prometheus.query(self.fill_in(target.expression, stream=stream), at=self.end)
        return {each.labels: each.value for each in found}

    def whole(self, target: Target) -> dict[frozenset, list[float]]:
        """What a graph shows of the load."""
        expression = self.fill_in(target.expression)
        return self.prometheus.query_range(expression, self.start, self.end, STEP_SECONDS)


@pytest.fixture(scope="module")
def observed(
    request: pytest.FixtureRequest,
    start_module_hydrant,
    seaweed,
    osmem,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Observed]:
    """One load for all tests: each only looks at what came of it."""
    programs = Programs(tmp_path_factory.mktemp("programs"))
    hydrant = start_module_hydrant(
        *OPTIONS,
        *programs.options,
        environment=seaweed.environment | {"PATH": PYTHON_FIRST},
    )
    prometheus = Prometheus(tmp_path_factory.mktemp("prometheus"), hydrant)
    request.addfinalizer(prometheus.kill)
    with BulkFaults(osmem) as faults, FirehoseReceiver() as http, SplunkReceiver() as splunk:
        start = time.time()
        prometheus.start()
        load = CountedLoad(hydrant, programs, seaweed, osmem, faults, http, splunk)
        for number in range(ROUNDS):
            prometheus.wait_for_scrape()
            load.put_round(number)
        truth = load.settle()
        assert http.violations + splunk.violations + faults.problems == []
        wait_until(lambda: is_idle(prometheus), "an empty log")
        prometheus.wait_for_scrape()
        prometheus.wait_for_evaluation()
        yield Observed(load, truth, prometheus, hydrant, start, time.time())


def is_idle(prometheus: Prometheus) -> bool:
    """Whether the server has nothing more to do, as it says."""
    waiting = prometheus.query("sum(hydrant_log_backlog_records)")
    return [each.value for each in waiting] == [0]


# MARK: The file


def test_every_panel_says_what_it_shows_and_what_to_do():
    for panel in dashboard.panels:
        text = panel.whole["description"]
        assert re.fullmatch(r"[A-Z0-9].*[.?]", text), str(panel)
        assert len(text) < 260, str(panel)
        assert panel.whole["fieldConfig"]["defaults"]["unit"], str(panel)
        assert panel.targets, str(panel)


def test_panels_are_told_apart():
    ids = [each["id"] for each in dashboard.whole["panels"]]
    assert len(set(ids)) == len(ids)
    assert len(PANELS) == len(dashboard.panels), "two panels of a row have one title"
    for panel in dashboard.panels:
        letters = [each.letter for each in panel.targets]
        assert len(set(letters)) == len(letters), str(panel)


def test_panels_do_not_cover_one_another():
    taken: dict[tuple[int, int], str] = {}
    for each in dashboard.whole["panels"]:
        place = each["gridPos"]
        assert place["x"] + place["w"] <= 24, each["title"]
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                assert (x, y) not in taken, f"{each['title']} covers {taken[x, y]}"
                taken[x, y] = each["title"]


def test_everything_is_asked_of_the_chosen_data_source():
    chosen = {"type": "prometheus", "uid": "${datasource}"}
    for panel in dashboard.panels:
        for each in (panel.whole, *panel.whole["targets"]):
            assert each["datasource"] == chosen, str(panel)
    for name, variable in dashboard.variables.items():
        assert variable["type"] == "datasource" or variable["datasource"] == chosen, name


def test_streams_are_chosen_in_every_query_about_streams():
    """A query without the variable would show other streams' numbers among the chosen ones'."""
    without = {"hydrant_api_", "hydrant_log_sync", "hydrant_log_lines", "hydrant_connections_open"}
    without |= {"hydrant_build_info", "process_", "up"}
    for panel in dashboard.panels:
        for target in panel.targets:
            for name, labels in re.findall(r"\b(\w+)\{([^}]*)\}", target.expression):
                assert 'instance=~"$instance"' in labels, (str(panel), name)
                assert ("$stream" in labels) != name.startswith(tuple(without)), (str(panel), name)
            selectors = target.expression.count("{")
            assert selectors == len(re.findall(r"\b\w+\{", target.expression)), str(panel)


def test_what_grafana_needs_to_import_it_is_there():
    whole = dashboard.whole
    assert (whole["uid"], whole["title"], whole["refresh"]) == ("hydrant", "Hydrant", "30s")
    assert whole["id"] is None
    assert whole["schemaVersion"] >= 38, "Grafana 10.0 writes 38"
    stream = dashboard.variables["stream"]
    assert stream["multi"] and stream["includeAll"]
    assert dashboard.variable_query("stream") == ("hydrant_incoming_records_total", "stream")
    assert dashboard.variables["datasource"]["query"] == "prometheus"


# MARK: Names


def test_every_metric_that_is_asked_for_is_one_of_the_server(observed):
    asked = metric_names([*dashboard.expressions(), *rule_expressions(observed)])
    assert asked - page_names(observed, "TYPE") - PROMETHEUS_OWN == set()


def test_every_metric_of_the_server_is_shown_or_has_a_reason_not_to_be(observed):
    asked = metric_names([*dashboard.expressions(), *rule_expressions(observed)])
    unused = page_names(observed, "TYPE") - asked
    assert unused == NOT_SHOWN.keys()


def test_every_metric_has_a_meaning(observed):
    assert page_names(observed, "HELP") == page_names(observed, "TYPE")


def test_promtool_finds_nothing_wrong_with_the_page(observed):
    done = promtool("check", "metrics", stdin=scrape(observed.hydrant))
    assert set((done.stdout + done.stderr).splitlines()) <= ACCEPTED_HINTS
    assert done.returncode == (3 if ACCEPTED_HINTS else 0)


def page_names(observed: Observed, kind: str) -> set[str]:
    """The metrics for which the page has a line `# HELP` or `# TYPE`."""
    lines = scrape(observed.hydrant).splitlines()
    return {line.split()[2] for line in lines if line.startswith(f"# {kind} ")}


def rule_expressions(observed: Observed) -> list[str]:
    """What the alerts ask."""
    return [each["query"] for each in observed.prometheus.rules()]


# MARK: Queries


def test_the_variables_have_the_streams_and_the_servers(observed):
    streams = observed.prometheus.label_values(*dashboard.variable_query("stream"))
    assert set(streams) == observed.load.streams
    servers = observed.prometheus.label_values(*dashboard.variable_query("instance"))
    assert servers == [f"127.0.0.1:{observed.hydrant.port}"]


@pytest.mark.parametrize("name", PANELS)
def test_every_query_has_data(observed, name):
    for target in PANELS[name].targets:
        values = (
            list(observed.now(target).values())
            if target.is_instant
            else [each for found in observed.whole(target).values() for each in found]
        )
        has_data = any(not math.isnan(each) for each in values)
        assert has_data != (f"{name} {target.letter}" in MAY_BE_EMPTY), target


@pytest.mark.parametrize("name", PANELS)
def test_every_query_can_be_asked_of_one_stream(observed, name):
    for target in PANELS[name].targets:
        observed.now(target, stream=observed.load.search.stream)


def test_starts_are_marked(observed):
    (expression,) = dashboard.annotations.values()
    (found,) = observed.prometheus.query(observed.fill_in(expression), at=observed.end)
    assert observed.start - 60 < found.value / 1000 < observed.start


def test_every_rule_is_evaluated(observed):
    for each in observed.prometheus.rules():
        assert (each["health"], each.get("lastError", "")) == ("ok", ""), each["name"]


def test_failures_raise_alerts(observed):
    """Those at which failures look that happened here; texts are filled in."""
    load = observed.load
    expected = {
        ("HydrantErrorsLogged", None),
        ("HydrantThrottling", load.limited),
        ("HydrantRecordsSetAside", load.away),
        ("HydrantRecordsSetAside", load.strict.stream),
        ("HydrantTransformFailing", load.transformed.stream),
        ("HydrantCopyFailing", load.warehouse),
        *(("HydrantRecordsFailed", stream) for stream, _ in +observed.truth.failed),
        *(
            ("HydrantDeliveryFailing", stream)
            for (stream, _), each in observed.truth.deliveries.items()
            if each.succeeded < 0.8 * each.requests and stream != load.away
        ),
    }
    alerts = observed.prometheus.alerts()
    found = {(each["labels"]["alertname"], each["labels"].get("stream")) for each in alerts}
    assert expected <= found
    assert found - expected <= {("HydrantDeliveryFailing", load.away)}
    for each in alerts:
        for text in each["annotations"].values():
            assert "<no value>" not in text and "<error" not in text, text


def test_a_server_to_which_nothing_happened_has_zeros_until_it_is_gone(
    start_hydrant, tmp_path, request
):
    """An operator must not take silence for a good sign."""
    hydrant = start_hydrant()
    create_stream(hydrant.client(), "arn:aws:s3:::bucket")
    prometheus = Prometheus(tmp_path / "prometheus", hydrant)
    request.addfinalizer(prometheus.kill)
    prometheus.start()
    chosen = {
        "instance": [f"127.0.0.1:{hydrant.port}"],
        "stream": dashboard.all_of("stream", []),
    }
    queries = {
        each.title: dashboard.fill_in(each.targets[0].expression, **chosen)
        for each in dashboard.panels
        if each.kind == "stat"
    }

    def are_shown(wanted: dict[str, list[float]]) -> bool:
        found = {name: prometheus.query(queries[name]) for name in wanted}
        return wanted == {name: [each.value for each in all] for name, all in found.items()}

    zeros = dict.fromkeys(queries, [0.0]) | {"Servers": [1.0]}
    wait_until(lambda: are_shown(zeros), "zeros")
    hydrant.sigkill()
    # Rates look back some seconds.
    gone = {name: [] for name, each in queries.items() if "rate(" not in each} | {"Servers": [0.0]}
    wait_until(lambda: are_shown(gone), "nothing")


# MARK: Numbers


@pytest.mark.parametrize("name", TOTALS)
def test_totals_are_what_happened(observed, name):
    assert_true(observed, name)


@pytest.mark.parametrize("name", RATES)
def test_rates_are_those_of_what_happened(observed, name):
    """Without `rate`, which is inexact, and over the whole load."""
    assert_true(observed, name)


def assert_true(observed: Observed, name: str) -> None:
    """Checks that a panel's numbers are those of what happened, each in its place."""
    wrong = {}
    for target in PANELS[name].targets:
        labels, expected = expectation(name, target)
        samples = observed.now(replace(target, expression=without_rates(target.expression)))
        found = {tuple(dict(key)[each] for each in labels): each for key, each in samples.items()}
        assert len(found) == len(samples), "labels that are not expected"
        shown, true = nonzero(found), nonzero(expected(observed.truth))
        differs = {key for key in shown | true if shown.get(key) != true.get(key)}
        place = target.column or target.letter
        wrong |= {(place, *key): (shown.get(key), true.get(key)) for key in differs}
    assert not wrong, "what is shown, and what happened"


def nonzero(counts: dict[tuple, float]) -> dict[tuple, float]:
    """What is missing is 0, and 0 in 0 is nothing."""
    return {key: count for key, count in counts.items() if count and not math.isnan(count)}


def test_the_records_of_every_stream_add_up(observed):
    """In the dashboard's own numbers, as its description says."""
    panel = PANELS["Now: Where the records are"]
    columns = {each.column: observed.now(each) for each in panel.targets}
    ends = ("Delivered", "Failed", "Dropped", "Set aside", "Waiting")
    for labels, count in columns["In"].items():
        if dict(labels)["stream"] != observed.load.warehouse:
            assert count == sum(columns[each].get(labels, 0) for each in ends), labels
