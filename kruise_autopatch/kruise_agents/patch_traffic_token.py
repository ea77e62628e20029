"""``from kruise_agents.patch_traffic_token import patch_traffic_access_token``."""

from kruise_autopatch import ConfigurationError, status

__all__ = ["patch_traffic_access_token"]


def patch_traffic_access_token() -> None:
    """Nothing is left to do: on the private protocol, traffic tokens are sent and renewed.

    :raises ConfigurationError: the private protocol is off, so they are not
    """
    if not status().enabled:
        raise ConfigurationError(
            "patch_traffic_access_token() was called, but the private protocol is off, and traffic"
            " tokens are renewed on it alone",
            "call patch_e2b() first, or set KRUISE_E2B_PATCH=1.",
        )
