"""Free TCP ports on the loopback address.

Ports are taken from below the range that the kernel hands out to outgoing connections (32768 and
up on Linux), so that no client's own port can land on one while its server is being restarted.
"""

import random
import socket

LOWEST, HIGHEST = 12_000, 21_999
"""With the 10,000 that SeaweedFS adds for gRPC, everything stays below 32768."""

GRPC_OFFSET = 10_000
"""SeaweedFS listens on every port it is given and on that port plus this."""

_given: set[int] = set()


def free_port(*, with_grpc: bool = False) -> int:
    """A port that nothing listens on and that this run was not given before.

    `with_grpc` asks for the port 10,000 above it to be free as well.
    """
    offsets = (0, GRPC_OFFSET) if with_grpc else (0,)
    for _ in range(1_000):
        port = random.randint(LOWEST, HIGHEST)
        if port not in _given and all(_is_free(port + offset) for offset in offsets):
            _given.add(port)
            return port
    raise RuntimeError(f"no free port between {LOWEST} and {HIGHEST}")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
