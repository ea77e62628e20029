"""Connections by sandbox for ``pyqwest``, which keeps them by host: a transport for each sandbox.

A transport takes 10 ms to build, most of it for the system's certificates, so a sandbox has one
only as long as it has requests; then another may have it, and the connection that is open. There
are never more than there were sandboxes with requests at the same time.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import RLock
from typing import Any

import kruise_autopatch.protocol as protocol
from kruise_autopatch.patches.engine import ObjectProxy


class _Lease:
    """A transport, and the sandbox that has it, or had it last."""

    __slots__ = ("requests", "sandbox", "transport")

    def __init__(self, transport: Any) -> None:
        self.transport = transport
        self.sandbox = ""
        self.requests = 0


class Leases:
    """Which transport is whose."""

    def __init__(self, build: Callable[[], Any]) -> None:
        self._build = build
        # A response that is collected gives its lease back, and may be so inside of take().
        self._lock = RLock()
        self._by_sandbox: dict[str, _Lease] = {}
        # Those without requests, the one that waits longest first.
        self._idle: dict[str, _Lease] = {}

    def take(self, sandbox: str) -> _Lease:
        """The transport for a request to ``sandbox``; give it back when the response has ended."""
        with self._lock:
            lease = self._by_sandbox.get(sandbox)
            if lease is None:
                lease = self._another()
                lease.sandbox = sandbox
                self._by_sandbox[sandbox] = lease
            self._idle.pop(sandbox, None)
            lease.requests += 1
            return lease

    def give_back(self, lease: _Lease) -> None:
        with self._lock:
            lease.requests -= 1
            if not lease.requests:
                self._idle[lease.sandbox] = lease

    def _another(self) -> _Lease:
        for sandbox, lease in self._idle.items():
            del self._idle[sandbox], self._by_sandbox[sandbox]
            return lease
        return _Lease(self._build())


class _Transport(ObjectProxy):  # type: ignore[type-arg]
    """The SDK's own transport, which keeps all but the requests to private sandboxes."""

    def __init__(
        self, native: Any, build: Callable[[], Any], *, http2: bool = True, limited: bool = False
    ) -> None:
        """
        :param build: another, for sandboxes
        :param http2: whether requests may share a connection, over https
        :param limited: whether ``native`` opens fewer connections than they need
        """
        super().__init__(native)
        self._self_http2 = http2
        self._self_limited = limited
        self._self_leases = Leases(build)
        # Of all sandboxes, where each request has a connection anyway.
        self._self_unlimited: Any = None

    def _choose(self, url: str) -> tuple[Any, _Lease | None]:
        """The transport for a request, and the lease that is to be given back after it."""
        scheme, _, authority, target = url.split("/", 3)
        sandbox_port = protocol.sandbox_port(f"/{target}")
        if sandbox_port is None:
            return self.__wrapped__, None
        if self._self_http2 and scheme == "https:":
            lease = self._self_leases.take(f"{authority}/{sandbox_port}")
            return lease.transport, lease
        if not self._self_limited:
            return self.__wrapped__, None
        if self._self_unlimited is None:
            # Whoever takes it at the same time gets the same one.
            self._self_unlimited = self._self_leases.take("").transport
        return self._self_unlimited, None


class SyncTransport(_Transport):
    def execute_sync(self, request: Any) -> Any:
        transport, lease = self._choose(request.url)
        if lease is None:
            return transport.execute_sync(request)
        leases = self._self_leases
        try:
            response = transport.execute_sync(request)
        except BaseException:
            leases.give_back(lease)
            raise
        return _with_content(
            response, _SyncContent(response, iter(response.content), leases, lease)
        )


class AsyncTransport(_Transport):
    async def execute(self, request: Any) -> Any:
        transport, lease = self._choose(request.url)
        if lease is None:
            return await transport.execute(request)
        leases = self._self_leases
        try:
            response = await transport.execute(request)
        except BaseException:
            leases.give_back(lease)
            raise
        content = response.content.__aiter__()
        return _with_content(response, _AsyncContent(response, content, leases, lease))


def _with_content(response: Any, content: Any) -> Any:
    return type(response)(
        status=response.status,
        http_version=response.http_version,
        headers=response.headers,
        content=content,
        # Filled in when the native content has been read.
        trailers=response.trailers,
    )


class _Content:
    """The body of a response. Gives the lease back once: when it has been read, when the response
    is closed, when reading fails, or else when it is collected."""

    __slots__ = ("_lease", "_leases", "_native", "_response")

    def __init__(self, response: Any, native: Any, leases: Leases, lease: _Lease) -> None:
        self._response = response
        self._native = native
        self._leases = leases
        self._lease: _Lease | None = lease

    def _give_back(self) -> None:
        lease, self._lease = self._lease, None
        if lease is not None:
            self._leases.give_back(lease)

    def __del__(self) -> None:
        self._give_back()


class _SyncContent(_Content):
    __slots__ = ()

    def __iter__(self) -> _SyncContent:
        return self

    def __next__(self) -> Any:
        try:
            return next(self._native)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        try:
            self._response.close()
        finally:
            self._give_back()


class _AsyncContent(_Content):
    __slots__ = ()

    def __aiter__(self) -> _AsyncContent:
        return self

    async def __anext__(self) -> Any:
        try:
            return await self._native.__anext__()
        except BaseException:
            await self.aclose()
            raise

    async def aclose(self) -> None:
        try:
            await self._response.aclose()
        finally:
            self._give_back()
