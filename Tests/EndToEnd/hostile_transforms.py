"""Transforms that do everything wrong, as `test_hostile_transforms` runs them."""

from dataclasses import dataclass, field

from transforms import (
    DUPLICATED_ID,
    FUNCTION_ERROR,
    INVALID_FORMAT,
    JSON_ERROR,
    MISSING_ID,
)

OK = "Ok"
"""Stands for records that are delivered."""

ANYTHING = {OK, FUNCTION_ERROR, JSON_ERROR, MISSING_ID, DUPLICATED_ID, INVALID_FORMAT}
"""Where the contract leaves it open what becomes of records, as long as each is accounted for."""

READ_ONCE = """
trace(start=True)
text = sys.stdin.read()
event = json.loads(text)
good = json.dumps({"records": [answer(each, content(each)) for each in event["records"]]})
"""

READ_FOREVER = """
trace(start=True)
for text in sys.stdin:
    event = json.loads(text)
    good = json.dumps({"records": [answer(each, content(each)) for each in event["records"]]})
"""

READ_NOTHING = "trace(start=True)\n"


@dataclass(frozen=True)
class Hostile:
    """A program, and what may become of its records."""

    label: str
    mode: str
    source: str
    """What it does; where it has read an event, `good` is a good answer to it."""
    expected: set[str] | str
    """`OK` or an error code for all records, or a set of those that there may be."""
    settings: dict = field(default_factory=dict)
    reads: bool = True
    """Whether it reads its input first."""
    leaves: bool = False
    """Whether processes of it may outlive it, because they left its group."""
    retries: int = 0

    @property
    def allowed(self) -> set[str]:
        """What may become of records."""
        return {self.expected} if isinstance(self.expected, str) else self.expected

    @property
    def whole(self) -> str:
        """The program's source."""
        if not self.reads:
            return READ_NOTHING + self.source
        if self.mode == "once":
            return READ_ONCE + self.source
        return READ_FOREVER + "".join(f"    {line}\n" for line in self.source.splitlines())


SHORT = {"timeoutSeconds": 1}

SLEEP = "time.sleep(600)"

DEAF = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nwhile True: time.sleep(600)"

FORKS = """
for number in range(50):
    if os.fork() == 0:
        trace(child=number)
        while True:
            time.sleep(600)
while sum("child" in each for each in traced()) < 50:
    time.sleep(0.01)
print(good, flush=True)
"""

DAEMON = """
if os.fork() == 0:
    {setsid}
    trace(daemon=True)
    time.sleep(600)
    os._exit(0)
print(good, flush=True)
"""

FLOOD = """
written = 0
while True:
    written += os.write(1, {chunk})
    if written % 1_000_000 < 65_536:
        trace(written=written)
"""

NESTED = "good[:-1] + ', \"x\": ' + '[' * {depth} + ']' * {depth} + '}}'"

WORKER_RANDOM = """
import random
choice = random.random()
if choice < 0.15: os.kill(os.getpid(), 9)
os.write(1, good[:len(good) // 2].encode())
if choice < 0.3: os.kill(os.getpid(), 9)
os.write(1, good[len(good) // 2:].encode() + b"\\n")
if choice < 0.45: os.kill(os.getpid(), 9)
"""

API = """
import http.client, random
connection = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
base = "/2018-06-01/runtime/"
"""


def _both(label: str, source: str, expected: set[str] | str, **others) -> list[Hostile]:
    """The same thing done by a program that runs once, and by a worker."""
    return [
        Hostile(f"{label} ({mode})", mode, source, expected, **others)
        for mode in ("once", "worker")
    ]


HANGS = [
    *_both("hangs", SLEEP, FUNCTION_ERROR, settings=SHORT),
    *_both("ignores SIGTERM", DEAF, FUNCTION_ERROR, settings=SHORT),
    *_both("reads nothing", SLEEP, FUNCTION_ERROR, settings=SHORT, reads=False),
    *_both("stops itself", "os.kill(os.getpid(), signal.SIGSTOP)", FUNCTION_ERROR, settings=SHORT),
    *_both(
        "closes its pipes and hangs",
        f"os.close(0)\nos.close(1)\nos.close(2)\n{SLEEP}",
        FUNCTION_ERROR,
        settings=SHORT,
        reads=False,
    ),
    Hostile("spins", "once", "while True: pass", FUNCTION_ERROR, SHORT),
    Hostile(
        "writes a part of a line and hangs",
        "worker",
        f"os.write(1, good[:20].encode())\n{SLEEP}",
        FUNCTION_ERROR,
        SHORT,
    ),
    Hostile(
        "writes byte by byte",
        "worker",
        "for byte in good[:300]: os.write(1, byte.encode()), time.sleep(0.001)\n"
        "print(good[300:], flush=True)",
        OK,
    ),
    Hostile(
        "writes byte by byte for longer than it may",
        "worker",
        "for byte in good + '\\n': os.write(1, byte.encode()), time.sleep(0.05)",
        FUNCTION_ERROR,
        SHORT,
    ),
    Hostile("never fetches an event", "lambda", SLEEP, FUNCTION_ERROR, SHORT, reads=False),
    Hostile(
        "fetches events and never answers",
        "lambda",
        API + "connection.request('GET', base + 'invocation/next')\n"
        f"trace(status=connection.getresponse().status)\n{SLEEP}",
        FUNCTION_ERROR,
        SHORT,
        reads=False,
    ),
]

ENDS = [
    *_both("ends without a word", "os._exit(0)", {FUNCTION_ERROR, JSON_ERROR}, reads=False),
    *_both("closes its input and ends", "os.close(0)\nos.close(1)\nos._exit(1)", FUNCTION_ERROR,
           reads=False),
    Hostile("ends in its answer", "once", "print(good[:-9])", JSON_ERROR),
    Hostile(
        "ends in its line",
        "worker",
        "os.write(1, good[:-9].encode())\nos._exit(0)",
        FUNCTION_ERROR,
    ),
    Hostile("ends after a full line", "worker", "print(good, flush=True)\nos._exit(0)",
            {OK, FUNCTION_ERROR}),
    Hostile("is killed at random", "worker", WORKER_RANDOM, {OK, FUNCTION_ERROR}, retries=10),
    Hostile("ends the API's connection", "lambda", API + "os._exit(0)", FUNCTION_ERROR,
            reads=False),
]  # fmt: skip

FLOODS = [
    *_both("floods stdout", FLOOD.format(chunk="b'x' * 65_536"), FUNCTION_ERROR),
    *_both(
        "floods stdout with lines", FLOOD.format(chunk="b'{}\\n' * 20_000"), FUNCTION_ERROR
    ),
    *_both("answers 7 MB", "print(good + ' ' * 7_000_000, flush=True)", FUNCTION_ERROR),
    Hostile(
        "answers 6.29 MB", "once", "print(good + ' ' * (6_291_555 - len(good)), flush=True)", OK
    ),
    Hostile(
        "floods stderr",
        "worker",
        "sys.stderr.write('noise\\n' * 300_000)\nprint(good, flush=True)",
        OK,
    ),
    Hostile(
        "writes 50 MB to stderr in one line",
        "once",
        "for _ in range(50): sys.stderr.write('x' * 1_000_000)\nprint(good, flush=True)",
        OK,
    ),
    Hostile(
        "writes no text to stderr",
        "once",
        "os.write(2, bytes(range(256)) * 100)\nprint(good, flush=True)",
        OK,
    ),
    Hostile(
        "floods the API",
        "lambda",
        API + "import socket\n"
        "host, port = os.environ['AWS_LAMBDA_RUNTIME_API'].split(':')\n"
        "while True:\n"
        "    one = socket.create_connection((host, int(port)))\n"
        "    try:\n"
        "        for _ in range(50): one.sendall(b'GET / HTTP/1.1\\r\\nX: ' + b'y' * 100_000)\n"
        "    except OSError:\n"
        "        pass\n",
        FUNCTION_ERROR,
        SHORT,
        reads=False,
    ),
]

PROCESSES = [
    *_both("forks 50 children", FORKS, OK),
    Hostile(
        "forks 50 children and dies",
        "once",
        FORKS.replace("print(good", "os.kill(os.getpid(), 9) or print(good"),
        FUNCTION_ERROR,
    ),
    *_both("leaves a daemon on its pipes", DAEMON.format(setsid=""), OK),
    Hostile(
        "leaves a daemon in a session of its own",
        "once",
        DAEMON.format(setsid="os.setsid()"),
        {OK, FUNCTION_ERROR},
        leaves=True,
    ),
    Hostile(
        "takes memory",
        "once",
        "held = [bytearray(1 << 20) for _ in range(4_096)]\nprint(good)",
        FUNCTION_ERROR,
        {"memoryMiB": 64},
    ),
    Hostile(
        "opens files",
        "worker",
        "held = [os.open('/dev/null', os.O_RDONLY) for _ in range(5_000)]\nprint(good, flush=True)",
        FUNCTION_ERROR,
        {"openFiles": 64},
    ),
]

ANSWERS = [
    *_both(
        "answers for other ids",
        "print(good.replace('\"recordId\": \"', '\"recordId\": \"x'), flush=True)",
        MISSING_ID,
    ),
    *_both(
        "answers twice for each",
        "found = json.loads(good)\nfound['records'] *= 2\nsay(found)",
        DUPLICATED_ID,
    ),
    *_both("answers with bad base64", "print(good.replace('\"data\": \"', '\"data\": \"*'), "
           "flush=True)", INVALID_FORMAT),
    Hostile("answers twice", "once", "print(good, good)", JSON_ERROR),
    Hostile("answers two lines", "worker", "os.write(1, f'{good}\\n{good}\\n'.encode())",
            FUNCTION_ERROR),
    Hostile("talks between events", "worker",
            "print(good, flush=True)\ntime.sleep(0.02)\nprint('so', flush=True)", ANYTHING),
    Hostile("talks before the first event", "worker",
            f"print('hello', flush=True)\n{READ_FOREVER}    print(good, flush=True)\n",
            ANYTHING, reads=False),
    *_both("answers with NUL bytes", "print('\\0' + good + '\\0', flush=True)", JSON_ERROR),
    *_both("writes NUL in a string", "print(good.replace('\"Ok\"', '\"Ok\\0\"'), flush=True)",
           {JSON_ERROR, INVALID_FORMAT}),
    *_both("escapes NUL in a string", "print(good.replace('\"Ok\"', '\"Ok\\\\u0000\"'), "
           "flush=True)", INVALID_FORMAT),
    *_both("opens a million brackets", "print('[' * 1_000_000, flush=True)", JSON_ERROR),
    *_both("nests a hundred thousand lists", f"print({NESTED.format(depth=100_000)}, flush=True)",
           {OK, JSON_ERROR}),
    *_both("opens objects without end", "print('{\"a\":' * 500_000, flush=True)", JSON_ERROR),
    *_both("answers in bad UTF-8", "os.write(1, b'\\xff\\xfe' + good.encode() + b'\\n')",
           JSON_ERROR),
    *_both("has bad UTF-8 in a string",
           "os.write(1, good[:-1].encode() + b', \"x\": \"\\xc3\\x28\"}\\n')", {OK, JSON_ERROR}),
    *_both("has lone surrogates", "print(good[:-1] + ', \"x\": \"\\\\ud800\"}', flush=True)",
           {OK, JSON_ERROR}),
    *_both("says its members twice",
           "print(good[:-1] + ', \"records\": []}', flush=True)", {OK, MISSING_ID, JSON_ERROR}),
    *_both("says ids twice in an object",
           "print(good.replace('\"recordId\"', '\"recordId\": \"y\", \"recordId\"'), flush=True)",
           {OK, MISSING_ID, JSON_ERROR}),
    *_both("has numbers without end",
           "print(good[:-1] + ', \"x\": ' + '9' * 100_000 + 'e' + '9' * 100_000 + '}', flush=True)",
           {OK, JSON_ERROR}),
]  # fmt: skip

HOSTILE = [*HANGS, *ENDS, *FLOODS, *PROCESSES, *ANSWERS]
