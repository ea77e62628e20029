"""Faults for one's own tests: what may go wrong with a request on a cluster, on demand.

A fault meets the requests whose path matches its pattern, from its beginning to its end. Refusals
have the real ones' statuses and words.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
import uuid
from collections.abc import Awaitable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import partial
from typing import Any, Callable, NamedTuple

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kruise_autopatch.protocol.headers import TRAFFIC_TOKEN

from ..control_plane.errors import ApiError
from ..control_plane.replies import refusal
from ..data_plane.errors import DataPlaneError
from ..data_plane.gateway import NOT_FOUND, UNAUTHORIZED
from ..data_plane.traffic_tokens import EXPIRED, TrafficTokens
from ..sandbox.sandboxes import Sandboxes
from ..streaming import Broken

_LONGEST = 3600.0
# What describes a fault.
_NAMES = ("kind", "seconds", "path", "times")


class BadFault(ValueError):
    """A fault that was described wrongly; the message says how."""


class Asked(NamedTuple):
    """A request, as far as faults look at it."""

    path: str
    headers: Headers
    # `None`: it is for the API.
    sandbox_id: str | None


@dataclass
class Fault:
    """A fault that has begun."""

    kind: str
    seconds: float
    path: str
    # `None`: as many requests as come.
    times: int | None
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    began_at: float = field(default_factory=time.time)
    met: int = 0

    def __post_init__(self) -> None:
        self._over = asyncio.Event()

    def is_meant_for(self, path: str) -> bool:
        used_up = self.times is not None and self.met >= self.times
        return not used_up and fnmatchcase(path, self.path)

    def end(self) -> None:
        """Whoever waits because of it waits no longer."""
        self._over.set()

    async def lasts(self) -> bool:
        """Let its seconds pass; whether it has not ended before."""
        try:
            await asyncio.wait_for(self._over.wait(), self.seconds)
        except asyncio.TimeoutError:
            return True
        return False

    def shown(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("id", *_NAMES, "met")}


class Faults:
    """The faults of now, and how each meets a request."""

    def __init__(self, sandboxes: Sandboxes, tokens: TrafficTokens) -> None:
        self._sandboxes = sandboxes
        self._tokens = tokens
        self._faults: dict[str, Fault] = {}
        self._killing: set[asyncio.Task[None]] = set()

    def begin(self, description: Any) -> Fault:
        """Begin what a JSON object describes. Raises `BadFault`."""
        fault = _described(description)
        self._faults[fault.id] = fault
        return fault

    def end(self, fault_id: str) -> Fault | None:
        fault = self._faults.pop(fault_id, None)
        if fault is not None:
            fault.end()
        return fault

    def all(self) -> list[Fault]:
        """In the order of their beginnings."""
        return list(self._faults.values())

    async def serve(
        self, asked: Asked, app: ASGIApp, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Have an application answer, with the faults that are meant for the request around it."""
        for fault in reversed(self.all()):
            kind = KINDS[fault.kind]
            if fault.is_meant_for(asked.path) and kind.concerns(self, fault, asked):
                fault.met += 1
                app = partial(kind.meet, self, fault, asked, app)
        await app(scope, receive, send)

    # --- whom they concern ---

    def _everybody(self, fault: Fault, asked: Asked) -> bool:
        return True

    def _who_has_a_running_sandbox(self, fault: Fault, asked: Asked) -> bool:
        sandbox = self._sandboxes.get(asked.sandbox_id or "")
        return sandbox is not None and sandbox.state == "running"

    def _who_has_an_older_token(self, fault: Fault, asked: Asked) -> bool:
        if asked.sandbox_id is None:
            return False
        issued_at = self._tokens.issued_at(asked.headers.get(TRAFFIC_TOKEN, ""))
        return issued_at is not None and issued_at < fault.began_at

    # --- how they meet a request ---

    async def _late(
        self, fault: Fault, asked: Asked, app: ASGIApp, scope: Scope, receive: Receive, send: Send
    ) -> None:
        await fault.lasts()
        await app(scope, receive, send)

    async def _unauthorized(
        self, fault: Fault, asked: Asked, app: ASGIApp, scope: Scope, receive: Receive, send: Send
    ) -> None:
        if asked.sandbox_id is None:
            await refusal(ApiError("Invalid API Key", 401))(scope, receive, send)
            return
        raise DataPlaneError(401, UNAUTHORIZED)

    async def _bad_gateway(
        self, fault: Fault, asked: Asked, app: ASGIApp, scope: Scope, receive: Receive, send: Send
    ) -> None:
        named = asked.sandbox_id is not None
        raise DataPlaneError(502, NOT_FOUND.format(asked.sandbox_id) if named else "Bad Gateway\n")

    async def _dropped(
        self, fault: Fault, asked: Asked, app: ASGIApp, scope: Scope, receive: Receive, send: Send
    ) -> None:
        length = None

        async def send_a_part(message: Message) -> None:
            nonlocal length
            if message["type"] == "http.response.start":
                length = Headers(raw=message["headers"]).get("content-length")
            body = message.get("body", b"")
            if message["type"] != "http.response.body" or not body:
                await send(message)
                return
            if not message.get("more_body", False) or length == str(len(body)):
                # All of it would be a whole reply.
                body = body[: len(body) // 2]
            await send({**message, "body": body, "more_body": True})
            raise Broken

        # The server closes the connection of whoever returns without having ended its reply.
        with contextlib.suppress(Broken):
            await app(scope, receive, send_a_part)

    async def _expired(
        self, fault: Fault, asked: Asked, app: ASGIApp, scope: Scope, receive: Receive, send: Send
    ) -> None:
        raise DataPlaneError(403, EXPIRED)

    async def _killed(
        self, fault: Fault, asked: Asked, app: ASGIApp, scope: Scope, receive: Receive, send: Send
    ) -> None:
        killing = asyncio.ensure_future(self._kill(fault, asked.sandbox_id or ""))
        self._killing.add(killing)
        killing.add_done_callback(self._killing.discard)
        if not fault.seconds:
            await killing
        await app(scope, receive, send)

    async def _kill(self, fault: Fault, sandbox_id: str) -> None:
        sandbox = self._sandboxes.get(sandbox_id)
        if sandbox is not None and (not fault.seconds or await fault.lasts()):
            await self._sandboxes.kill(sandbox)


class Kind(NamedTuple):
    """A row of the table of faults: what the docs say of it, whom it concerns, what it does."""

    meaning: str
    concerns: Callable[[Faults, Fault, Asked], bool]
    meet: Callable[[Faults, Fault, Asked, ASGIApp, Scope, Receive, Send], Awaitable[None]]
    takes_seconds: bool = False


_F = Faults
KINDS = {
    "latency": Kind("the answer begins `seconds` later", _F._everybody, _F._late, True),
    "401": Kind(
        "the key, or the sandbox's token, is not accepted", _F._everybody, _F._unauthorized
    ),
    "502": Kind("the sandbox, or the server, cannot be reached", _F._everybody, _F._bad_gateway),
    "dropped-stream": Kind(
        "the connection ends after the first part of the answer's body", _F._everybody, _F._dropped
    ),
    "expired-token": Kind(
        "403 to a traffic token that was issued before the fault began",
        _F._who_has_an_older_token,
        _F._expired,
    ),
    "killed-sandbox": Kind(
        "the sandbox that is asked is killed: before it is reached, or `seconds` later",
        _F._who_has_a_running_sandbox,
        _F._killed,
        True,
    ),
}


def _described(description: Any) -> Fault:
    if not isinstance(description, dict):
        raise BadFault('a fault is a JSON object, such as {"kind": "502"}')
    given: dict[str, Any] = {
        "kind": None,
        "seconds": 0.0,
        "path": "*",
        "times": None,
        **description,
    }
    unknown = sorted(set(given) - set(_NAMES))
    if unknown:
        raise BadFault(f"a fault has no {unknown[0]!r}, but kind, seconds, path and times")
    kind, seconds, path, times = (given[n] for n in _NAMES)
    if not isinstance(kind, str) or kind not in KINDS:
        raise BadFault(f"there is no fault {kind!r}: use one of {', '.join(KINDS)}")
    if not isinstance(path, str):
        raise BadFault(f"path {path!r} is not a pattern such as '/kruise/api/*'")
    if times is not None and (type(times) is not int or times < 1):
        raise BadFault(f"times {times!r} is not a whole number from 1 on")
    if not _is_number(seconds) or not 0 <= seconds <= _LONGEST:
        raise BadFault(f"seconds {seconds!r} are not a number from 0 to {_LONGEST:.0f}")
    if seconds and not KINDS[kind].takes_seconds:
        raise BadFault(f"the fault {kind!r} takes no seconds")
    return Fault(kind, float(seconds), path, times)


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)
