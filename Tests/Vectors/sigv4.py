"""Makes sigv4.json out of AWS's Signature Version 4 test suite, which botocore's sources hold.

    pip download --no-binary :all: --no-deps botocore==1.44.5
    python3 sigv4.py botocore-1.44.5.tar.gz > sigv4.json

Each case is checked with hashlib and hmac before it is written, so a case that was read wrong
cannot get into the file.
"""

import hashlib
import hmac
import json
import re
import sys
import tarfile

SUITE = "tests/unit/auth/aws4_testsuite"

PART = re.compile(rf"botocore-[^/]+/{SUITE}/(?P<case>.+)/[^/]+\.(?P<kind>sreq|creq|sts|authz)")

ACCESS_KEY = "AKIDEXAMPLE"

SECRET_KEY = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
"""The suite's own, which opens nothing."""

LICENCE = "Apache-2.0"

COPYRIGHT = (
    "AWS Signature Version 4 Test Suite. "
    "Copyright 2019 Amazon.com, Inc. or its affiliates. All Rights Reserved."
)


def main(archive: str) -> None:
    """Prints all cases of the suite in `archive`."""
    texts: dict[str, dict[str, str]] = {}
    with tarfile.open(archive) as sources:
        for member in sources:
            if match := PART.fullmatch(member.name):
                text = sources.extractfile(member).read().decode()
                texts.setdefault(match["case"], {})[match["kind"]] = text.replace("\r\n", "\n")
    cases = [case(name, parts) for name, parts in sorted(texts.items())]
    document = {
        "source": f"{SUITE} in {archive.rpartition('/')[2]} from PyPI, "
        "put into this form by Tests/Vectors/sigv4.py",
        "licence": LICENCE,
        "copyright": COPYRIGHT,
        "accessKeyId": ACCESS_KEY,
        "secretAccessKey": SECRET_KEY,
        "region": "us-east-1",
        "service": "service",
        "cases": cases,
    }
    print(json.dumps(document, indent=1, ensure_ascii=False))


def case(name: str, parts: dict[str, str]) -> dict:
    """One case, checked."""
    check(parts)
    return {
        "name": name,
        "request": request(parts["sreq"]),
        "canonicalRequest": parts["creq"],
        "stringToSign": parts["sts"],
        "authorization": parts["authz"],
    }


def request(text: str) -> dict:
    """A signed request taken apart, without its Authorization.

    A folded header's lines are joined with a space, as RFC 9112 says.
    """
    head, _, body = text.partition("\n\n")
    line, *lines = head.rstrip("\n").split("\n")
    method, _, rest = line.partition(" ")
    headers: list[list[str]] = []
    for each in lines:
        if each.startswith(" "):
            headers[-1][1] += f" {each}"
        else:
            headers.append(list(each.partition(":"))[::2])
    return {
        "method": method,
        "target": rest.removesuffix(" HTTP/1.1"),
        "headers": [each for each in headers if each[0] != "Authorization"],
        "body": body,
    }


def check(parts: dict[str, str]) -> None:
    """Fails unless the parts lead from one to the next."""
    *_, scope, digest = parts["sts"].split("\n")
    assert digest == hashlib.sha256(parts["creq"].encode()).hexdigest()
    key = f"AWS4{SECRET_KEY}".encode()
    for part in (*scope.split("/"), parts["sts"]):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    assert parts["authz"].endswith(f"Signature={key.hex()}")
    assert f"Credential={ACCESS_KEY}/{scope}," in parts["authz"]


if __name__ == "__main__":
    main(*sys.argv[1:])
