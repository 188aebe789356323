"""The embedded default: folders as buckets, when no S3 is configured."""

import pytest
from botocore.exceptions import ClientError

from buckets import FolderBucket, ObjectKey
from streams import create_stream, fresh_name, put
from waiting import wait_until


def test_a_bucket_folder_appears_with_its_first_object(client, folder_bucket):
    stream = create_stream(client, folder_bucket.arn, CompressionFormat="GZIP")
    assert not folder_bucket.folder.exists()
    put(client, stream, b"record")
    (key,) = folder_bucket.wait_for(b"record")
    assert ObjectKey.parse(key, stream).extension == ".gz"


def test_no_half_written_file_stays_behind(client, folder_bucket):
    stream = create_stream(client, folder_bucket.arn)
    for number in range(20):
        put(client, stream, b"%d " % number)
    keys = folder_bucket.wait_for(b"".join(b"%d " % number for number in range(20)))
    files = [path for path in folder_bucket.folder.rglob("*") if path.is_file()]
    assert len(files) == len(keys), files


def test_another_folder_can_hold_the_buckets(start_hydrant, tmp_path):
    bucket = FolderBucket(tmp_path / "elsewhere", "my-bucket")
    client = start_hydrant("--local-buckets", str(bucket.folder.parent)).client()
    put(client, create_stream(client, bucket.arn), b"record")
    bucket.wait_for(b"record")


def test_folders_win_when_they_are_asked_for(start_hydrant, seaweed, tmp_path):
    """An explicit `--local-buckets` is not overruled by credentials that happen to be around."""
    bucket = FolderBucket(tmp_path / "elsewhere", "my-bucket")
    options = ("--local-buckets", str(bucket.folder.parent))
    client = start_hydrant(*options, environment=seaweed.environment).client()
    put(client, create_stream(client, bucket.arn), b"record")
    bucket.wait_for(b"record")


@pytest.mark.parametrize("prefix", ["sp ace/ü/日本=1/%41+/", ".hidden/", "a//b/"])
def test_awkward_prefixes_become_paths(client, folder_bucket, prefix):
    stream = create_stream(client, folder_bucket.arn, Prefix=prefix)
    put(client, stream, b"record")

    def found() -> list[bytes]:
        files = folder_bucket.folder.rglob(f"{stream}-1-*")
        return [path.read_bytes() for path in files if path.is_file()]

    assert wait_until(found, "the record") == [b"record"]


@pytest.mark.parametrize("prefix", ["../outside/", "a/../../outside/", "/outside/", "..", "./../"])
def test_no_prefix_leads_out_of_the_bucket(start_hydrant, prefix):
    """The server refuses it, or keeps what it delivers inside the bucket's folder."""
    hydrant = start_hydrant()
    client = hydrant.client()
    bucket = FolderBucket(hydrant.data / "buckets", fresh_name("bucket"))
    try:
        stream = create_stream(client, bucket.arn, Prefix=prefix)
    except ClientError as error:
        assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 400
        return
    put(client, stream, b"record")
    hydrant.wait_for_log(f"(delivered|set aside).*{stream}|{stream}.*(delivered|set aside)")
    strays = [
        path
        for path in hydrant.folder.parent.rglob(f"*{stream}-1-*")
        if not path.resolve().is_relative_to(bucket.folder.resolve())
    ]
    assert strays == []


@pytest.mark.parametrize("name", [".", ".."])
def test_no_name_leads_out_of_its_folder(start_hydrant, name):
    """`.` and `..` are legal by the letter of the API's pattern, for streams and for buckets."""
    hydrant = start_hydrant()
    client = hydrant.client()
    bystander = FolderBucket(hydrant.data / "buckets", fresh_name("bucket"))
    other = create_stream(client, bystander.arn)
    for arn, stream in ((f"arn:aws:s3:::{name}", fresh_name()), (bystander.arn, name)):
        try:
            create_stream(client, arn, name=stream)
        except ClientError as error:
            assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 400
            continue
        put(client, stream, b"")
        client.delete_delivery_stream(DeliveryStreamName=stream)
    put(client, other, b"still here")
    bystander.wait_for(b"still here")
    hydrant.restart()
    put(hydrant.client(), other, b"!")
    bystander.wait_for(b"still here!")
