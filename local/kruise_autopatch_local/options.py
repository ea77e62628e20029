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


def _file(path: str) -> str:
    if not os.path.isfile(path):
        raise argparse.ArgumentTypeError(f"there is no file '{path}'")
    return path


@dataclass(frozen=True)
class Options:
    """What the command line decides; every field is an option of it."""

    host: str = _option("127.0.0.1", "a loopback address; default %(default)s", _loopback)
    port: int = _option(0, "0, the default, takes a free one", _port)
    api_key: str = _option("some-api-key", "default %(default)s; accepted raw and encoded")
    templates: Sequence[str] = _option(
        (),
        "one more template, besides base, code-interpreter-v1, desktop; may be repeated",
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
        "protocol. It isolates nothing: sandboxes are directories and processes of yours.",
    )
    for option in fields(Options):
        about, how = option.metadata, dict[str, Any]()
        if isinstance(option.default, bool):
            how = {"action": "store_true"}
        elif isinstance(option.default, tuple):
            how = {"action": "append", "default": [], "metavar": about["value"]}
        else:
            how = {"type": about["type"], "default": option.default, "metavar": about["value"]}
        made.add_argument(_flag(option), dest=option.name, help=about["help"], **how)
    return made


def _flag(option: Field[Any]) -> str:
    return option.metadata["flag"] or f"--{option.name.replace('_', '-')}"
