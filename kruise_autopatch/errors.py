"""The errors of this package. Each message says what was wrong, what was found, what to do."""


class KruiseAutopatchError(Exception):
    """Base of every error that this package raises."""

    def __init__(self, problem: str, advice: str = "") -> None:
        super().__init__(f"{problem}; {advice}" if advice else problem)
        self.problem = problem
        self.advice = advice


class ConfigurationError(KruiseAutopatchError, ValueError):
    """An environment variable or an argument cannot be used as it is written."""


class IncompatibleSDKError(KruiseAutopatchError, ImportError):
    """The installed SDK lacks something that must be patched: it was not imported."""


class UnpatchedClientError(KruiseAutopatchError):
    """A client of the SDK was built past the patches: its route is unknown, nothing was sent."""


class BrokenInstallationError(KruiseAutopatchError, ImportError):
    """Something that this package needs is missing or damaged."""


class TrafficAccessTokenError(KruiseAutopatchError):
    """There is no traffic access token, so the request was not sent."""


class TrafficAccessTokenExpired(TrafficAccessTokenError):
    """The traffic access token has expired and could not be renewed: the request was not sent."""
