"""Programs that talk to a server: the AWS CLI, curl and Hydrant's own client."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from keys import PRODUCER, Key
from server import BINARY, REGION, Hydrant, clean_environment
from strict_firehose import StrictFirehose
from wire import CONTENT_TYPE, TARGET_PREFIX

Done = subprocess.CompletedProcess

Endpoint = Hydrant | StrictFirehose

TIME_OUT_SECONDS = 60


def run_aws(hydrant: Hydrant, *arguments: str, key: Key = PRODUCER, **variables: str) -> Done:
    """Runs `aws firehose ...` against a server."""
    environment = {
        "AWS_DEFAULT_REGION": REGION,
        "AWS_MAX_ATTEMPTS": "1",
        "AWS_PAGER": "",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }
    return subprocess.run(
        [Path(sys.executable).parent / "aws", "firehose", *arguments]
        + ["--endpoint-url", hydrant.endpoint],
        env=clean_environment() | environment | key.environment | variables,
        capture_output=True,
        text=True,
        timeout=TIME_OUT_SECONDS,
    )


def run_curl(hydrant: Hydrant, operation: str, body: Path, *options: str, key: Key) -> Done:
    """Posts a file with curl, which has a signer of its own; the status comes behind the answer."""
    return subprocess.run(
        ["curl", "--silent", "--show-error", "--write-out", "\\n%{http_code}"]
        + ["--aws-sigv4", f"aws:amz:{REGION}:firehose"]
        + ["--user", f"{key.access_key}:{key.secret_key}"]
        + ["--header", f"X-Amz-Target: {TARGET_PREFIX}.{operation}"]
        + ["--header", f"Content-Type: {CONTENT_TYPE}"]
        + ["--data-binary", f"@{body}", *options, f"{hydrant.endpoint}/"],
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=TIME_OUT_SECONDS,
    )


def run_hydrant(
    endpoint: Endpoint | None,
    *arguments: str,
    stdin: bytes = b"",
    key: Key | None = None,
    **variables: str,
) -> Done:
    """Runs one of Hydrant's own client commands against an endpoint; its output is bytes."""
    return subprocess.run(
        [BINARY, *arguments],
        input=stdin,
        env=_client_environment(endpoint, key) | variables,
        capture_output=True,
        timeout=TIME_OUT_SECONDS,
    )


def run_redirected(
    endpoint: Endpoint, redirection: str, *arguments: str, stdin: bytes = b""
) -> Done:
    """As `run_hydrant`, behind a shell's redirection of its output: `2>/dev/full`."""
    return subprocess.run(
        ["sh", "-c", f'exec "$0" "$@" {redirection}', BINARY, *arguments],
        input=stdin,
        env=_client_environment(endpoint, None),
        capture_output=True,
        timeout=TIME_OUT_SECONDS,
    )


@contextmanager
def running_hydrant(endpoint: Endpoint, *arguments: str) -> Iterator[subprocess.Popen]:
    """As `run_hydrant`, while its standard input is written; it is killed if it does not end."""
    process = subprocess.Popen(
        [BINARY, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=_client_environment(endpoint, None),
        bufsize=0,
    )
    with process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def _client_environment(endpoint: Endpoint | None, key: Key | None) -> dict[str, str]:
    """What leads a client command to an endpoint, with a key or without."""
    place = {"AWS_ENDPOINT_URL_FIREHOSE": endpoint.endpoint} if endpoint else {}
    return clean_environment() | place | (key.environment if key else {})
