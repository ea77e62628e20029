"""The SDK's RPC clients of a sandbox, made to send its traffic token.

They are those of ``e2b_connect`` up to 2.34, of ``connectrpc`` from 2.35. Loaded when the first
sandbox with a token is built. Clients stay so when the patches are undone.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any

from kruise_autopatch.patches.carried import KEEPER, keeper_of
from kruise_autopatch.protocol.headers import TRAFFIC_TOKEN


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
            request["headers"][TRAFFIC_TOKEN] = token
        return request

    def call_unary(self, *args: Any, **kwargs: Any) -> Any:
        _token(keeper_of(self), kwargs.get("request_timeout"))
        return super().call_unary(*args, **kwargs)  # type: ignore[misc]

    def call_server_stream(self, *args: Any, **kwargs: Any) -> Any:
        _token(keeper_of(self), kwargs.get("request_timeout"))
        return super().call_server_stream(*args, **kwargs)  # type: ignore[misc]

    async def acall_unary(self, *args: Any, **kwargs: Any) -> Any:
        await _atoken(keeper_of(self), kwargs.get("request_timeout"))
        return await super().acall_unary(*args, **kwargs)  # type: ignore[misc]

    def acall_server_stream(self, *args: Any, **kwargs: Any) -> Any:
        begin = partial(super().acall_server_stream, *args, **kwargs)  # type: ignore[misc]
        return _stream(keeper_of(self), kwargs.get("request_timeout"), begin)


class _Interceptor:
    """Of ``connectrpc``: adds headers to the context of a call."""

    def intercept_unary_sync(self, call_next: Any, request: Any, ctx: Any) -> Any:
        _add(ctx, _token(keeper_of(self), _left(ctx)))
        return super().intercept_unary_sync(call_next, request, ctx)  # type: ignore[misc]

    def intercept_server_stream_sync(self, call_next: Any, request: Any, ctx: Any) -> Any:
        _add(ctx, _token(keeper_of(self), _left(ctx)))
        return super().intercept_server_stream_sync(call_next, request, ctx)  # type: ignore[misc]

    async def intercept_unary(self, call_next: Any, request: Any, ctx: Any) -> Any:
        _add(ctx, await _atoken(keeper_of(self), _left(ctx)))
        return await super().intercept_unary(call_next, request, ctx)  # type: ignore[misc]

    def intercept_server_stream(self, call_next: Any, request: Any, ctx: Any) -> Any:
        keeper, native = keeper_of(self), super().intercept_server_stream  # type: ignore[misc]

        def begin() -> Any:
            _add(ctx, keeper.current)
            return native(call_next, request, ctx)

        return _stream(keeper, _left(ctx), begin)


class _ClientStreamInterceptor:
    """The same for streams of the client, which newer releases have."""

    def intercept_client_stream_sync(self, call_next: Any, request: Any, ctx: Any) -> Any:
        _add(ctx, _token(keeper_of(self), _left(ctx)))
        return super().intercept_client_stream_sync(call_next, request, ctx)  # type: ignore[misc]

    async def intercept_client_stream(self, call_next: Any, request: Any, ctx: Any) -> Any:
        _add(ctx, await _atoken(keeper_of(self), _left(ctx)))
        return await super().intercept_client_stream(call_next, request, ctx)  # type: ignore[misc]


def _add(ctx: Any, token: str | None) -> None:
    if token is not None:
        ctx.request_headers[TRAFFIC_TOKEN] = token


def _left(ctx: Any) -> float | None:
    """Seconds that are left of the caller's time; ``None`` if he has any amount."""
    milliseconds: float | None = ctx.timeout_ms
    return None if milliseconds is None else milliseconds / 1000


def _token(keeper: Any, timeout: float | None) -> Any:
    return keeper.current if keeper.settled else keeper.token(timeout)


async def _atoken(keeper: Any, timeout: float | None) -> Any:
    return keeper.current if keeper.settled else await keeper.token(timeout)


def _stream(keeper: Any, timeout: float | None, begin: Callable[[], Any]) -> Any:
    """Begin a stream at once if the token allows it, else when it is first read."""
    return begin() if keeper.settled else _stream_after_renewal(keeper, timeout, begin)


async def _stream_after_renewal(
    keeper: Any, timeout: float | None, begin: Callable[[], Any]
) -> Any:
    await keeper.token(timeout)
    stream = begin()
    try:
        async for message in stream:
            yield message
    finally:
        # Closing this one closes the SDK's, which ends the request.
        await stream.aclose()
