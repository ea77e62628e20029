"""The guard where no network namespace can be had: see tests/support/loopback.py."""

import os
import sys
from typing import Any

_LOG = os.environ.get("KRUISE_TEST_LOOPBACK", "")


def _is_loopback(host: Any) -> bool:
    if isinstance(host, bytes):
        host = host.decode("ascii", "replace")
    return host in (None, "", "localhost", "::1", "::", "0.0.0.0") or str(host).startswith("127.")


def _refuse_elsewhere(event: str, arguments: tuple[Any, ...]) -> None:
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        address = arguments[1]
        host = address[0] if isinstance(address, tuple) else None
    elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
        host = arguments[0]
    else:
        return
    if not _is_loopback(host):
        with open(_LOG, "a") as log:
            log.write(f"{event} {host}\n")
        raise OSError(f"the tests must reach nothing but loopback, not {host} ({event})")


if os.path.isabs(_LOG):
    sys.addaudithook(_refuse_elsewhere)
