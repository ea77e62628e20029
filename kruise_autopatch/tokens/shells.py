"""Do what the state machine decides: for threads, and for tasks of any number of event loops.

The lock guards the state and is never held while anybody waits: whoever renews does so without
it, and the others wait for a future, which a thread and an event loop can both wait for.
"""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from typing import Any, NamedTuple

from kruise_autopatch.errors import TrafficAccessTokenError
from kruise_autopatch.tokens import jwt, reply
from kruise_autopatch.tokens.reply import Answer
from kruise_autopatch.tokens.state import Failure, Moment, Outcome, Step, Token, TokenState


def _now() -> Moment:
    return Moment(time.time(), time.monotonic())


class _Renewal(NamedTuple):
    """A renewal under way, and whether the caller is the one to do it."""

    future: Future[Outcome]
    mine: bool


class Keeper:
    """The token of one sandbox object.

    :param server: whatever ``fetch`` needs to ask for a token, beside the sandbox's id
    """

    __slots__ = ("_clock", "_fetch", "_lock", "_renewal", "_server", "_state", "sandbox_id")

    def __init__(
        self,
        sandbox_id: str,
        token: str | None,
        *,
        required: bool,
        server: Any,
        fetch: Callable[[Any, str], Any],
        clock: Callable[[], Moment] = _now,
        random: Callable[[], float] = random.random,
    ) -> None:
        self.sandbox_id = sandbox_id
        self._server = server
        self._fetch = fetch
        self._clock = clock
        self._lock = threading.Lock()
        self._renewal: Future[Outcome] | None = None
        self._state = TokenState(_initial(token), required=required, random=random, now=clock())

    @property
    def current(self) -> str | None:
        """The token in hand, whether or not it is still good; ``None`` if there is none."""
        held = self._state.held
        return None if held is None else held.value

    @property
    def settled(self) -> bool:
        """Whether the token in hand may be sent as it is; no lock is taken."""
        return self._state.settled(self._clock())

    def _next(self, force: bool) -> _Renewal | None:
        """The renewal to do or to wait for; ``None`` if the request may go."""
        with self._lock:
            now = self._clock()
            try:
                step = self._state.decide(now, force=force)
            except TrafficAccessTokenError as error:
                raise self._named(error) from None
            if step is Step.SEND:
                return None
            if step is Step.RENEW:
                self._renewal = Future()
                # From here on it cannot be cancelled by one of those who wait.
                self._renewal.set_running_or_notify_cancel()
            assert self._renewal is not None
            return _Renewal(self._renewal, step is Step.RENEW)

    def _finish(self, renewal: _Renewal, outcome: Outcome) -> None:
        with self._lock:
            self._state.finish(outcome, self._clock())
            self._renewal = None
        renewal.future.set_result(outcome)

    def _forced(self, outcome: Token | Failure) -> str:
        if isinstance(outcome, Token):
            return outcome.value
        raise self._named(TrafficAccessTokenError(f"could not be renewed: {outcome.reason}"))

    def _named(self, error: TrafficAccessTokenError) -> TrafficAccessTokenError:
        problem = (
            f"The traffic access token of sandbox {self.sandbox_id} {error.problem}. Nothing was"
            " sent"
        )
        return type(error)(problem)

    def _judge(self, answer: Answer) -> Token | Failure:
        return reply.judge(answer, self.sandbox_id, self._clock().wall)

    # It holds a lock, and belongs to one sandbox object: a copy of a configuration shares it, and
    # a pickled configuration loses it.

    def __copy__(self) -> Keeper:
        return self

    def __deepcopy__(self, memo: object) -> Keeper:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return _nothing, ()


class SyncKeeper(Keeper):
    """For threads."""

    __slots__ = ()
    _fetch: Callable[[Any, str], Answer]

    def token(self, force: bool = False) -> str | None:
        """The token to send, after a renewal if one is due or forced.

        ``None`` if the sandbox needs none. Raises :class:`TrafficAccessTokenError`.
        """
        while force or not self.settled:
            renewal = self._next(force)
            if renewal is None:
                break
            if renewal.mine:
                self._renew(renewal)
            outcome = renewal.future.result()
            if force and outcome is not None:
                return self._forced(outcome)
        return self.current

    def _renew(self, renewal: _Renewal) -> None:
        outcome: Outcome = None
        try:
            outcome = self._judge(self._fetch(self._server, self.sandbox_id))
        except Exception as error:
            outcome = reply.unreachable(error)
        finally:
            self._finish(renewal, outcome)


class AsyncKeeper(Keeper):
    """For tasks."""

    __slots__ = ()
    _fetch: Callable[[Any, str], Awaitable[Answer]]

    async def token(self, force: bool = False) -> str | None:
        """As :meth:`SyncKeeper.token`; no event loop is ever blocked."""
        while force or not self.settled:
            renewal = self._next(force)
            if renewal is None:
                break
            if renewal.mine:
                await self._renew(renewal)
            # For whoever has renewed it is there already.
            future = renewal.future
            outcome = future.result() if renewal.mine else await asyncio.wrap_future(future)
            if force and outcome is not None:
                return self._forced(outcome)
        return self.current

    async def _renew(self, renewal: _Renewal) -> None:
        outcome: Outcome = None
        try:
            outcome = self._judge(await self._fetch(self._server, self.sandbox_id))
        except Exception as error:
            outcome = reply.unreachable(error)
        finally:
            # Also if this task is cancelled, or its loop is gone: another one takes over.
            self._finish(renewal, outcome)


def _initial(text: str | None) -> Token | None:
    if not text:
        return None
    claims = jwt.read(text)
    return Token(text, claims.expires_at if claims else None)


def _nothing() -> None:
    return None
