"""A streamed response that notices at once when its client has gone.

Starlette's own finds out, with newer ASGI servers, only when it sends the next chunk. A
silent command or a long-running cell may not have a next chunk for a long time.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Callable, TypeVar

from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

Item = TypeVar("Item")


class Broken(Exception):
    """What is being sent ended too early; the connection is to end, too."""


@asynccontextmanager
async def closing(
    generator: AsyncGenerator[Item, None],
) -> AsyncIterator[AsyncGenerator[Item, None]]:
    """`contextlib.aclosing`, which Python 3.9 does not have."""
    try:
        yield generator
    finally:
        await generator.aclose()


def forgiving(app: ASGIApp) -> ASGIApp:
    """An application for which it is no error that a client goes amid its own request."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        with suppress(ClientDisconnect):
            await app(scope, receive, send)

    return answer


class CancellingStream(Response):
    """Sends what an async generator yields, and closes the generator if the client leaves."""

    def __init__(
        self,
        chunks: AsyncGenerator[bytes, None],
        status_code: int = 200,
        headers: dict[str, str] | None = None,
        *,
        done: Callable[[], None] = lambda: None,
    ) -> None:
        """`done` is called at the end, even if that comes before the first chunk."""
        super().__init__(None, status_code, headers)
        self._chunks = chunks
        self._done = done
        if "content-length" in self.headers:
            del self.headers["content-length"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        sending = asyncio.ensure_future(self._send_all(send))
        leaving = asyncio.ensure_future(_disconnected(receive))
        try:
            await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (sending, leaving):
                if not task.done():
                    task.cancel()
            try:
                results: Any = await asyncio.gather(sending, leaving, return_exceptions=True)
            finally:
                self._done()
        failure = results[0]
        if isinstance(failure, Exception) and not isinstance(failure, (Broken, OSError)):
            raise failure

    async def _send_all(self, send: Send) -> None:
        try:
            await send(
                {
                    "type": "http.response.start",
                    "status": self.status_code,
                    "headers": self.raw_headers,
                }
            )
            async for chunk in self._chunks:
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            await self._chunks.aclose()


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
