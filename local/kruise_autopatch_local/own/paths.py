"""Where this server's own routes are, and which requests are for them."""

from __future__ import annotations

from starlette.datastructures import Headers

from ..data_plane.destinations import names_a_sandbox

# Nothing that an SDK asks for begins so: all of that is below `/kruise`, if it is not native. And
# the page's cookie is for this path alone, so that no sandbox is ever sent it.
OWN = "/local/"
_NATIVE_HOST = "api."


def is_native_api(headers: Headers) -> bool:
    return headers.get("host", "").lower().startswith(_NATIVE_HOST)


def is_own(path: str, headers: Headers) -> bool:
    """Whether neither the API nor a port of a sandbox is meant, which may have such paths too."""
    # A program that asks for the root is told what the real server tells it.
    by_a_browser = "text/html" in headers.get("accept", "")
    ours = path.startswith(OWN) or (path == "/" and by_a_browser)
    return ours and not is_native_api(headers) and not names_a_sandbox(headers)
