"""The alerts and the sample configuration of Prometheus, as its own checker judges them."""

import copy
import re
from pathlib import Path

import pytest
import yaml

from prometheus import CONFIGURATION, JOB, RULES, promtool

TESTS = Path(__file__).with_name("alerts_test.yml")

NEVER, ALWAYS = "vector(1) > 2", "vector(1)"

WHOLE = yaml.safe_load(RULES.read_text())

ALERTS = {each["alert"]: each for group in WHOLE["groups"] for each in group["rules"]}


def test_the_sample_configuration_is_right():
    done = promtool("check", "config", CONFIGURATION)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 rule files found" in done.stdout


def test_the_rules_are_right():
    done = promtool("check", "rules", "--lint=all", "--lint-fatal", RULES)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_job_has_the_name_that_the_alerts_know():
    (job,) = yaml.safe_load(CONFIGURATION.read_text())["scrape_configs"]
    assert job["job_name"] == JOB
    named = {name for each in ALERTS.values() for name in re.findall(r'job="(\w+)"', each["expr"])}
    assert named == {JOB}


@pytest.mark.parametrize("name", ALERTS)
def test_every_alert_says_how_bad_it_is_and_what_to_do(name):
    alert = ALERTS[name]
    assert alert["labels"].keys() == {"severity"}
    assert alert["labels"]["severity"] in ("critical", "warning", "info")
    assert alert["annotations"].keys() == {"summary", "description"}
    assert re.search(r"\$labels\.\w+", alert["annotations"]["summary"])
    assert len(alert["annotations"]["description"].split(". ")) >= 2


# MARK: When they fire


def test_alerts_fire_at_what_they_are_for_and_at_nothing_else():
    done = promtool("test", "rules", TESTS)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("expression", [NEVER, ALWAYS])
@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_that_fires_never_or_always_would_be_noticed(tmp_path, name, expression):
    assert not passes(tmp_path, name, expr=expression)


@pytest.mark.parametrize("name", [name for name, each in ALERTS.items() if "for" in each])
def test_an_alert_that_fires_too_soon_would_be_noticed(tmp_path, name):
    assert not passes(tmp_path, name, **{"for": "0s"})


def passes(folder: Path, name: str, **changed: str) -> bool:
    """Whether an alert's own tests pass when it is changed."""
    rules = copy.deepcopy(WHOLE)
    for group in rules["groups"]:
        group["rules"] = [each | changed for each in group["rules"] if each["alert"] == name]
    tests = yaml.safe_load(TESTS.read_text())
    tests["rule_files"] = ["rules.yml"]
    tests["tests"] = [each for each in tests["tests"] if each["name"] == name]
    assert tests["tests"], f"nothing tests {name}"
    (folder / "rules.yml").write_text(yaml.safe_dump(rules))
    (folder / "tests.yml").write_text(yaml.safe_dump(tests))
    assert promtool("check", "rules", folder / "rules.yml").returncode == 0
    done = promtool("test", "rules", folder / "tests.yml")
    assert "FAILED" in done.stderr + done.stdout or done.returncode == 0, done.stderr
    return done.returncode == 0
