"""The guard of the tests themselves: nothing but loopback, and whoever tries is noticed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import fresh
import loopback
import pytest

# 192.0.2.1 is an address of documentation: nobody is there, even if the guard does not hold.
PYTHON = """
import socket
for leave in (lambda: socket.create_connection(("192.0.2.1", 80), 5),
              lambda: socket.getaddrinfo("sandbox.invalid", 443)):
    try:
        leave()
    except OSError:
        pass
"""
# As a Rust or C library does it, unseen by Python.
LIBC = """
import ctypes, socket, struct
libc = ctypes.CDLL(None)
address = struct.pack("=H", socket.AF_INET) + struct.pack("!H4B8x", 80, 192, 0, 2, 1)
libc.connect(libc.socket(socket.AF_INET, socket.SOCK_STREAM, 0), address, len(address))
"""
LOOPBACK = """
import socket
for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET, "localhost")):
    server = socket.create_server((host, 0), family=family)
    socket.create_connection((host, server.getsockname()[1]), 5).close()
try:
    socket.create_connection(server.getsockname()[:1] + (1,), 5)
except ConnectionRefusedError:
    pass
"""
# From 2001:db8::/32, which is for documentation too.
PROHIBITED = """
import loopback, socket
loopback.prohibit("2001:db8::1")
def ask(host):
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as any_socket:
        try:
            any_socket.connect((host, 443))
        except OSError:
            return
    raise AssertionError(f"there is a way to {host}")
ask("2001:db8::1")
"""
REPORT = "\nimport loopback; print(loopback.guard().split(',')[0], loopback.escapes(), sep='; ')"


def _guarded(code: str, *options: str) -> tuple[str, int]:
    """The guard that was in force, and the escapes from it."""
    tests = str(Path(loopback.__file__).parent)
    path = f"import sys; sys.path.append({tests!r})"
    command = [sys.executable, loopback.__file__, *options, sys.executable, "-c"]
    done = subprocess.run(
        [*command, f"{path}\n{code}{REPORT}"],
        env=fresh.environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    name, _, count = done.stdout.strip().rpartition("; ")
    return name, int(count)


@pytest.mark.parametrize("options", [(), ("--hook",)], ids=["best", "hook"])
def test_an_attempt_to_leave_is_counted(options: tuple[str, ...]) -> None:
    name, count = _guarded(PYTHON, *options)
    assert name in ("network namespace", "audit hook")
    assert count >= 2


@pytest.mark.parametrize("options", [(), ("--hook",)], ids=["best", "hook"])
def test_loopback_is_free(options: tuple[str, ...]) -> None:
    assert _guarded(LOOPBACK, *options)[1] == 0


def test_the_namespace_sees_what_python_does_not() -> None:
    name, count = _guarded(LIBC)
    if name == "network namespace":
        assert count == 1


@pytest.mark.parametrize(("another", "count"), [("", 0), ("ask('2001:db8::2')", 1)])
def test_asking_for_the_way_to_a_prohibited_address_is_not_counted(
    another: str, count: int
) -> None:
    if _guarded("")[0] != "network namespace":
        pytest.skip("the kernel counts in a network namespace only")
    assert _guarded(f"{PROHIBITED}{another}")[1] == count
