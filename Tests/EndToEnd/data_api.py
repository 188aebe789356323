"""A server of the Redshift Data API that judges every request, and fails as it is told to.

Written from AWS's API reference (redshift-data, 2019-12-20). It runs no SQL: it remembers what it
took, by database, and which manifests were loaded and which are in the ledger.
"""

import json
import re
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from copy import copy
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256

import botocore.session
from botocore.validate import ParamValidator

from record_receiver import Exchange, Receiver, strict_json
from sigv4_judge import Request, SigV4Judge
from waiting import wait_until

SERVICE = "redshift-data"
TARGET_PREFIX = "RedshiftData."
CONTENT_TYPE = "application/x-amz-json-1.1"

ACCESS_KEY, SECRET_KEY = "AKIDWAREHOUSE", "warehouse/secret+key"

EXECUTE, BATCH = "ExecuteStatement", "BatchExecuteStatement"
DESCRIBE, RESULT, CANCEL = "DescribeStatement", "GetStatementResult", "CancelStatement"

ENDED = ("FINISHED", "FAILED", "ABORTED")

PATTERNS = {
    "ClusterIdentifier": r"[a-z][a-z0-9]*(-[a-z0-9]+)*",
    "WorkgroupName": r"[a-z0-9-]{3,63}",
    "ClientToken": r"[!-~]{1,64}",
    "Id": r"[a-z0-9]{8}(-[a-z0-9]{4}){3}-[a-z0-9]{12}(:\d{0,2})?",
}
"""Those of AWS's model, which botocore does not check; the token's is stricter."""

PLACE = ("ClusterIdentifier", "WorkgroupName", "Database", "DbUser", "SecretArn")

MANIFEST_URL = re.compile(r"'(s3://[^']*-manifest)'")


@dataclass(frozen=True)
class Course:
    """What becomes of a statement: its status at each look; the last one stays."""

    statuses: tuple[str, ...] = ("FINISHED",)
    error: str = ""


FINISHES = Course()
RUNS = Course(("SUBMITTED", "PICKED", "STARTED"))
"""It goes on until the test ends it."""
ABORTED = Course(("STARTED", "ABORTED"), "Query cancelled on user's request")


def fails(error: str) -> Course:
    """A statement that fails."""
    return Course(("FAILED",), error)


@dataclass
class Statement:
    """A statement that was taken, or a batch of them."""

    id: str
    operation: str
    body: dict
    course: Course
    when: float
    looks: list[float] = field(default_factory=list)
    """When it was described."""
    is_told: bool = False
    """Whether somebody was told of its end."""
    has_run: bool = False

    @property
    def sqls(self) -> list[str]:
        """The statements' texts."""
        return self.body.get("Sqls") or [self.body["Sql"]]

    @property
    def error(self) -> str:
        """How its failure is told: of a batch with the number of the statement that failed."""
        is_batch = self.operation == BATCH
        return f"Query #2 failed with {self.course.error}" if is_batch else self.course.error

    @property
    def status(self) -> str:
        """As the latest look saw it."""
        return self.course.statuses[min(len(self.looks), len(self.course.statuses)) - 1]


@dataclass(frozen=True)
class Call:
    """A request about a database, before it is carried out."""

    operation: str
    body: dict
    number: int
    """How many calls of this operation came before."""
    when: float


Fault = Callable[[Exchange, Callable[[], tuple[int, dict]]], None]
"""Answers an exchange in its own way; may carry it out, which gives a status and an answer."""


@dataclass
class Database:
    """A database: what it was asked, what it shall do about it, and what it did."""

    name: str
    region: str
    ledger_table: str = "load_ledger"
    course: Callable[[int], Course] = lambda _: FINISHES
    """Given how many loads were taken before, says what becomes of the next."""
    fault: Callable[[Call], Fault | None] = lambda _: None
    calls: list[Call] = field(default_factory=list)
    statements: list[Statement] = field(default_factory=list)
    loaded: Counter[str] = field(default_factory=Counter)
    """How many times each manifest was loaded."""
    ledger: set[str] = field(default_factory=set)
    overlaps: int = 0
    """How many loads were taken while an earlier one ran, as far as the client was told."""
    tokens: dict[str, Statement] = field(default_factory=dict)

    def is_load(self, statement: Statement) -> bool:
        """Whether a statement loads a manifest, and does not only look into the ledger."""
        return any(map(self._loads, statement.sqls))

    def _loads(self, sql: str) -> bool:
        return bool(MANIFEST_URL.search(sql)) and self.ledger_table not in sql

    @property
    def loads(self) -> list[Statement]:
        """The statements that load something, in the order in which they were taken."""
        return [each for each in list(self.statements) if self.is_load(each)]

    def calls_of(self, *operations: str) -> list[Call]:
        """The calls of some operations."""
        return [each for each in list(self.calls) if each.operation in operations]

    def wait_for_loads(self, count: int, *, timeout: float = 30) -> list[Statement]:
        """Waits until so many loads were taken; returns all."""
        what = f"{count} loads of {self.name}"
        wait_until(lambda: len(self.loads) >= count, what, timeout=timeout)
        return self.loads

    def finish(self, statement: Statement, course: Course = FINISHES) -> None:
        """Ends a statement that goes on."""
        statement.course = course
        self.run(statement)

    def run(self, statement: Statement) -> None:
        """Does what a statement does, if it finishes."""
        if statement.has_run or statement.course.statuses[-1] != "FINISHED":
            return
        statement.has_run = True
        for sql in statement.sqls:
            urls = MANIFEST_URL.findall(sql)
            if self._loads(sql):
                self.loaded.update(urls[:1])
            elif sql.lstrip().upper().startswith("INSERT"):
                self.ledger.update(urls)

    def rows(self, statement: Statement) -> list[list[dict]]:
        """What a look into the ledger finds."""
        (sql,) = statement.sqls
        found = [each for each in MANIFEST_URL.findall(sql) if each in self.ledger]
        assert re.match(r"SELECT count\(\*\) > 0 ", sql), sql
        return [[{"booleanValue": bool(found)}]]


class DataAPI(Receiver):
    """Serves databases. Statements are told apart by their `Database`, so each test has its own."""

    def __init__(self, *, session_token: str | None = None):
        super().__init__()
        self.session_token = session_token
        self._databases: dict[str, Database] = {}
        self._statements: dict[str, tuple[Database, Statement]] = {}

    @property
    def environment(self) -> dict[str, str]:
        """The standard variables with the credentials that are asked for."""
        token = {"AWS_SESSION_TOKEN": self.session_token} if self.session_token else {}
        return {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY} | token

    def database(self, name: str, *, region: str = "eu-west-1", **members) -> Database:
        """A database, for which requests must be signed for a region."""
        made = self._databases[name] = Database(name, region, **members)
        return made

    def handle(self, exchange: Exchange) -> None:
        operation = (exchange.text("X-Amz-Target") or "").removeprefix(TARGET_PREFIX)
        faults, body = _parsed(exchange, operation)
        database = None if faults else self._database_of(body)
        if database is not None:
            faults = signature_faults(exchange, database.region, self.session_token)
        if self.complain(exchange, faults):
            error(400, "ValidationException", "; ".join(faults))(exchange, dict)
            return
        if database is None:
            error(400, "ResourceNotFoundException", "no such statement or database")(exchange, dict)
            return
        with self.lock:
            number = len(database.calls_of(operation))
            call = Call(operation, body, number, exchange.when)
            database.calls.append(call)
            fault = database.fault(call)

        def carry_out() -> tuple[int, dict]:
            with self.lock:
                return 200, self._answer(exchange, call, database)

        (fault or answer)(exchange, carry_out)

    def _database_of(self, body: dict) -> Database | None:
        if "Database" in body:
            return self._databases.get(body["Database"])
        found = self._statements.get(body.get("Id", "").partition(":")[0])
        return found[0] if found else None

    def _answer(self, exchange: Exchange, call: Call, database: Database) -> dict:
        if call.operation in (EXECUTE, BATCH):
            return self._take(exchange, call, database)
        _, statement = self._statements[call.body["Id"].partition(":")[0]]
        now = time.time()
        if call.operation == CANCEL:
            statement.course = ABORTED
            return {"Status": True}
        if call.operation == RESULT:
            rows = database.rows(statement)
            column = {"name": "manifest", "typeName": "varchar"}
            return {"Records": rows, "ColumnMetadata": [column], "TotalNumRows": len(rows)}
        statement.looks.append(time.monotonic())
        database.run(statement)
        statement.is_told |= statement.status in ENDED
        told = {"Error": statement.error} if statement.status in ENDED[1:] else {}
        has_result = not database.is_load(statement) and statement.status == "FINISHED"
        return told | {
            "Id": statement.id,
            "Status": statement.status,
            "CreatedAt": now,
            "UpdatedAt": now,
            "HasResultSet": has_result,
            "RedshiftQueryId": 7,
            "ResultRows": -1,
            "QueryString": statement.sqls[0],
        }

    def _take(self, exchange: Exchange, call: Call, database: Database) -> dict:
        token = call.body.get("ClientToken")
        known = database.tokens.get(token)
        if known is None:
            known = Statement(
                str(uuid.uuid4()), call.operation, call.body, FINISHES, time.monotonic()
            )
            if database.is_load(known):
                if token is None:
                    self.violations.append(f"a load without ClientToken: {call.body}")
                before = database.loads
                known.course = database.course(len(before))
                database.overlaps += any(not (each.is_told or each.has_run) for each in before)
            database.tokens |= {token: known} if token else {}
            database.statements.append(known)
            self._statements[known.id] = (database, known)
            if known.course.statuses[-1] == "FINISHED":
                database.run(known)
        elif (known.operation, known.body) != (call.operation, call.body):
            self.violations.append(f"{exchange.target}: another request with token {token}")
        place = {name: call.body[name] for name in PLACE if name in call.body}
        return place | {"Id": known.id, "CreatedAt": time.time()}


# MARK: Faults


def answer(exchange: Exchange, carry_out: Callable[[], tuple[int, dict]]) -> None:
    """Carries a request out and answers it."""
    status, found = carry_out()
    exchange.answer(status, json.dumps(found).encode(), content_type=CONTENT_TYPE)


def error(status: int, kind: str, message: str = "the test wants this") -> Fault:
    """Does nothing and answers with an error as AWS's JSON protocol has it."""
    body = json.dumps({"__type": kind, "message": message}).encode()
    return lambda exchange, _: exchange.answer(
        status, body, content_type=CONTENT_TYPE, headers=[("x-amzn-ErrorType", kind)]
    )


THROTTLED = error(400, "ThrottlingException", "Rate exceeded")
TOO_MANY = error(400, "ActiveStatementsExceededException", "too many active statements")


def raw(status: int, body: bytes, *, carries_out: bool = False) -> Fault:
    """Answers with any bytes."""

    def play(exchange: Exchange, carry_out) -> None:
        if carries_out:
            carry_out()
        exchange.answer(status, body, content_type=CONTENT_TYPE)

    return play


def reset(exchange: Exchange, _) -> None:
    """Resets the connection, and does nothing else."""
    exchange.reset()


def reset_when_taken(exchange: Exchange, carry_out) -> None:
    """Carries the request out and resets the connection."""
    carry_out()
    exchange.reset()


def hang_when_taken(exchange: Exchange, carry_out) -> None:
    """Carries the request out and says nothing, until the server ends."""
    carry_out()
    exchange.wait(600)


def first(count: int, fault: Fault, *operations: str) -> Callable[[Call], Fault | None]:
    """The first calls of some operations fail; by default those that run statements."""
    named = operations or (EXECUTE, BATCH)
    return lambda call: fault if call.operation in named and call.number < count else None


# MARK: Judging


@cache
def _model():
    return botocore.session.Session().get_service_model(SERVICE)


def _parsed(exchange: Exchange, operation: str) -> tuple[list[str], dict]:
    """What is wrong with a request apart from its signature, and its body."""
    if operation not in (EXECUTE, BATCH, DESCRIBE, RESULT, CANCEL):
        return [f"an unexpected X-Amz-Target {exchange.text('X-Amz-Target')!r}"], {}
    if (exchange.method, exchange.target) != ("POST", "/"):
        return ["it is not POST /"], {}
    try:
        body = strict_json(exchange.body)
    except ValueError as problem:
        return [str(problem)], {}
    return list(_body_faults(exchange, operation, body)), body


def _body_faults(exchange: Exchange, operation: str, body: dict) -> Iterator[str]:
    if exchange.headers.get_all("Content-Type") != [CONTENT_TYPE]:
        yield f"Content-Type is {exchange.headers.get_all('Content-Type')}"
    shape = _model().operation_model(operation).input_shape
    report = ParamValidator().validate(body, shape)
    if report.has_errors():
        yield report.generate_report()
    for name, pattern in PATTERNS.items():
        if name in body and not re.fullmatch(pattern, body[name]):
            yield f"{name} {body[name]!r} does not match {pattern}"
    if operation not in (EXECUTE, BATCH):
        return
    if not body.get("Database"):
        yield "no Database"
    is_cluster, is_workgroup = "ClusterIdentifier" in body, "WorkgroupName" in body
    if is_cluster == is_workgroup:
        yield "not one of ClusterIdentifier and WorkgroupName"
    if is_workgroup and "DbUser" in body:
        yield "a DbUser for a workgroup"
    if is_cluster and ("DbUser" in body) == ("SecretArn" in body):
        yield "not one of DbUser and SecretArn for a cluster"


def signature_faults(exchange: Exchange, region: str, token: str | None) -> list[str]:
    """What AWS would refuse about a signature.

    The judge is one of requests to S3, whose hash of the body is a header. That is added here, and
    what follows from it is left out of what the judge finds.
    """
    headers = copy(exchange.headers)
    del headers["X-Amz-Content-Sha256"]
    headers["X-Amz-Content-Sha256"] = sha256(exchange.body).hexdigest()
    judge = SigV4Judge(ACCESS_KEY, SECRET_KEY, region, token)
    request = Request(exchange.method, exchange.target, headers, exchange.body)
    found = judge.faults(request)
    right_service = f"service is {SERVICE!r}, not 's3'"
    if not any("malformed" in each for each in found) and right_service not in found:
        found.append(f"the signature is not for {SERVICE}")
    left_out = {right_service, "header x-amz-content-sha256 is not signed"}
    return [each for each in found if each not in left_out]
