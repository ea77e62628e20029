"""Routes that newer SDKs ask for: as v1 where OpenKruise has that, else as they are, and named."""

from __future__ import annotations

from typing import Any

import kruise_autopatch.log as log
import kruise_autopatch.patches.carried as carried
from kruise_autopatch.patches.engine import ObjectProxy, PatchPoint

# The routes that were sent as they are, each once.
_unserved: dict[str, None] = {}
# More than any SDK has.
_MANY = 100


def unserved() -> tuple[str, ...]:
    """What was asked of OpenKruise in this process that it is not known to have."""
    return tuple(_unserved)


class _HttpClient(ObjectProxy):  # type: ignore[type-arg]
    """An ``httpx`` client, sync or async, that asks OpenKruise."""

    def request(self, method: Any, url: Any, **options: Any) -> Any:
        # Loaded with the first request.
        from kruise_autopatch.protocol.routes import served

        asked = served({"method": method, "url": url, **options})
        route = asked.unserved
        if route is not None and route not in _unserved and len(_unserved) < _MANY:
            _unserved[route] = None
            log.unserved(route)
        return self.__wrapped__.request(**asked.request)


def _get_client(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    client = wrapped(*args, **kwargs)
    return _HttpClient(client) if carried.is_openkruises_client(instance) else client


POINTS = tuple(
    PatchPoint("e2b.api.client.client", f"AuthenticatedClient.{method}", _get_client)
    for method in ("get_httpx_client", "get_async_httpx_client")
)
