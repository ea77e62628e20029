"""What was patched, and where URLs lead, by the standard ``logging`` module.

Silent by default: the ``kruise_autopatch`` logger writes nowhere, unless the application has
configured logging for these levels or ``KRUISE_E2B_LOG`` asks for standard error.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TextIO

import kruise_autopatch.protocol as protocol
import kruise_autopatch.versions as versions

logger = logging.getLogger("kruise_autopatch")

_HANDLER = "kruise_autopatch"

# What becomes of a request that is sent as it is.
UNSERVED = "a 404 or 405 means that this OpenKruise has no such route"

# More than any program has different decisions, unless it makes up a domain for each client.
_MANY = 1000
_said: set[str] = set()


if TYPE_CHECKING:
    _StreamHandler = logging.StreamHandler[TextIO]
else:
    # It takes no type before Python 3.11.
    _StreamHandler = logging.StreamHandler


class _Handler(_StreamHandler):
    """Writes to the ``sys.stderr`` of the moment: the one of before may have been closed."""

    def __init__(self) -> None:
        super().__init__(sys.stderr)
        self.name = _HANDLER
        self.setFormatter(logging.Formatter("kruise-autopatch: %(message)s"))

    @property
    def stream(self) -> TextIO:
        return sys.stderr

    @stream.setter
    def stream(self, stream: TextIO) -> None:
        # What the base class is given is not kept.
        pass


# What KRUISE_E2B_LOG asks for, in logging's numbers.
_asked: int | None = None


def configure(level: str | None) -> None:
    """Write to standard error from ``info`` or ``debug`` on; ``None`` changes nothing."""
    global _asked
    if level is not None:
        _asked = logging.DEBUG if level == "debug" else logging.INFO
        _set_up()


def _set_up() -> None:
    """As was asked for, also after logging.config has disabled the loggers that it found."""
    assert _asked is not None
    logger.disabled = False
    logger.setLevel(_asked)
    # The application's handlers may write to standard error, too.
    logger.propagate = False
    if not any(handler.name == _HANDLER for handler in logger.handlers):
        logger.addHandler(_Handler())


def _says(level: int) -> bool:
    if _asked is not None and (logger.disabled or not logger.handlers):
        _set_up()
    return logger.isEnabledFor(level)


def patched(package: str, states: Mapping[str, str]) -> None:
    """Say what became of a package of the SDK."""
    if not _says(logging.INFO):
        return
    version = versions.of_e2b() if package == "e2b" else versions.installed(package)
    release = f"{package} {version or '(version unknown)'}"
    found = list(states.values())
    applied, absent = found.count("applied"), found.count("absent")
    logger.info(
        "%s is patched: %d patch points applied, %d not in this release", release, applied, absent
    )
    if versions.is_newer_than_proved(package, version):
        logger.info(
            "%s is newer than %s, the newest that is proved, but has all patch points",
            release,
            versions.NEWEST_PROVED[package],
        )
    for point, state in states.items():
        logger.debug("%s: %s", point, state)


def unserved(route: str) -> None:
    """Say that the SDK asks OpenKruise for a route that it is not known to have."""
    if _says(logging.INFO):
        logger.info("%s is sent as it is: %s", route, UNSERVED)


def decided(what: str, url: str, reason: Callable[[], str]) -> None:
    """Say where a client's URLs lead, and why; once for each distinct decision."""
    if not _says(logging.DEBUG):
        return
    text = f"{what}: {protocol.without_secrets(url)} ({reason()})"
    if text not in _said and len(_said) < _MANY:
        _said.add(text)
        logger.debug("%s", text)
