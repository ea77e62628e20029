"""What the server can be told: one table, for the command line, `LocalManager` and the docs.

Only the standard library is needed here.
"""

from __future__ import annotations

import argparse
import ipaddress
import os
from collections.abc import Sequence
from dataclasses import Field, dataclass, field, fields
from typing import Any, Callable

_A_HUNDRED_YEARS = 100 * 365 * 24 * 3600.0


def _option(
    default: Any,
    text: str = argparse.SUPPRESS,
    read: Callable[[str], Any] = str,
    *,
    flag: str | None = None,
    value: str | None = None,
) -> Any:
    """A row of the table: its default, what `--help` and the docs say, and how it is read.

    The flag is made from the field's name if it is not given, and so is the name of its value.
    """
    return field(
        default=default, metadata={"help": text, "type": read, "flag": flag, "value": value}
    )


def _loopback(host: str) -> str:
    try:
        address = ipaddress.ip_address("127.0.0.1" if host == "localhost" else host.strip("[]"))
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{host}' is not an IP address") from None
    if not address.is_loopback:
        raise argparse.ArgumentTypeError(
            f"'{host}' is not a loopback address. The local sandbox-manager runs any code that "
            "it is sent, as you and without isolation, so it listens to this machine only; "
            "use 127.0.0.1 or ::1"
        )
    return str(address)


def _port(port: str) -> int:
    if port.isdecimal() and int(port) < 65536:
        return int(port)
    raise argparse.ArgumentTypeError(f"'{port}' is not a port (0 to 65535)")


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if 0.0 < seconds <= 1e10:
        return seconds
    raise argparse.ArgumentTypeError(f"'{text}' is not a number of seconds above 0")


def _count(text: str) -> int:
    if text.isdecimal() and int(text) <= 1000:
        return int(text)
    raise argparse.ArgumentTypeError(f"'{text}' is not a number from 0 to 1000")


def _contents(text: str) -> tuple[str, ...]:
    contents = tuple(text.split(","))
    if contents in (("filesystem",), ("filesystem", "memory")):
        return contents
    raise argparse.ArgumentTypeError(f"'{text}' is not filesystem or filesystem,memory")


def _one_of(*choices: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text in choices:
            return text
        raise argparse.ArgumentTypeError(f"'{text}' is none of {', '.join(choices)}")

    return read


def _file(path: str) -> str:
    if not os.path.isfile(path):
        raise argparse.ArgumentTypeError(f"there is no file '{path}'")
    return path


@dataclass(frozen=True)
class Options:
    """What the command line decides; every field is an option of it."""

    host: str = _option("127.0.0.1", "a loopback address; default %(default)s", _loopback)
    port: int = _option(0, "0, the default, takes a free one", _port)
    api_key: str | None = _option(
        None,
        "accepted raw and encoded; better set KRUISE_LOCAL_API_KEY, which other users cannot see;"
        " default: a new one at each start",
    )
    templates: Sequence[str] = _option(
        (),
        "one more template, besides base, code-interpreter, code-interpreter-v1, desktop; may be"
        " repeated",
        flag="--template",
        value="NAME",
    )
    e2b_domain: str | None = _option(
        None,
        "always reply this domain, as older servers do; else the request's Host",
        value="DOMAIN",
    )
    certfile: str | None = _option(None, "serve https with this certificate", _file, value="FILE")
    keyfile: str | None = _option(
        None, "its key, if it is not in the certfile", _file, value="FILE"
    )
    request_log: str | None = _option(
        None,
        "append one JSON line for each request; keys and tokens appear as <set>",
        value="FILE",
    )
    token_validity: float = _option(
        _A_HUNDRED_YEARS,
        "of the traffic tokens of protected sandboxes; about a hundred years by default",
        _seconds,
        value="SECONDS",
    )
    isolation: str = _option(
        "auto",
        "give sandboxes namespaces of their own: where possible (auto, the default), or else do"
        " not start (namespaces), or never (none)",
        _one_of("auto", "namespaces", "none"),
        value="auto|namespaces|none",
    )
    warm: int = _option(0, "keep so many sandboxes ready, as a SandboxSet does", _count, value="N")
    persistent_contents: Sequence[str] = _option(
        (),
        "what a paused sandbox keeps, as a SandboxSet declares it: filesystem, or"
        " filesystem,memory; default: nothing",
        _contents,
        value="WHAT",
    )
    gateway: str = _option(
        "jwt",
        "the token that the data plane demands: that of protected sandboxes (jwt, the default), or"
        " the sandbox's own on every request (uuid), as Helm's default does",
        _one_of("jwt", "uuid"),
        value="jwt|uuid",
    )
    newer: bool = _option(
        False, "also fork, refreshes and /kruise/api/health, as servers since September 2026"
    )
    # For tests: seconds that an expired token still passes; and a file that, while it exists,
    # holds the answer to every request for a token.
    token_leeway: float = _option(0.0, read=_seconds)
    token_outage: str | None = _option(None)
    # For LocalManager: the server ends with the process that started it.
    exit_with_stdin: bool = _option(False)

    def arguments(self) -> list[str]:
        """The command line that says the same."""
        found = []
        for option in fields(self):
            value, flag = getattr(self, option.name), _flag(option)
            if value is True:
                found.append(flag)
            elif option.metadata["type"] is _contents:
                found += [f"{flag}={','.join(value)}"] if value else []
            elif isinstance(option.default, tuple):
                found += [f"{flag}={each}" for each in value]
            elif value != option.default:
                found.append(f"{flag}={value}")
        return found


def read(arguments: Sequence[str] | None) -> Options:
    """What a command line says; it ends the program if that is wrong."""
    found = vars(parser().parse_args(arguments))
    return Options(**{**found, "templates": tuple(found["templates"])})


def parser() -> argparse.ArgumentParser:
    """The parser of the command line."""
    made = argparse.ArgumentParser(
        prog="kruise-autopatch-local",
        description="A local sandbox-manager that speaks OpenKruise Agents' private E2B "
        "protocol. It keeps sandboxes apart where it can, but is no boundary against hostile code.",
    )
    for option in fields(Options):
        about, how = option.metadata, dict[str, Any]()
        if isinstance(option.default, bool):
            how = {"action": "store_true"}
        elif about["type"] is str and isinstance(option.default, tuple):
            how = {"action": "append", "default": [], "metavar": about["value"]}
        else:
            how = {"type": about["type"], "default": option.default, "metavar": about["value"]}
        made.add_argument(_flag(option), dest=option.name, help=about["help"], **how)
    return made


def _flag(option: Field[Any]) -> str:
    return option.metadata["flag"] or f"--{option.name.replace('_', '-')}"
