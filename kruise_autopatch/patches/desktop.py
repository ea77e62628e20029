"""Patch points of the e2b-desktop distribution: the URL of the desktop's noVNC stream."""

from __future__ import annotations

from typing import Any

from kruise_autopatch import protocol
from kruise_autopatch.patches import carried
from kruise_autopatch.patches.engine import PatchPoint, bind


def _init_vnc_server(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> None:
    wrapped(*args, **kwargs)
    desktop = bind(wrapped, instance, args, kwargs)["desktop"]
    carried.attach(instance, carried.any_of(desktop.connection_config))


def _get_url(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> str:
    # The SDK writes https:// before get_host() and knows nothing of noVNC's websocket path.
    url: str = wrapped(*args, **kwargs)
    route = carried.of(instance)
    if route is None:
        return url
    return protocol.with_websocket_path(protocol.with_scheme(url, route.scheme))


POINTS = (
    PatchPoint("e2b_desktop.main", "_VNCServer.__init__", _init_vnc_server, ("desktop",)),
    PatchPoint("e2b_desktop.main", "_VNCServer.get_url", _get_url),
)
