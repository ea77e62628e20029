"""What was patched, and where URLs lead, by the standard ``logging`` module.

Silent by default: the ``kruise_autopatch`` logger writes nowhere, unless the application has
configured logging for these levels or ``KRUISE_E2B_LOG`` asks for standard error.
"""

from __future__ import annotations

import logging

import kruise_autopatch.versions as versions
from kruise_autopatch.patches.engine import States

logger = logging.getLogger("kruise_autopatch")

_HANDLER = "kruise_autopatch"

# More than any program has different decisions, unless it makes up a domain for each client.
_MANY = 1000
_said: set[str] = set()


def configure(level: str | None) -> None:
    """Write to standard error from ``info`` or ``debug`` on; ``None`` changes nothing."""
    if level is None:
        return
    logger.setLevel(level.upper())
    # The application's handlers may write to standard error, too.
    logger.propagate = False
    if not any(handler.name == _HANDLER for handler in logger.handlers):
        handler = logging.StreamHandler()
        handler.name = _HANDLER
        handler.setFormatter(logging.Formatter("kruise-autopatch: %(message)s"))
        logger.addHandler(handler)


def patched(package: str, states: States) -> None:
    """Say what became of a package of the SDK."""
    if not logger.isEnabledFor(logging.INFO):
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


def decided(what: str, url: str, reason: str) -> None:
    """Say where a client's URLs lead, and why; once for each distinct decision."""
    if not logger.isEnabledFor(logging.DEBUG):
        return
    from kruise_autopatch.protocol.written import USER_INFORMATION

    text = f"{what}: {USER_INFORMATION.sub('', url)} ({reason})"
    if text not in _said and len(_said) < _MANY:
        _said.add(text)
        logger.debug("%s", text)
