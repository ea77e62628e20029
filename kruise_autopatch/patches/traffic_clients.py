"""The SDK's HTTP and RPC clients, made to ask the keeper of a traffic token at each request.

Loaded when the first sandbox with a keeper is built. Clients stay so when the patches are undone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import Any
from urllib.parse import urlsplit

from kruise_autopatch.patches.carried import KEEPER, keeper_of

HEADER = "e2b-traffic-access-token"

# --- REST: files, health and Jupyter, all on httpx -----------------------------------------------


def http_clients(sandbox: Any) -> Iterator[Any]:
    """Every ``httpx`` client of a new sandbox and its modules, once."""
    import httpx

    found = {}
    for holder in (sandbox, *vars(sandbox).values()):
        for value in getattr(holder, "__dict__", {}).values():
            if isinstance(value, (httpx.Client, httpx.AsyncClient)):
                found[id(value)] = value
    yield from found.values()


def attend(keeper: Any, *clients: Any, below: str | None = None) -> None:
    """Let ``httpx`` clients of a sandbox ask the keeper before each request.

    :param below: the URL that concerns the sandbox, for clients without a base URL
    """
    import httpx

    hooks: dict[str, _Hook] = {}
    for client in clients:
        base = below or str(client.base_url)
        if base not in hooks:
            kind = _AsyncHook if isinstance(client, httpx.AsyncClient) else _SyncHook
            hooks[base] = kind(keeper, base)
        client.event_hooks["request"].append(hooks[base])


class _Hook:
    __slots__ = ("_host", "_keeper", "_path")

    def __init__(self, keeper: Any, base: str) -> None:
        parts = urlsplit(base)
        self._keeper = keeper
        self._host = parts.netloc.rpartition("@")[2].lower().encode()
        self._path = parts.path.rstrip("/").encode()

    def _concerns(self, url: Any) -> bool:
        # A redirect, should anybody follow it, may lead elsewhere.
        below = url.raw_path[len(self._path) :]
        return bool(
            url.netloc == self._host
            and url.raw_path.startswith(self._path)
            and below[:1] in (b"", b"/", b"?")
        )


class _SyncHook(_Hook):
    __slots__ = ()

    def __call__(self, request: Any) -> None:
        if self._concerns(request.url):
            token = self._keeper.token()
            if token is not None:
                request.headers[HEADER] = token
        else:
            request.headers.pop(HEADER, None)


class _AsyncHook(_Hook):
    __slots__ = ()

    async def __call__(self, request: Any) -> None:
        if self._concerns(request.url):
            token = await self._keeper.token()
            if token is not None:
                request.headers[HEADER] = token
        else:
            request.headers.pop(HEADER, None)


# --- RPC: e2b_connect up to 2.34, connectrpc from 2.35 -------------------------------------------


class Headers(dict):  # type: ignore[type-arg]
    """The headers of a sandbox' clients, and the keeper that adds the token to each request."""

    __slots__ = (KEEPER,)

    @classmethod
    def kept(cls, native: Any, keeper: Any) -> Headers:
        headers = cls(native)
        setattr(headers, KEEPER, keeper)
        return headers


@cache
def attending(native: Any) -> type:
    """The subclass of an RPC class of the SDK whose instances ask their keeper."""
    if not hasattr(native, "intercept_unary"):
        return type(native.__name__, (_ConnectClient, native), {})
    bases: tuple[type, ...] = (_Interceptor, native)
    if hasattr(native, "intercept_client_stream"):
        bases = (_ClientStreamInterceptor, *bases)
    return type(native.__name__, bases, {})


class _ConnectClient:
    """Of ``e2b_connect``: one client for each procedure."""

    def _prepare_unary_request(self, *args: Any, **kwargs: Any) -> Any:
        return self._with_token(super()._prepare_unary_request(*args, **kwargs))  # type: ignore[misc]

    def _prepare_server_stream_request(self, *args: Any, **kwargs: Any) -> Any:
        return self._with_token(super()._prepare_server_stream_request(*args, **kwargs))  # type: ignore[misc]

    def _with_token(self, request: Any) -> Any:
        token = keeper_of(self).current
        if token is not None:
            request["headers"][HEADER] = token
        return request

    def call_unary(self, *args: Any, **kwargs: Any) -> Any:
        keeper_of(self).token()
        return super().call_unary(*args, **kwargs)  # type: ignore[misc]

    def call_server_stream(self, *args: Any, **kwargs: Any) -> Any:
        keeper_of(self).token()
        return super().call_server_stream(*args, **kwargs)  # type: ignore[misc]

    async def acall_unary(self, *args: Any, **kwargs: Any) -> Any:
        await keeper_of(self).token()
        return await super().acall_unary(*args, **kwargs)  # type: ignore[misc]

    def acall_server_stream(self, *args: Any, **kwargs: Any) -> Any:
        return _stream(keeper_of(self), partial(super().acall_server_stream, *args, **kwargs))  # type: ignore[misc]


class _Interceptor:
    """Of ``connectrpc``: adds headers to the context of a call."""

    def intercept_unary_sync(self, call_next: Any, request: Any, ctx: Any) -> Any:
        _add(ctx, keeper_of(self).token())
        return super().intercept_unary_sync(call_next, request, ctx)  # type: ignore[misc]

    def intercept_server_stream_sync(self, call_next: Any, request: Any, ctx: Any) -> Any:
        _add(ctx, keeper_of(self).token())
        return super().intercept_server_stream_sync(call_next, request, ctx)  # type: ignore[misc]

    async def intercept_unary(self, call_next: Any, request: Any, ctx: Any) -> Any:
        _add(ctx, await keeper_of(self).token())
        return await super().intercept_unary(call_next, request, ctx)  # type: ignore[misc]

    def intercept_server_stream(self, call_next: Any, request: Any, ctx: Any) -> Any:
        keeper, native = keeper_of(self), super().intercept_server_stream  # type: ignore[misc]

        def begin() -> Any:
            _add(ctx, keeper.current)
            return native(call_next, request, ctx)

        return _stream(keeper, begin)


class _ClientStreamInterceptor:
    """The same for streams of the client, which newer releases have."""

    def intercept_client_stream_sync(self, call_next: Any, request: Any, ctx: Any) -> Any:
        _add(ctx, keeper_of(self).token())
        return super().intercept_client_stream_sync(call_next, request, ctx)  # type: ignore[misc]

    async def intercept_client_stream(self, call_next: Any, request: Any, ctx: Any) -> Any:
        _add(ctx, await keeper_of(self).token())
        return await super().intercept_client_stream(call_next, request, ctx)  # type: ignore[misc]


def _add(ctx: Any, token: str | None) -> None:
    if token is not None:
        ctx.request_headers[HEADER] = token


def _stream(keeper: Any, begin: Callable[[], Any]) -> Any:
    """Begin a stream at once if the token allows it, else when it is first read."""
    return begin() if keeper.settled else _stream_after_renewal(keeper, begin)


async def _stream_after_renewal(keeper: Any, begin: Callable[[], Any]) -> Any:
    await keeper.token()
    stream = begin()
    try:
        async for message in stream:
            yield message
    finally:
        # Closing this one closes the SDK's, which ends the request.
        await stream.aclose()
