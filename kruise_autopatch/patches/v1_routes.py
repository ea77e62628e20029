"""The v2 routes of e2b 2.51.0 and newer, which OpenKruise does not have: v1 in their place."""

from __future__ import annotations

from typing import Any

import kruise_autopatch.log as log
import kruise_autopatch.patches.carried as carried
import kruise_autopatch.protocol as protocol
from kruise_autopatch.patches.engine import ObjectProxy, PatchPoint

_ENDPOINTS = "e2b.api.client.api.sandboxes"


class _HttpClient(ObjectProxy):  # type: ignore[type-arg]
    """An ``httpx`` client, sync or async, that speaks the v1 routes."""

    def request(self, **request: Any) -> Any:
        return self.__wrapped__.request(**protocol.v1_request(request))


class _ApiClient(ObjectProxy):  # type: ignore[type-arg]
    """The SDK's API client, handing out HTTP clients that speak the v1 routes."""

    def get_httpx_client(self) -> _HttpClient:
        return _HttpClient(self.__wrapped__.get_httpx_client())

    def get_async_httpx_client(self) -> _HttpClient:
        return _HttpClient(self.__wrapped__.get_async_httpx_client())


def _speak_v1(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    client = kwargs["client"]
    if carried.is_openkruises_client(client):
        log.decided("v2 routes", client._base_url, "the v1 routes, which every OpenKruise has")
        kwargs = {**kwargs, "client": _ApiClient(client)}
    return wrapped(*args, **kwargs)


POINTS = tuple(
    PatchPoint(f"{_ENDPOINTS}.{endpoint}", function, _speak_v1, ("client", "body"), "module")
    for endpoint in ("post_v2_sandboxes", "post_v_2_sandboxes_sandbox_id_connect")
    for function in ("sync_detailed", "asyncio_detailed")
)
