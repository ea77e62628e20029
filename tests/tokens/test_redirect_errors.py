"""Errors of the transport that follows no redirect, for e2b 2.35 to 2.37: as the SDK knows them.

`tox -e coverage` runs it with such a release.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Any, Callable

import httpx
import pytest

try:
    from kruise_autopatch.patches.traffic import redirects
except (ImportError, AttributeError):
    pytest.skip("this release needs no such transport", allow_module_level=True)


def pyqwests(name: str) -> Any:
    return getattr(redirects._pyqwest, name)


ERRORS: list[tuple[Exception, Callable[[], Any], str]] = [
    (httpx.ConnectError("refused"), lambda: ConnectionError, "refused"),
    (httpx.ConnectTimeout(""), lambda: ConnectionError, "ConnectTimeout"),
    (httpx.ProxyError("no"), lambda: ConnectionError, "no"),
    (httpx.ReadTimeout("late"), lambda: TimeoutError, "late"),
    (httpx.WriteError("broken"), lambda: pyqwests("WriteError"), "broken"),
    (httpx.ReadError("broken"), lambda: pyqwests("ReadError"), "broken"),
    (ValueError("else"), lambda: ValueError, "else"),
]


@pytest.mark.parametrize(("error", "kind", "text"), ERRORS)
def test_an_error(error: Exception, kind: Callable[[], Any], text: str) -> None:
    translated = redirects._translated(error)
    assert type(translated) is kind()
    assert str(translated) == text


def test_nobody_listens() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/rpc"
        request = pyqwests("SyncRequest")("POST", url, content=b"")
        with pytest.raises(ConnectionError):
            redirects._SyncTransport(None).execute_sync(request)
        asking = pyqwests("Request")("POST", url, content=b"")
        with pytest.raises(ConnectionError):
            asyncio.run(redirects._AsyncTransport(None).execute(asking))


@pytest.mark.parametrize("kind", [httpx.Client, httpx.AsyncClient])
def test_a_proxy_of_the_environment_that_httpx_cannot_use(kind: Any) -> None:
    def without_socks(**options: Any) -> Any:
        if options.get("trust_env", True):
            raise ImportError("Using SOCKS proxy, but the 'socksio' package is not installed")
        return kind(**options)

    assert redirects._client(without_socks, None).trust_env is False
