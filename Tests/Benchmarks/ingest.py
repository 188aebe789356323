"""Measures what ingest costs Hydrant, beside an nginx that only writes the same bodies to disk.

    python3 Tests/Benchmarks/ingest.py --binary .build/release/hydrant

Needs wrk and nginx. README.md beside this file tells how to read what it prints.
"""

import argparse
import datetime
import json
import os
import platform
import shutil
import signal
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from added import PAIRS, measure_pair, show_added, summarize_pairs
from load import LoadError, make_bodies, run_wrk
from servers import STREAM, Hydrant, Nginx

WARM_UP_SECONDS = 1
LEAST_FREE_GB = 20

# Marks: each scenario's figure, the limit, and which side of it is good.
MARKS = (
    ("hydrant 500x1k c16", "cpu_s_per_gb", "CPU s/GB", 2.0, "at most"),
    ("hydrant 1x1k c64", "records_per_cpu_s", "records per CPU second", 25_000, "at least"),
    ("hydrant 500x1k c16", "peak_rss_mb", "MB peak RSS", 200, "below"),
)

COLUMNS = (
    ("records_per_s", "records/s", "{:,.0f}"),
    ("p50_ms", "p50 ms", "{:.2f}"),
    ("p99_ms", "p99 ms", "{:.2f}"),
    ("cpu_s_per_gb", "CPU s/GB", "{:.2f}"),
    ("cpu_s_per_million", "CPU s/M records", "{:.2f}"),
    ("records_per_cpu_s", "records/CPU s", "{:,.0f}"),
    ("peak_rss_mb", "peak RSS MB", "{:.0f}"),
)


@dataclass(frozen=True)
class Scenario:
    server: str
    body: str
    connections: int

    @property
    def name(self) -> str:
        return f"{self.server} {self.body} c{self.connections}"


SCENARIOS = (
    Scenario("hydrant", "500x1k", 16),
    Scenario("nginx", "500x1k", 16),
    Scenario("hydrant", "1x1k", 64),
    Scenario("nginx", "1x1k", 64),
    Scenario("hydrant", "500x1k", 1),
)


def main() -> int:
    options = parse_options()
    say = (lambda *_: None) if options.json else print
    bodies = make_bodies(STREAM)
    machine = describe_machine()
    say("\n".join(f"{name}: {value}" for name, value in machine.items()) + "\n")
    base = Path.cwd() / ".build" / "bench"
    base.mkdir(parents=True, exist_ok=True)
    rounds, rounds_added = [], []
    with tempfile.TemporaryDirectory(prefix="run-", dir=base, ignore_cleanup_errors=True) as run:
        for number in range(1, options.rounds + 1):
            say(f"Round {number} of {options.rounds}")
            say(heading())
            results = {}
            for scenario in SCENARIOS:
                require_free_space(base, options.seconds)
                body = bodies[scenario.body]
                folder = Path(run) / f"{number}-{scenario.name.replace(' ', '-')}"
                results[scenario.name] = measure(scenario, body, folder, options)
                say(row(scenario.name, results[scenario.name]))
            say()
            added = {}
            for pair in PAIRS:
                require_free_space(base, 2 * options.seconds)
                folder = Path(run) / f"{number}-{pair.name.replace(' ', '-')}"
                added[pair.name] = measure_pair(pair, bodies[pair.body], folder, options)
            rounds.append(results)
            rounds_added.append(added)
            show_added(say, summarize_pairs([added]))
            say()
    report = summarize(rounds)
    report["added"] = summarize_pairs(rounds_added)
    report["marks"] += [each["mark"] for each in report["added"]]
    if options.json:
        measured = {"machine": machine, "rounds": rounds, "rounds_added": rounds_added}
        print(json.dumps(measured | report, indent=2))
    else:
        show(report)
    return 1 if options.check and not all(mark["met"] for mark in report["marks"]) else 0


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", required=True, help="the release build of hydrant")
    parser.add_argument("--seconds", type=int, default=5, help="of load a measurement, 1 to 20")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--durability", choices=("fsync", "os"), help="passed on to hydrant")
    parser.add_argument(
        "--compression",
        choices=("UNCOMPRESSED", "GZIP"),
        default="UNCOMPRESSED",
        help="of the stream; GZIP mixes compressing the backlog into the figures",
    )
    parser.add_argument("--check", action="store_true", help="fail when a mark is missed")
    parser.add_argument("--json", action="store_true", help="print JSON and nothing else")
    options = parser.parse_args()
    if not 1 <= options.seconds <= 20 or options.rounds < 1:
        parser.error("--seconds is 1 to 20, --rounds at least 1")
    options.binary = str(Path(options.binary).resolve())
    if not os.access(options.binary, os.X_OK):
        parser.error(f"{options.binary} is not there: build it with `swift build -c release`")
    path = os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin"
    options.wrk, options.nginx = shutil.which("wrk"), shutil.which("nginx", path=path)
    if not options.wrk or not options.nginx:
        parser.error("wrk and nginx are needed: apt-get install wrk nginx-light")
    return options


def require_free_space(folder: Path, seconds: int) -> None:
    """A measurement writes a gigabyte a second or so, and what it wrote is then removed."""
    needed = max(LEAST_FREE_GB, 3 * (seconds + WARM_UP_SECONDS))
    free = shutil.disk_usage(folder).free / 1e9
    if free < needed:
        raise LoadError(f"{folder} has {free:.0f} GB free, and {needed} GB are needed")


def measure(scenario, body, folder: Path, options) -> dict:
    """Starts a fresh server, loads it, and returns the figures."""
    if scenario.server == "hydrant":
        server = Hydrant(options.binary, folder, options.durability, options.compression)
    else:
        server = Nginx(options.nginx, folder, body)
    with server:
        server.check(body)
        load = (options.wrk, server.port, body, folder, scenario.connections)
        run_wrk(*load, WARM_UP_SECONDS)
        before = server.cpu_seconds()
        result = run_wrk(*load, options.seconds)
        cpu = max(server.cpu_seconds() - before, 0.01)
        server.check(body)
        peak = server.peak_rss_mb()
    records = result["requests"] * body.records
    return {
        "records": records,
        "seconds": result["seconds"],
        "cpu_seconds": cpu,
        "answers_checked": result["sampled"],
        "records_per_s": records / result["seconds"],
        "p50_ms": result["p50_ms"],
        "p99_ms": result["p99_ms"],
        "cpu_s_per_gb": cpu / (result["requests"] * body.payload_bytes / 1e9),
        "cpu_s_per_million": cpu / (records / 1e6),
        "records_per_cpu_s": records / cpu,
        "peak_rss_mb": peak,
    }


def summarize(rounds: list[dict]) -> dict:
    """Medians over the rounds, Hydrant's ratios to nginx within each round, and the marks."""
    medians = {
        scenario.name: {
            key: statistics.median(results[scenario.name][key] for results in rounds)
            for key, _, _ in COLUMNS
        }
        for scenario in SCENARIOS
    }
    # Memory is bounded or it isn't: the worst round counts.
    for name, median in medians.items():
        median["peak_rss_mb"] = max(results[name]["peak_rss_mb"] for results in rounds)
    ratios = {}
    for load in ("500x1k c16", "1x1k c64"):
        ratios[load] = {
            key: statistics.median(
                results[f"hydrant {load}"][key] / results[f"nginx {load}"][key]
                for results in rounds
            )
            for key in ("records_per_s", "p50_ms", "p99_ms", "cpu_s_per_gb")
        }
    marks = []
    for name, key, unit, limit, sense in MARKS:
        value = medians[name][key]
        met = {"at most": value <= limit, "at least": value >= limit, "below": value < limit}
        mark = f"{name}: {sense} {limit:,g} {unit}"
        marks.append({"mark": mark, "value": value, "met": met[sense]})
    return {"medians": medians, "ratios": ratios, "marks": marks}


def show(report: dict) -> None:
    print("Medians (peak RSS: the highest)")
    print(heading())
    for name, median in report["medians"].items():
        print(row(name, median))
    print("\nHydrant / nginx, medians of the ratios within a round")
    print("| load       | records/s | p50 ms | p99 ms | CPU s/GB |")
    print("|------------|----------:|-------:|-------:|---------:|")
    for load, ratio in report["ratios"].items():
        cells = " | ".join(
            f"{ratio[key]:>{width}.2f}"
            for key, width in (
                ("records_per_s", 9), ("p50_ms", 6), ("p99_ms", 6), ("cpu_s_per_gb", 8)
            )
        )
        print(f"| {load:<10} | {cells} |")
    print("\nWhat a feature adds, medians of the rounds")
    show_added(print, report["added"])
    print("\nMarks")
    for mark in report["marks"]:
        print(f"{'met   ' if mark['met'] else 'MISSED'}  {mark['mark']} (is {mark['value']:,.2f})")


def heading() -> str:
    titles = " | ".join(title.rjust(width(title)) for _, title, _ in COLUMNS)
    rules = "|".join("-" * (width(title) + 1) + ":" for _, title, _ in COLUMNS)
    return f"| {'load':<18} | {titles} |\n|{'-' * 20}|{rules}|"


def row(name: str, figures: dict) -> str:
    cells = (form.format(figures[key]).rjust(width(title)) for key, title, form in COLUMNS)
    return f"| {name:<18} | {' | '.join(cells)} |"


def width(title: str) -> int:
    return max(len(title), 9)


def describe_machine() -> dict[str, str]:
    """The lines that any figure has to be read with."""
    cpuinfo = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.partition(":")[2].strip() for line in cpuinfo if line.startswith("model name")]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "cores": str(len(os.sched_getaffinity(0))),
        "model": f"{models[0] if models else 'unknown'} ({platform.machine()})",
        "memory": f"{memory:.1f} GiB",
        "load before": " ".join(f"{load:.2f}" for load in os.getloadavg()),
    }


if __name__ == "__main__":
    started = time.monotonic()
    sys.stdout.reconfigure(line_buffering=True)
    # Ends like an interrupt does, so that servers are stopped and files removed.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        code = main()
    except LoadError as error:
        sys.exit(f"ingest.py: {error}")
    except KeyboardInterrupt:
        sys.exit("ingest.py: interrupted")
    print(f"\n{time.monotonic() - started:.0f} seconds", file=sys.stderr)
    sys.exit(code)
