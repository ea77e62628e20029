"""Patch points of the e2b-code-interpreter distribution (2.4.0 and newer)."""

from __future__ import annotations

from typing import Any

from kruise_autopatch import protocol
from kruise_autopatch.patches import carried
from kruise_autopatch.patches.engine import PatchPoint


def _jupyter_url(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> str:
    # Up to 2.10.3 the SDK writes https:// before get_host(); since then it asks
    # ConnectionConfig.get_sandbox_url, whose answer is right already.
    url: str = wrapped(*args, **kwargs)
    config = instance.connection_config
    route = carried.of(config)
    if route is None or url == carried.sandbox_url(config):
        return url
    return protocol.with_scheme(carried.checked(url, route, instance.sandbox_domain), route.scheme)


POINTS = (
    PatchPoint("e2b_code_interpreter.code_interpreter_sync", "Sandbox._jupyter_url", _jupyter_url),
    PatchPoint(
        "e2b_code_interpreter.code_interpreter_async", "AsyncSandbox._jupyter_url", _jupyter_url
    ),
)
