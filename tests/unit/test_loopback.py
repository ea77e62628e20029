"""The guard of the tests themselves: nothing but loopback, and whoever tries is noticed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from support import fresh, loopback
from support.checkout import TESTS

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
import socket
from support import loopback
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
REPORT = """
from support import loopback
print(loopback.guard().split(",")[0], loopback.escapes(), sep="; ")
"""


def _guarded(code: str, *options: str) -> tuple[str, int]:
    """The guard that was in force, and the escapes from it."""
    path = f"import sys; sys.path.append({str(TESTS)!r})"
    command = [sys.executable, loopback.__file__, *options, sys.executable, "-c"]
    done = subprocess.run(
        [*command, f"{path}\n{code}{REPORT}"],
        env=fresh.environment(),
        capture_output=True,
        text=True,
        timeout=fresh.PATIENCE,
        check=True,
    )
    name, _, count = done.stdout.strip().rpartition("; ")
    return name, int(count)


def _only_in_a_namespace() -> None:
    if _guarded("")[0] != "network namespace":
        pytest.skip("no network namespace here, and the audit hook sees Python's own sockets only")


@pytest.mark.parametrize("options", [(), ("--hook",)], ids=["best", "hook"])
def test_an_attempt_to_leave_is_counted(options: tuple[str, ...]) -> None:
    name, count = _guarded(PYTHON, *options)
    assert name in ("network namespace", "audit hook")
    assert count >= 2


@pytest.mark.parametrize("options", [(), ("--hook",)], ids=["best", "hook"])
def test_loopback_is_free(options: tuple[str, ...]) -> None:
    assert _guarded(LOOPBACK, *options)[1] == 0


def test_the_namespace_sees_what_python_does_not() -> None:
    _only_in_a_namespace()
    assert _guarded(LIBC)[1] == 1


@pytest.mark.parametrize(("another", "count"), [("", 0), ("ask('2001:db8::2')", 1)])
def test_asking_for_the_way_to_a_prohibited_address_is_not_counted(
    another: str, count: int
) -> None:
    _only_in_a_namespace()
    assert _guarded(f"{PROHIBITED}{another}")[1] == count


# The SDK's transports: httpx, and from e2b 2.38 on the Rust library pyqwest.
SDK = """
from e2b import Sandbox
try:
    Sandbox.list(api_key="e2b_00", api_url="http://{host}", request_timeout=5).next_items()
except Exception:
    pass
"""


# pyqwest's own resolver looks ".invalid" up nowhere, so a name that it asks for.
@pytest.mark.parametrize("host", ["192.0.2.1", "api.kruise.test"])
def test_the_sdks_own_requests_to_elsewhere_are_counted(host: str) -> None:
    _only_in_a_namespace()
    assert _guarded(SDK.format(host=host))[1] >= 1


ESCAPING_TEST = """
import socket
def test_that_passes():
    pass
def test_that_leaves():
    try:
        socket.create_connection(("192.0.2.1", 80), 5)
    except OSError:
        pass
"""


@pytest.mark.parametrize("workers", [(), ("-n", "1")], ids=["alone", "with xdist"])
def test_a_test_that_leaves_fails(tmp_path: Path, workers: tuple[str, ...]) -> None:
    (tmp_path / "test_escaping.py").write_text(ESCAPING_TEST)
    (tmp_path / "conftest.py").write_text((TESTS / "conftest.py").read_text())
    done = subprocess.run(
        [sys.executable, loopback.__file__, sys.executable, "-m", "pytest", *workers, "-ra"],
        env={**fresh.environment(), "PYTHONPATH": str(TESTS)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=fresh.PATIENCE,
        check=False,
    )
    assert done.returncode == 1
    failed = [line for line in done.stdout.splitlines() if line.startswith(("ERROR", "FAILED"))]
    assert [line.split()[1] for line in failed] == ["test_escaping.py::test_that_leaves"]
    assert "1 attempts to look up or reach another machine" in done.stdout
