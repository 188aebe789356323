"""The demo: a web server's log goes through Hydrant into gzip objects, and the counts add up.

    python deploy/demo/demo.py --binary .build/release/hydrant

Needs boto3 and the AWS CLI; `make demo` installs both. Nothing leaves this machine: the bucket is
a folder under .build/demo.
"""

import argparse
import collections
import contextlib
import gzip
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from weblog import access_log

STREAM, BUCKET = "web-logs", "demo-bucket"
LINES, BATCH = 100_000, 500
CLI_LINE = b'192.0.2.1 - - [02/Mar/2026:07:59:59 +0000] "GET /hello HTTP/1.1" 200 5 "-" "aws-cli"\n'
DESTINATION = (
    "RoleARN=arn:aws:iam::000000000000:role/firehose,"
    f"BucketARN=arn:aws:s3:::{BUCKET},"
    "BufferingHints={SizeInMBs=5,IntervalInSeconds=3},"
    "CompressionFormat=GZIP"
)


class DemoError(Exception):
    """Something did not go as it should; the message says what."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", required=True, help="the release build of hydrant")
    binary = Path(parser.parse_args().binary)
    if not os.access(binary, os.X_OK):
        raise DemoError(f"{binary} is not there: build it with `swift build -c release`")
    forget_aws_settings()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.stdout.reconfigure(line_buffering=True)

    step(f"Making a web server's log of {LINES:,} lines")
    lines = list(access_log(LINES))
    print(f"{sum(map(len, lines)):,} bytes, such as\n  {clip(lines[0])}")

    home = fresh_folder()
    with running_server(binary, home) as endpoint:
        environment = client_environment(home)
        step("Creating a stream and putting one record with the AWS CLI")
        aws(environment, endpoint, "create-delivery-stream", "--delivery-stream-name", STREAM,
            "--extended-s3-destination-configuration", DESTINATION)
        firehose = client(endpoint)
        wait_until_active(firehose)
        aws(environment, endpoint, "put-record", "--delivery-stream-name", STREAM,
            "--record", '{"Data": "' + quote_json(CLI_LINE) + '"}')

        step(f"Putting the log with boto3, {BATCH} records a batch")
        started = time.monotonic()
        acknowledged, retried = put_all(firehose, lines)
        seconds = time.monotonic() - started
        print(f"{acknowledged:,} records acknowledged in {seconds:.1f} s, {retried} put again")

        step("Waiting for the objects")
        bucket = home / "data" / "buckets" / BUCKET
        objects = wait_for_objects(bucket, len(lines) + 1)
        arrival = time.monotonic() - started
        print(f"{len(objects)} objects after {arrival:.1f} s, in {shown(bucket)}")
    objects = wait_for_objects(bucket, len(lines) + 1)  # again: nothing may have come after
    show_objects(bucket, objects)
    add_up([CLI_LINE, *lines], acknowledged + 1, objects)
    what_next(binary, objects)


def forget_aws_settings() -> None:
    """Neither the server nor the clients may use the AWS account of whoever runs the demo."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ["AWS_CONFIG_FILE"] = os.environ["AWS_SHARED_CREDENTIALS_FILE"] = os.devnull


def step(title: str) -> None:
    print(f"\n== {title}")


def clip(line: bytes) -> str:
    text = line.decode(errors="replace").rstrip("\n")
    return text if len(text) <= 98 else text[:97] + "…"


def shown(path: Path) -> str:
    """A path as one would type it here."""
    return os.path.relpath(path)


def fresh_folder() -> Path:
    """A new folder under .build/demo; what earlier demos left there is removed."""
    base = Path.cwd() / ".build" / "demo"
    base.mkdir(parents=True, exist_ok=True)
    for old in base.glob("run-*"):
        shutil.rmtree(old, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix="run-", dir=base))


@contextlib.contextmanager
def running_server(binary: Path, home: Path):
    """Starts the server on a free port, with local folders as buckets; yields its endpoint."""
    step("Starting the server")
    command = [str(binary), "serve", "--port", "0", "--data-dir", str(home / "data")]
    command += ["--min-buffer-interval", "0"]
    print("$ " + shlex.join([shown(binary), *command[1:5], shown(home / "data"), *command[6:]]))
    # Without an S3 endpoint and credentials, Hydrant delivers to folders.
    out, log = home / "server.out", home / "server.log"
    with out.open("wb") as out_file, log.open("wb") as log_file:
        server = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out_file, stderr=log_file
        )
    try:
        yield wait_until_listening(server, out)
        step("Stopping the server")
        began = time.monotonic()
        server.send_signal(signal.SIGTERM)
        code = server.wait(15)
        print(f"exit code {code} after {time.monotonic() - began:.1f} s")
        if code != 0:
            raise DemoError(f"the server ended with {code}")
    except BaseException as error:
        if isinstance(error, Exception):
            print(f"\nThe server's log ends with:\n{log.read_text(errors='replace')[-2000:]}")
        raise
    finally:
        if server.poll() is None:
            server.kill()
            server.wait()


def wait_until_listening(server: subprocess.Popen, out: Path) -> str:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and server.poll() is None:
        said = out.read_text(errors="replace")
        if match := re.search(r"hydrant is listening on (http://[\w.:]+)\s*\n", said):
            print(match[0].strip())
            return match[1]
        time.sleep(0.05)
    raise DemoError("the server did not start")


def client_environment(home: Path) -> dict[str, str]:
    """The AWS CLI's environment: credentials of no worth, no settings of the user's own."""
    config = home / "aws-config"
    # Version 2 of the CLI takes text only when told so; version 1 does not mind the line.
    config.write_text("[default]\nregion = us-east-1\ncli_binary_format = raw-in-base64-out\n")
    return os.environ | {
        "AWS_CONFIG_FILE": str(config),
        "AWS_ACCESS_KEY_ID": "demo",
        "AWS_SECRET_ACCESS_KEY": "demo-secret",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_PAGER": "",
        "NO_PROXY": "127.0.0.1",
    }


def aws(environment: dict[str, str], endpoint: str, *arguments: str) -> None:
    """Runs `aws firehose ...`, showing the command and what it printed."""
    command = ["firehose", *arguments, "--endpoint-url", endpoint]
    print("$ aws " + shlex.join(command))
    run = subprocess.run(
        [aws_program(), *command], env=environment, capture_output=True, text=True, timeout=60
    )
    print(run.stdout.rstrip() or run.stderr.strip())
    if run.returncode != 0:
        raise DemoError(f"the AWS CLI ended with {run.returncode}")


def aws_program() -> str:
    """The AWS CLI beside this Python, or the one on the path."""
    beside = Path(sys.executable).with_name("aws")
    program = str(beside) if beside.exists() else shutil.which("aws")
    if not program:
        raise DemoError("the AWS CLI is missing: pip install awscli")
    return program


def client(endpoint: str):
    session = boto3.session.Session(
        aws_access_key_id="demo", aws_secret_access_key="demo-secret", region_name="us-east-1"
    )
    return session.client("firehose", endpoint_url=endpoint, config=Config(proxies={}))


def quote_json(text: bytes) -> str:
    return text.decode().replace('"', '\\"').replace("\n", "\\n")


def wait_until_active(firehose) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        description = firehose.describe_delivery_stream(DeliveryStreamName=STREAM)
        if description["DeliveryStreamDescription"]["DeliveryStreamStatus"] == "ACTIVE":
            return
        time.sleep(0.1)
    raise DemoError("the stream did not become ACTIVE")


def put_all(firehose, lines: list[bytes]) -> tuple[int, int]:
    """Puts the lines in batches; of a batch, only what failed is put again.

    Returns how many records were acknowledged, and how many had to be put again.
    """
    acknowledged = retried = 0
    for start in range(0, len(lines), BATCH):
        waiting = [{"Data": line} for line in lines[start : start + BATCH]]
        for attempt in range(8):
            answer = firehose.put_record_batch(DeliveryStreamName=STREAM, Records=waiting)
            entries = zip(waiting, answer["RequestResponses"], strict=True)
            failed = [record for record, entry in entries if "RecordId" not in entry]
            acknowledged += len(waiting) - len(failed)
            retried += len(failed)
            waiting = failed
            if not waiting:
                break
            time.sleep(0.05 * 2**attempt)
        else:
            raise DemoError(f"{len(waiting)} records were refused eight times")
    return acknowledged, retried


def wait_for_objects(bucket: Path, lines: int) -> dict[Path, bytes]:
    """Polls the bucket until its objects hold `lines` lines; returns each one's contents."""
    objects: dict[Path, bytes] = {}
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        for path in sorted(bucket.rglob("*.gz")):
            if path not in objects and not path.name.startswith("."):
                try:
                    objects[path] = gzip.decompress(path.read_bytes())
                except (EOFError, gzip.BadGzipFile) as error:
                    raise DemoError(f"{path} is not a whole gzip file: {error}") from error
        if sum(data.count(b"\n") for data in objects.values()) >= lines:
            break
        time.sleep(0.2)
    return objects


def show_objects(bucket: Path, objects: dict[Path, bytes]) -> None:
    step(f"What is in the bucket {BUCKET}")
    for path, data in objects.items():
        count, size = data.count(b"\n"), path.stat().st_size
        print(f"{size:>9,} bytes  {count:>7,} lines  {path.relative_to(bucket)}")
    for path, data in list(objects.items())[:1]:
        print(f"\nThe first lines of {path.name}:")
        for line in data.split(b"\n")[:3]:
            print(f"  {clip(line)}")


def add_up(put: list[bytes], acknowledged: int, objects: dict[Path, bytes]) -> None:
    """Prints the counts, and raises DemoError unless the objects hold each line exactly once."""
    arrived = [line for data in objects.values() for line in data.splitlines(keepends=True)]
    lost = collections.Counter(put) - collections.Counter(arrived)
    foreign = collections.Counter(arrived) - collections.Counter(put)
    raw = sum(map(len, objects.values()))
    stored = sum(path.stat().st_size for path in objects)
    step("The counts")
    print(f"records put            {len(put):>12,}  ({len(put) - 1:,} by boto3, 1 by the AWS CLI)")
    print(f"records acknowledged   {acknowledged:>12,}")
    print(f"lines in objects       {len(arrived):>12,}")
    print(f"lost                   {lost.total():>12,}")
    print(f"doubled or unknown     {foreign.total():>12,}")
    print(f"bytes put              {sum(map(len, put)):>12,}")
    ratio = raw / max(stored, 1)
    print(f"bytes in objects       {raw:>12,}  ({stored:,} compressed, {ratio:.1f}:1)")
    if lost or foreign or acknowledged != len(put):
        raise DemoError("the counts do not add up")
    print("They add up: every record that was put is in the bucket, once.")


def what_next(binary: Path, objects: dict[Path, bytes]) -> None:
    keys = "AWS_ACCESS_KEY_ID=x AWS_SECRET_ACCESS_KEY=x AWS_DEFAULT_REGION=us-east-1"
    cli = f"{shown(Path(aws_program()))} firehose list-delivery-streams"
    step("What to try next")
    print(f"- Read an object:      zcat {shown(next(iter(objects)))}")
    print(f"- Run the server:      {shown(binary)} serve   (then point any AWS SDK at it)")
    print(f"- Ask it from a shell: {keys} \\")
    print(f"    {cli} --endpoint-url http://127.0.0.1:4573")


if __name__ == "__main__":
    began = time.monotonic()
    try:
        main()
    except (DemoError, BotoCoreError, ClientError, subprocess.TimeoutExpired) as error:
        sys.exit(f"demo: {error}")
    except KeyboardInterrupt:
        sys.exit("demo: interrupted")
    print(f"\n{time.monotonic() - began:.0f} seconds in all")
