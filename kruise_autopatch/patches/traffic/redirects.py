"""Transports for RPCs that follow no redirect, for e2b 2.35 to 2.37.

Those releases send RPCs with pyqwest 0.7, whose transport follows redirects, to other hosts too,
with every header, and cannot be told not to. (2.38 brought a pyqwest that can, and e2b tells it.)
So RPCs of private sandboxes go through httpx, as all other requests of these releases do. Over
HTTP/1.1: a stream that is left then ends with its connection, which HTTP/2 of httpx does not do.

Loaded when such a release builds its first RPC client.
"""

from __future__ import annotations

import asyncio
import time
import weakref
from functools import cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from importlib import import_module
from typing import TYPE_CHECKING, Any

import httpx

from kruise_autopatch import protocol

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kruise_autopatch.settings import CurrentSettings

_pyqwest: Any = import_module("pyqwest")
_get_sync_timeout: Any = import_module("pyqwest._pyqwest").get_sync_timeout
_limits: Any = import_module("e2b.api").limits

# Seconds; pyqwest's own.
_CONNECT_TIMEOUT = 30.0


@cache
def sync_transport(proxy: str | None) -> Any:
    return _with_the_sdks_manners("e2b.envd.client_sync", _SyncTransport(proxy))


@cache
def async_transport(proxy: str | None) -> Any:
    return _with_the_sdks_manners("e2b.envd.client_async", _AsyncTransport(proxy))


def _with_the_sdks_manners(module: str, transport: Any) -> Any:
    sdk: Any = import_module(module)
    retries = sdk.connection_retries
    return sdk.PlainHTTPErrorTransport(sdk.ConnectionRetryTransport(transport, max_retries=retries))


class _Guard:
    """The SDK's transport for who is left alone, and one without redirects for all others."""

    def __init__(self, native: Any, direct: Any, settings: CurrentSettings) -> None:
        self._native = native
        self._direct = direct
        self._settings = settings

    def _transport(self, request: Any) -> Any:
        alone = self._settings(None).leaves_alone(protocol.authority_of(request.url))
        return self._native if alone else self._direct


class SyncGuard(_Guard):
    def __init__(self, settings: CurrentSettings, native: Any, proxy_url: str | None) -> None:
        super().__init__(native, sync_transport(proxy_url), settings)

    def execute_sync(self, request: Any) -> Any:
        return self._transport(request).execute_sync(request)


class AsyncGuard(_Guard):
    """The same for tasks."""

    def __init__(self, settings: CurrentSettings, native: Any, proxy_url: str | None) -> None:
        super().__init__(native, async_transport(proxy_url), settings)

    async def execute(self, request: Any) -> Any:
        return await self._transport(request).execute(request)


class _SyncTransport:
    def __init__(self, proxy: str | None) -> None:
        self._client = _client(httpx.Client, proxy)

    def execute_sync(self, request: Any) -> Any:
        timeout = _get_sync_timeout()
        seconds = None if timeout is None else timeout.total_seconds()
        until = None if seconds is None else time.monotonic() + seconds
        try:
            response = self._client.send(_request(request, seconds), stream=True)
        except Exception as error:
            raise _translated(error) from error
        return _response(_pyqwest.SyncResponse, response, _SyncBody(response, until))


class _SyncBody:
    """A body that is read to its end or left with its connection; ``until`` is its deadline.

    httpx knows a time-out for each read alone: a silent server is left when the second of two
    deadlines has passed. The server has been told of the first.
    """

    def __init__(self, response: httpx.Response, until: float | None) -> None:
        self._response = response
        self._chunks = response.iter_raw()
        self._until = until

    def __iter__(self) -> _SyncBody:
        return self

    def __next__(self) -> bytes:
        if self._until is not None and time.monotonic() > self._until:
            self.close()
            raise TimeoutError("Request timed out")
        try:
            return next(self._chunks)
        except httpx.HTTPError as error:
            raise _translated(error) from error

    def close(self) -> None:
        self._response.close()


class _AsyncTransport:
    def __init__(self, proxy: str | None) -> None:
        self._proxy = proxy
        # httpx's connections belong to an event loop.
        self._clients: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, httpx.AsyncClient]
        self._clients = weakref.WeakKeyDictionary()

    async def execute(self, request: Any) -> Any:
        loop = asyncio.get_running_loop()
        client = self._clients.get(loop)
        if client is None:
            client = self._clients[loop] = _client(httpx.AsyncClient, self._proxy)
        try:
            # connectrpc sees to the deadline itself.
            response = await client.send(_request(request, None), stream=True)
        except Exception as error:
            raise _translated(error) from error
        return _response(_pyqwest.Response, response, _AsyncBody(response))


class _AsyncBody:
    def __init__(self, response: httpx.Response) -> None:
        self._response = response
        self._chunks = response.aiter_raw()

    def __aiter__(self) -> _AsyncBody:
        return self

    async def __anext__(self) -> bytes:
        try:
            return await self._chunks.__anext__()
        except httpx.HTTPError as error:
            raise _translated(error) from error

    async def aclose(self) -> None:
        await self._response.aclose()


def _client(kind: Any, proxy: str | None) -> Any:
    options = {
        "proxy": proxy,
        # As many as there are streams, which is how many pyqwest opens.
        "limits": httpx.Limits(
            max_keepalive_connections=_limits.max_keepalive_connections,
            keepalive_expiry=_limits.keepalive_expiry,
        ),
        # pyqwest keeps no cookies.
        "cookies": CookieJar(DefaultCookiePolicy(allowed_domains=())),
    }
    try:
        return kind(**options)
    except ImportError:
        # The environment names a SOCKS proxy, for which httpx needs another package. Then straight
        # on, as these releases send everything but their RPCs, whatever the environment names.
        return kind(**options, trust_env=False)


def _request(request: Any, timeout: float | None) -> httpx.Request:
    timeouts = httpx.Timeout(timeout, connect=min(timeout or _CONNECT_TIMEOUT, _CONNECT_TIMEOUT))
    return httpx.Request(
        request.method,
        request.url,
        headers=list(request.headers.items()),
        content=request.content,
        extensions={"timeout": timeouts.as_dict()},
    )


def _response(kind: Any, response: httpx.Response, body: Iterable[bytes] | Any) -> Any:
    headers = _pyqwest.Headers(response.headers.multi_items())
    return kind(status=response.status_code, headers=headers, content=body)


def _translated(error: Exception) -> Exception:
    """An error of httpx as pyqwest has it: the SDK tells them apart."""
    text = str(error) or type(error).__name__
    if isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError)):
        return ConnectionError(text)
    if isinstance(error, httpx.TimeoutException):
        return TimeoutError(text)
    if isinstance(error, httpx.WriteError):
        return _pyqwest.WriteError(text)  # type: ignore[no-any-return]
    if isinstance(error, httpx.HTTPError):
        return _pyqwest.ReadError(text)  # type: ignore[no-any-return]
    return error
