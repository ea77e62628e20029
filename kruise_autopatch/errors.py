"""The errors of this package: what was wrong and what was found, then what to do about it."""

from __future__ import annotations

from typing import Any


class KruiseAutopatchError(Exception):
    """Base of every error that this package raises.

    :ivar problem: what was wrong, without a full stop
    :ivar advice: what to do, one sentence or more; ``None`` if there is nothing to be done
    """

    def __init__(self, problem: str, advice: str | None = None, **details: Any) -> None:
        """
        :param advice: read as a clause after ``problem``, or, with a capital, as a sentence
        :param details: what a second base takes, such as the ``name`` of an ``ImportError``
        """
        self.problem = problem
        self.advice = advice
        super().__init__(_in_one(problem, advice), **details)

    def __reduce__(self) -> tuple[Any, ...]:
        reduced = super().__reduce__()
        assert isinstance(reduced, tuple)
        return (reduced[0], (self.problem, self.advice), *reduced[2:])


class ConfigurationError(KruiseAutopatchError, ValueError):
    """An environment variable or an argument cannot be used as it is written."""


class SandboxAddressError(KruiseAutopatchError, ValueError):
    """A sandbox's id or a port cannot be part of a private URL."""


class CannotPatchError(KruiseAutopatchError, ImportError):
    """The SDK cannot be patched here: it was not imported, or the client was not built."""


class IncompatibleSDKError(CannotPatchError):
    """The installed SDK lacks something that must be patched: it was not imported."""


class UnpatchedClientError(KruiseAutopatchError):
    """A client of the SDK was built past the patches: its route is unknown, nothing was sent."""


class IncompatibleSDKWarning(RuntimeWarning):
    """As :class:`IncompatibleSDKError`, where the user wants no error (``KRUISE_E2B_STRICT=0``)."""

    def __init__(self, problem: str, advice: str) -> None:
        self.problem = problem
        self.advice = advice
        super().__init__(f"kruise-autopatch: {problem}.")


class TrafficAccessTokenError(KruiseAutopatchError):
    """There is no traffic access token, so the request was not sent."""


class TrafficAccessTokenExpired(TrafficAccessTokenError):
    """The traffic access token has expired and could not be renewed: the request was not sent."""


def _in_one(problem: str, advice: str | None) -> str:
    if advice is None:
        return f"{problem}."
    return f"{problem}{'. ' if advice[:1].isupper() else '; '}{advice}"
