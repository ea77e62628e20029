"""Do what the state machine decides: for threads, and for tasks of any number of event loops.

Renewals happen beside the requests, in a thread or a task of their own, so nobody is held who has a
token that is still good, and nobody longer than he is ready to wait. The lock guards the state and
is never held while anybody waits: those who need the outcome wait for a future, which a thread and
an event loop can both wait for.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import os
import random
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from functools import partial
from typing import Any

from kruise_autopatch.errors import TrafficAccessTokenError
from kruise_autopatch.tokens import reply
from kruise_autopatch.tokens.reply import Answer
from kruise_autopatch.tokens.state import (
    BEGINNING,
    NO_ANSWER,
    PATIENCE,
    Failure,
    Hand,
    Moment,
    Outcome,
    Step,
    Token,
    TokenState,
)

# Seconds after which those who wait look whether the one that renews is still there.
_GLANCE = 1.0


def _now() -> Moment:
    return Moment(time.time(), time.monotonic())


def _end_of(timeout: float | None) -> float:
    return time.monotonic() + (PATIENCE if timeout is None else min(PATIENCE, timeout))


class _Renewal:
    """A renewal under way."""

    __slots__ = ("future", "loop", "task", "ticket")

    def __init__(self, ticket: int, loop: asyncio.AbstractEventLoop | None) -> None:
        self.ticket = ticket
        self.future: Future[Outcome] = Future()
        # From here on it cannot be cancelled by one of those who wait.
        self.future.set_running_or_notify_cancel()
        # The event loop that it needs; None for a thread of its own.
        self.loop = loop
        # An event loop keeps no task alive.
        self.task: asyncio.Task[Outcome] | None = None

    @property
    def is_stuck(self) -> bool:
        """Whether its event loop has been stopped, and so will not go on with it."""
        return self.loop is not None and not self.loop.is_running()


class _Process:
    """What cannot be taken through a fork: the thread that renews stays behind, and so does the one
    that holds the lock."""

    __slots__ = ("lock", "renewal")

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.renewal: _Renewal | None = None


class Keeper:
    """The token of one sandbox object.

    :param server: whatever ``fetch`` needs to ask for a token, beside the sandbox's id
    """

    __slots__ = ("_clock", "_fetch", "_processes", "_server", "_state", "sandbox_id")

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
        self._processes: dict[int, _Process] = {}
        self._state = TokenState(
            reply.created(token, sandbox_id) if token else None,
            # A sandbox whose own token cannot be sent needs another.
            required=required or bool(token),
            random=random,
            now=clock(),
        )

    @property
    def current(self) -> str | None:
        """The token in hand, whether or not it is still good; ``None`` if there is none."""
        held = self._state.held
        return None if held is None else held.value

    @property
    def settled(self) -> bool:
        """Whether a request may go with what is in hand; no lock is taken."""
        return self._state.hand(self._clock()) is Hand.GOOD

    @property
    def is_idle(self) -> bool:
        """Whether the sandbox needs no token, and has none."""
        return self._state.held is None and not self._state.required

    def _next(
        self, force: bool, loop: asyncio.AbstractEventLoop | None
    ) -> tuple[Step, _Renewal | None]:
        """What to do, and the renewal to begin or to wait for."""
        process = self._process()
        with process.lock:
            now = self._clock()
            if process.renewal is None or process.renewal.is_stuck:
                self._state.give_up()
            step = self._state.decide(now, force=force)
            if step is Step.REFUSE:
                raise self._named(self._state.error(now))
            if step in BEGINNING:
                process.renewal = _Renewal(self._state.ticket, loop)
            return step, process.renewal

    def _is_given_up(self, renewal: _Renewal) -> bool:
        """Whether waiting for it any longer is in vain."""
        process = self._process()
        with process.lock:
            others = process.renewal is not renewal or renewal.is_stuck
            return others or self._state.is_overdue(self._clock())

    def _finish(self, renewal: _Renewal, outcome: Outcome) -> None:
        process = self._process()
        with process.lock:
            self._state.finish(renewal.ticket, outcome, self._clock())
            if process.renewal is renewal:
                process.renewal = None
            # Under the lock: nobody is to see it ended without an outcome.
            renewal.future.set_result(outcome)

    def _process(self) -> _Process:
        pid = os.getpid()
        return self._processes.get(pid) or self._processes.setdefault(pid, _Process())

    def _late(self, force: bool) -> str | None:
        """What somebody gets who will not wait any longer."""
        with self._process().lock:
            now = self._clock()
            if force:
                return self._forced(NO_ANSWER)
            if self._state.hand(now) is Hand.NONE:
                raise self._named(self._state.error(now))
        return self.current

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

    # It belongs to one sandbox object: a copy of a configuration shares it, and a pickled
    # configuration loses it.

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

    def token(
        self, timeout: float | None = None, *, due: bool = False, force: bool = False
    ) -> str | None:
        """The token to send; ``None`` if the sandbox needs none.

        :param timeout: seconds to wait for one, if there is none that could be sent; ``None``, and
            at most: as long as a renewal may take
        :param due: wait, too, if the one in hand should be renewed
        :param force: wait for a new one, whatever is in hand

        Raises :class:`TrafficAccessTokenError`.
        """
        if self.settled and not due and not force:
            return self.current
        until = _end_of(timeout)
        while True:
            step, renewal = self._next(force, None)
            if step in BEGINNING:
                self._begin(renewal)
            if step is Step.SEND or (step is Step.SEND_AND_RENEW and not due):
                return self.current
            try:
                outcome = self._wait(renewal, until)
            except TimeoutError:
                return self._late(force)
            if force and outcome is not None:
                return self._forced(outcome)
            # If it has failed, what is in hand may still be good.
            due = False

    def _begin(self, renewal: Any) -> None:
        renew = partial(contextvars.copy_context().run, self._renew, renewal)
        thread = threading.Thread(target=renew, name="kruise-autopatch renewal", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            # No more threads, or the interpreter is about to end.
            self._renew(renewal)

    def _renew(self, renewal: _Renewal) -> None:
        outcome: Outcome = None
        try:
            outcome = self._judge(self._fetch(self._server, self.sandbox_id))
        except Exception as error:
            outcome = reply.unreachable(error)
        finally:
            self._finish(renewal, outcome)

    def _wait(self, renewal: Any, until: float) -> Outcome:
        """The outcome; ``None`` if it is to be decided anew. Raises :class:`TimeoutError`."""
        while True:
            left = until - time.monotonic()
            try:
                outcome: Outcome = renewal.future.result(max(0.0, min(left, _GLANCE)))
                return outcome
            except concurrent.futures.TimeoutError:
                if left <= _GLANCE:
                    raise TimeoutError from None
            if self._is_given_up(renewal) and not renewal.future.done():
                return None


class AsyncKeeper(Keeper):
    """For tasks."""

    __slots__ = ()
    _fetch: Callable[[Any, str], Awaitable[Answer]]

    async def token(
        self, timeout: float | None = None, *, due: bool = False, force: bool = False
    ) -> str | None:
        """As :meth:`SyncKeeper.token`; no event loop is ever blocked."""
        if self.settled and not due and not force:
            return self.current
        loop = asyncio.get_running_loop()
        until = _end_of(timeout)
        while True:
            step, renewal = self._next(force, loop)
            if step in BEGINNING:
                self._begin(renewal, loop)
            if step is Step.SEND or (step is Step.SEND_AND_RENEW and not due):
                return self.current
            try:
                outcome = await self._wait(renewal, until)
            except TimeoutError:
                return self._late(force)
            if force and outcome is not None:
                return self._forced(outcome)
            due = False

    def _begin(self, renewal: Any, loop: asyncio.AbstractEventLoop) -> None:
        renewal.task = loop.create_task(self._renew())
        # Called even if the task is cancelled before it has begun.
        renewal.task.add_done_callback(partial(self._ended, renewal))

    async def _renew(self) -> Outcome:
        try:
            fetched = self._fetch(self._server, self.sandbox_id)
            return self._judge(await asyncio.wait_for(fetched, PATIENCE))
        except asyncio.TimeoutError:
            return NO_ANSWER
        except Exception as error:
            return reply.unreachable(error)

    def _ended(self, renewal: _Renewal, task: asyncio.Task[Outcome]) -> None:
        given_up = task.cancelled() or task.exception() is not None
        self._finish(renewal, None if given_up else task.result())

    async def _wait(self, renewal: Any, until: float) -> Outcome:
        """As :meth:`SyncKeeper._wait`."""
        waiting: asyncio.Future[Outcome] = asyncio.wrap_future(renewal.future)
        while True:
            left = until - time.monotonic()
            await asyncio.wait({waiting}, timeout=max(0.0, min(left, _GLANCE)))
            if waiting.done():
                return waiting.result()
            if left <= _GLANCE:
                raise TimeoutError
            if self._is_given_up(renewal) and not renewal.future.done():
                return None


def _nothing() -> None:
    return None
