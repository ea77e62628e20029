"""``from kruise_agents.traffic_token import TrafficAccessTokenExpired``."""

from kruise_autopatch.errors import TrafficAccessTokenError, TrafficAccessTokenExpired

__all__ = ["TrafficAccessTokenError", "TrafficAccessTokenExpired"]
