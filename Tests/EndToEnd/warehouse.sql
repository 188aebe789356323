-- What stands for Redshift's COPY in the tests: loads what a manifest names out of S3.
--
-- SELECT redshift_copy($$COPY "t" ("a") FROM 's3://...' CREDENTIALS '...' MANIFEST ...$$, 'http://...')
--
-- It takes COPY exactly as Hydrant writes it, and of its options GZIP, JSON 'auto', CSV, DELIMITER
-- and IGNOREHEADER. All that is loaded is in the caller's transaction. A role whose name ends in
-- "stranger" has no credentials; every other one has those of the database server's environment.
CREATE EXTENSION plpython3u;

CREATE FUNCTION redshift_copy(statement text, endpoint text) RETURNS bigint
LANGUAGE plpython3u AS $python$
import csv, datetime, gzip, hashlib, hmac, io, json, os, re
import urllib.error, urllib.parse, urllib.request

NAME = r'"(?:[^"]|"")+"'
LITERAL = r"'((?:[^']|'')*)'"
COPY = re.compile(
    rf"COPY ({NAME}(?:\.{NAME}){{0,2}})(?: \(({NAME}(?:, {NAME})*)\))? "
    rf"FROM {LITERAL} CREDENTIALS {LITERAL} MANIFEST(?: (.*))?",
    re.DOTALL,
)
match = COPY.fullmatch(statement)
if not match:
    plpy.error("syntax error in COPY", sqlstate="42601")
table, columns, manifest, credentials, options = match.groups()
manifest, credentials = (each.replace("''", "'") for each in (manifest, credentials))
options = options or ""
given = dict(each.split("=", 1) for each in credentials.split(";"))
key = secret = None
if "aws_access_key_id" in given:
    key, secret = given["aws_access_key_id"], given["aws_secret_access_key"]
elif not given["aws_iam_role"].endswith("stranger"):
    key, secret = os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]


def signature(path, host, moment):
    """The headers that sign a GET."""
    day, scope = moment[:8], f"{moment[:8]}/us-east-1/s3/aws4_request"
    names = "host;x-amz-content-sha256;x-amz-date"
    lines = ["GET", path, "", f"host:{host}", "x-amz-content-sha256:UNSIGNED-PAYLOAD"]
    lines += [f"x-amz-date:{moment}", "", names, "UNSIGNED-PAYLOAD"]
    digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    derived = ("AWS4" + secret).encode()
    for part in (day, "us-east-1", "s3", "aws4_request"):
        derived = hmac.new(derived, part.encode(), hashlib.sha256).digest()
    text = "\n".join(["AWS4-HMAC-SHA256", moment, scope, digest])
    signed = hmac.new(derived, text.encode(), hashlib.sha256).hexdigest()
    return {
        "x-amz-date": moment,
        "x-amz-content-sha256": "UNSIGNED-PAYLOAD",
        "Authorization": f"AWS4-HMAC-SHA256 Credential={key}/{scope}, "
        f"SignedHeaders={names}, Signature={signed}",
    }


def download(url):
    """An object's bytes."""
    bucket, _, name = url.removeprefix("s3://").partition("/")
    path = f"/{bucket}/{urllib.parse.quote(name, safe='/-_.~')}"
    moment = datetime.datetime.utcnow().strftime("%Y%m%dT%H%M%SZ")
    host = urllib.parse.urlsplit(endpoint).netloc
    headers = signature(path, host, moment) if key else {}
    try:
        request = urllib.request.Request(endpoint + path, headers=headers)
        return urllib.request.urlopen(request, timeout=60).read()
    except urllib.error.HTTPError as error:
        code = re.search("<Code>(.*?)</Code>", error.read().decode()).group(1)
        said = f"S3ServiceException:{error.reason},Status {error.code},Error {code},Rid 1"
    plpy.error(said, sqlstate="XX000")


def fail():
    """The error that names no reason, as Redshift has it for all data that does not fit."""
    plpy.error(
        f"Load into table '{table}' failed.  Check 'stl_load_errors' system table for details.",
        sqlstate="XX000",
    )


def column_names():
    """The columns to load: those of the statement, or all."""
    if columns:
        found = re.findall(NAME, columns)
        return [each[1:-1].replace('""', '"') for each in found]
    query = plpy.prepare(
        "SELECT attname FROM pg_attribute WHERE attrelid = $1::regclass AND attnum > 0 "
        "AND NOT attisdropped ORDER BY attnum",
        ["text"],
    )
    return [each["attname"] for each in query.execute([table])]


def documents(text):
    """The rows in JSON documents that follow each other."""
    decoder, spaces, rows = json.JSONDecoder(), re.compile(r"\s*"), []
    try:
        position = spaces.match(text).end()
        while position < len(text):
            row, position = decoder.raw_decode(text, position)
            rows.append({name.lower(): value for name, value in row.items()})
            position = spaces.match(text, position).end()
    except (ValueError, AttributeError):
        fail()
    return rows


def lines(text):
    """The rows in delimited lines."""
    found = re.search(rf"\bDELIMITER (?:AS )?{LITERAL}", options, re.IGNORECASE)
    is_csv = re.search(r"\bCSV\b", options, re.IGNORECASE)
    delimiter = found.group(1) if found else "," if is_csv else "|"
    skipped = re.search(r"\bIGNOREHEADER (?:AS )?(\d+)", options, re.IGNORECASE)
    quoting = csv.QUOTE_MINIMAL if is_csv else csv.QUOTE_NONE
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, quoting=quoting)
    names = column_names()
    rows = list(reader)[int(skipped.group(1)) if skipped else 0 :]
    if any(len(each) != len(names) for each in rows):
        fail()
    return [dict(zip(names, each)) for each in rows]


count = 0
for entry in json.loads(download(manifest))["entries"]:
    body = download(entry["url"])
    if len(body) != entry["meta"]["content_length"]:
        fail()
    text = (gzip.decompress(body) if re.search(r"\bGZIP\b", options, re.I) else body).decode()
    rows = documents(text) if re.search(r"\bJSON\b", options, re.I) else lines(text)
    insertion = plpy.prepare(
        f"INSERT INTO {table} {f'({columns})' if columns else ''} SELECT {columns or '*'} "
        f"FROM json_populate_recordset(NULL::{table}, $1)",
        ["json"],
    )
    try:
        count += insertion.execute([json.dumps(rows)]).nrows()
    except plpy.SPIError as error:
        if not error.sqlstate.startswith("22"):
            raise
        fail()
plpy.info(f"Load into table '{table}' completed, {count} record(s) loaded successfully.")
return count
$python$;
