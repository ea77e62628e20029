"""The errors of this package. Each message says what was wrong, what was found, what to do."""


class KruiseAutopatchError(Exception):
    """Base of every error that this package raises."""


class ConfigurationError(KruiseAutopatchError, ValueError):
    """An environment variable or an argument cannot be used as it is written."""


class IncompatibleSDKError(KruiseAutopatchError, ImportError):
    """The installed SDK lacks something that must be patched: it was not imported."""
