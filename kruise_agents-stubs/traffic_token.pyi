from kruise_autopatch.errors import TrafficAccessTokenError, TrafficAccessTokenExpired

__all__ = ["TrafficAccessTokenError", "TrafficAccessTokenExpired"]
