"""Reach nothing but this machine: python support/loopback.py [--hook] COMMAND [ARGUMENT ...]

On Linux the command gets a network namespace with a loopback interface alone, so the kernel
enforces it, for the sockets of Rust and C libraries too, and counts every attempt to look a name
up or to connect elsewhere. That needs root, or user namespaces. Without either, an audit hook in
every Python interpreter refuses and records such attempts; it does not see other libraries.
``--hook`` before the command takes the hook in any case.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import socket
import struct
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

# How the command learns which guard is in force: its name, and for the hook where it writes.
_GUARD = "KRUISE_TEST_LOOPBACK"
_NAMESPACE = "network namespace"
HOOK_DIRECTORY = str(Path(__file__).resolve().parent / "audited")

_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 1
_RTM_NEWROUTE, _NLM_F_REQUEST_ACK_CREATE = 24, 0x405
_RT_MAIN_STATIC, _RTN_PROHIBIT = (254, 4), 8

# What the kernel counts when a packet has nowhere to go, or asks for a resolver on loopback.
_COUNTERS = {("Ip:", "OutNoRoutes"), ("Udp:", "NoPorts")}
_COUNTERS_6 = {"Ip6OutNoRoutes", "Udp6NoPorts"}

_seen = 0


def main(command: list[str]) -> None:
    """Become ``command``, under the best guard that is possible here."""
    only_hook = command[:1] == ["--hook"]
    command = command[1:] if only_hook else command
    if not command:
        raise SystemExit(__doc__)
    if not only_hook and _enter_namespace():
        os.environ[_GUARD] = _NAMESPACE
    else:
        descriptor, log = tempfile.mkstemp(prefix="kruise-escapes-")
        os.close(descriptor)
        os.environ[_GUARD] = log
        os.environ.update(guarded(os.environ))
    os.execvp(command[0], command)


def guard() -> str:
    """The guard in force, for people."""
    value = os.environ.get(_GUARD)
    if value is None:
        return "none: run the tests with tox, or with python tests/support/loopback.py pytest"
    return _NAMESPACE if value == _NAMESPACE else f"audit hook, without Rust's sockets ({value})"


def guarded(environment: Mapping[str, str]) -> dict[str, str]:
    """``environment`` for a Python interpreter that is to be under the guard, too."""
    log = os.environ.get(_GUARD, _NAMESPACE)
    if log == _NAMESPACE:  # inherited by every process, whatever its environment
        return dict(environment)
    paths = [HOOK_DIRECTORY, environment.get("PYTHONPATH", "")]
    path = os.pathsep.join(dict.fromkeys(path for path in paths if path))
    return {**environment, _GUARD: log, "PYTHONPATH": path}


def escapes() -> int:
    """How often something has tried to leave this machine, since the guard is in force."""
    log = os.environ.get(_GUARD)
    if log is None:
        return 0
    return _counted() if log == _NAMESPACE else len(Path(log).read_text().splitlines())


def new_escapes() -> int:
    """How often since the last call."""
    global _seen
    before, _seen = _seen, escapes()
    return _seen - before


def isolate() -> None:
    """Give this thread, and what it starts, a namespace and counters of its own, if it may."""
    if os.environ.get(_GUARD) == _NAMESPACE and _unshare(_CLONE_NEWNET):
        _raise_loopback()


def prohibit(address: str) -> None:
    """Refuse an IPv6 address by a rule of its own: trying to reach it is no escape then.

    For a program that only asks the kernel whether there is a way to it.
    """
    if os.environ.get(_GUARD) != _NAMESPACE:
        return
    # rtnetlink(7): struct rtmsg with one attribute, RTA_DST, and the header before them.
    route = struct.pack("8BI", socket.AF_INET6, 128, 0, 0, *_RT_MAIN_STATIC, 0, _RTN_PROHIBIT, 0)
    attribute = struct.pack("HH", 20, 1) + socket.inet_pton(socket.AF_INET6, address)
    length = 16 + len(route) + len(attribute)
    header = struct.pack("IHHII", length, _RTM_NEWROUTE, _NLM_F_REQUEST_ACK_CREATE, 1, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as netlink:
        netlink.send(header + route + attribute)
        (error,) = struct.unpack_from("i", netlink.recv(4096), 16)
    if error:
        raise OSError(-error, os.strerror(-error))


def _enter_namespace() -> bool:
    if not sys.platform.startswith("linux"):
        return False
    user, group = os.getuid(), os.getgid()
    if not _unshare(_CLONE_NEWNET):
        if not _unshare(_CLONE_NEWNET | _CLONE_NEWUSER):
            return False
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    _raise_loopback()
    return True


def _unshare(flags: int) -> bool:
    libc = ctypes.CDLL(None, use_errno=True)
    return hasattr(libc, "unshare") and libc.unshare(flags) == 0


def _raise_loopback() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sh14x", b"lo", 0)
        reply = fcntl.ioctl(any_socket, _SIOCGIFFLAGS, request)
        (flags,) = struct.unpack_from("h", reply, 16)
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | _IFF_UP))


def _counted() -> int:
    network = Path("/proc/thread-self/net")
    lines = [line.split() for line in (network / "snmp").read_text().splitlines()]
    total = 0
    for names, values in zip(lines[::2], lines[1::2]):
        for name, value in zip(names[1:], values[1:]):
            total += int(value) if (names[0], name) in _COUNTERS else 0
    with contextlib.suppress(FileNotFoundError):  # no IPv6 here
        for line in (network / "snmp6").read_text().splitlines():
            name, value = line.split()
            total += int(value) if name in _COUNTERS_6 else 0
    return total


if __name__ == "__main__":
    main(sys.argv[1:])
