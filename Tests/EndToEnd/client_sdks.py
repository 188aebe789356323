"""The pages' code that puts many records, in each language, with a program around it."""

import base64
import json
from collections.abc import Callable
from pathlib import Path

import boto3

from client_pages import ANY, STREAM, block, write
from client_programs import compile_java, program, run, run_node
from keys import Key
from server import REGION


def sdk_client(endpoint: str, key: Key, ca: Path | None = None):
    """A boto3 client of an endpoint."""
    return boto3.session.Session().client(
        "firehose",
        endpoint_url=endpoint,
        region_name=REGION,
        aws_access_key_id=key.access_key,
        aws_secret_access_key=key.secret_key,
        verify=ca and str(ca),
    )


PutAll = Callable[[str, list[bytes], Path], None]
"""Puts records with the page's code to an endpoint, in a folder."""


def put_all_in_python(endpoint: str, records: list[bytes], home: Path) -> None:
    """With the lines of boto3.md."""
    page: dict = {}
    exec(compile(block("boto3-retry"), "boto3.md", "exec"), page)
    left = list(records)
    page["put_all"](sdk_client(endpoint, ANY), STREAM, left)
    assert left == []


def put_all_in_javascript(endpoint: str, records: list[bytes], home: Path) -> None:
    """With the lines of javascript.md."""
    write(home / "batches.mjs", block("javascript-retry"))
    encoded = json.dumps([base64.b64encode(each).decode() for each in records])
    write(home / "records.json", encoded)
    driver = f"""
import {{ FirehoseClient }} from "@aws-sdk/client-firehose";
import {{ readFileSync }} from "node:fs";
import {{ putAll }} from "./batches.mjs";

const records = JSON.parse(readFileSync("records.json")).map((each) => Buffer.from(each, "base64"));
const credentials = {{ accessKeyId: "any", secretAccessKey: "any" }};
const firehose = new FirehoseClient({{ endpoint: "{endpoint}", region: "{REGION}", credentials }});
await putAll(firehose, "{STREAM}", records);
if (records.length !== 0) throw new Error("some are left");
"""
    run_node(write(home / "driver.mjs", driver))


def put_all_in_java(endpoint: str, records: list[bytes], home: Path) -> None:
    """With the lines of java.md."""
    lines = "".join(f"{base64.b64encode(each).decode()}\n" for each in records)
    write(home / "records.txt", lines)
    driver = f"""
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import software.amazon.awssdk.core.SdkBytes;
import software.amazon.awssdk.regions.Region;
import software.amazon.awssdk.services.firehose.FirehoseClient;
import software.amazon.awssdk.services.firehose.model.Record;

public class Driver {{
    public static void main(String[] arguments) throws Exception {{
        List<Record> records = new ArrayList<>();
        for (String line : Files.readAllLines(Path.of("records.txt"))) {{
            SdkBytes data = SdkBytes.fromByteArray(Base64.getDecoder().decode(line));
            records.add(Record.builder().data(data).build());
        }}
        try (FirehoseClient firehose = FirehoseClient.builder()
                .endpointOverride(URI.create("{endpoint}")).region(Region.US_EAST_1).build()) {{
            Batches.putAll(firehose, "{STREAM}", records, Duration.ofMinutes(1));
        }}
        if (!records.isEmpty()) {{
            throw new IllegalStateException("some are left");
        }}
    }}
}}
"""
    sources = write(home / "Batches.java", block("java-retry")), write(home / "Driver.java", driver)
    compile_java(home, *sources)
    run([program("java"), "Driver"], home, **ANY.environment)
