"""Patch points of e2b's transports: each sandbox has connections of its own, as natively.

Natively each port of a sandbox is a host, and every HTTP library keeps connections by host. On the
private protocol all of them, and the API, are one host. Over HTTP/2 they would share a connection,
on which servers allow some 100 streams: then everything waits, a ``kill()`` too. From 2.56.0 on
they would share the 200 connections that the SDK opens to one address.

Where transports are built in an SDK release is found by what it has. What stands in for them is
loaded when the first one is built.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from kruise_autopatch.patches.engine import PatchPoint

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kruise_autopatch.patches.engine import Wrapper

# The SDK's own variable, which it reads when it is imported.
_LIMIT_VARIABLE = "E2B_MAX_CONNECTIONS"
_LIMIT = "max_connections_per_address"

_SPREADING = "BalancingTransport"


# --- httpx and httpcore: everything to 2.34.0, REST to 2.37.1 -----------------------------------


def _init_httpx(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> None:
    wrapped(*args, **kwargs)
    # HTTP/1.1, all that releases before 2.21.0 speak, has a connection for each request anyway.
    if kwargs.get("http2"):
        from kruise_autopatch.patches.sandbox_origins import separate

        separate(instance.pool)


# --- pyqwest: RPC from 2.35.0 on, everything from 2.38.0 on -------------------------------------


def _pyqwest(module: str, kind: str) -> Wrapper:
    """Wrap the class of ``module`` that its transports are instances of."""

    def build(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        native = wrapped(*args, **kwargs)
        if hasattr(sys.modules[module], _SPREADING):
            # Inside one of 2.52.0 to 2.55.1, which is the one to replace.
            return native
        widened = dict(kwargs)
        if _LIMIT in kwargs and not os.environ.get(_LIMIT_VARIABLE):
            widened[_LIMIT] = None
        from kruise_autopatch.patches import sandbox_transports

        return getattr(sandbox_transports, kind)(
            native,
            lambda: wrapped(*args, **widened),
            # None leaves it to the server.
            http2=kwargs.get("http_version") is None,
            limited=widened != kwargs,
        )

    return build


def _spreading(kind: str) -> Wrapper:
    def build(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        from kruise_autopatch.patches import sandbox_transports

        native = wrapped(*args, **kwargs)
        return getattr(sandbox_transports, kind)(native, lambda: wrapped(*args, **kwargs))

    return build


def _points_of(flavour: str, httpx: str, pyqwest: str, kind: str) -> Sequence[PatchPoint]:
    api, envd = f"e2b.api.client_{flavour}", f"e2b.envd.client_{flavour}"
    return (
        PatchPoint(api, f"{httpx}.__init__", _init_httpx, instead=(pyqwest,)),
        PatchPoint(api, pyqwest, _pyqwest(api, kind), instead=(httpx,)),
        # 2.35.0 to 2.37.1; later ones take the transports of the other module.
        PatchPoint(
            envd,
            pyqwest,
            _pyqwest(envd, kind),
            may_lack="module",
            instead=("retrying_http_transport", "get_pyqwest_transport"),
        ),
        PatchPoint(api, _SPREADING, _spreading(kind), may_lack="attribute"),
    )


POINTS = (
    *_points_of("sync", "TransportWithLogger", "SyncHTTPTransport", "SyncTransport"),
    *_points_of("async", "AsyncTransportWithLogger", "HTTPTransport", "AsyncTransport"),
)
