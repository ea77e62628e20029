"""One sandbox's traffic token, as a state machine without I/O.

Like h11, it is told what happened and says what to do. Time comes in as an argument; nothing
here blocks, locks or sends. Two things vary independently:

- the token in hand: none, current, due for renewal, or expired;
- the renewal: idle, under way, or resting after a failure.

:meth:`TokenState.decide` looks at both and answers with a :class:`Step`. Whoever is told
``RENEW`` has to report the outcome to :meth:`TokenState.finish`, once, whatever happens.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Callable
from typing import NamedTuple, Union

from kruise_autopatch.errors import TrafficAccessTokenError, TrafficAccessTokenExpired

# A token is renewed this long before it expires: a fifth of its validity, within these bounds,
# but never more than half of it; and up to a tenth of that earlier, so that many clients do not
# come at once.
_SHARE = 0.2
_SHORTEST_WINDOW = 60.0
_LONGEST_WINDOW = 300.0
_JITTER = 0.1

# Seconds between attempts that fail in passing, and after one that a repetition will not cure.
FIRST_REST = 1.0
LONGEST_BACKOFF = 30.0
REFUSED_REST = 300.0


class Moment(NamedTuple):
    """Now, or a point in time, on the wall clock and on one that is never set.

    Expiry is a matter of the wall clock. The other one keeps a token from living longer because
    the wall clock was set back.
    """

    wall: float
    steady: float

    def after(self, seconds: float) -> Moment:
        return Moment(self.wall + seconds, self.steady + seconds)

    def reached(self, now: Moment) -> bool:
        """Whether it is over on either clock."""
        return now.wall >= self.wall or now.steady >= self.steady


NEVER = Moment(math.inf, math.inf)


class Token(NamedTuple):
    """A token as the server gave it; ``expires_at`` is ``None`` if it is opaque."""

    value: str
    expires_at: float | None

    def __repr__(self) -> str:
        return f"Token(<secret>, expires_at={self.expires_at})"


class Failure(NamedTuple):
    """An attempt that gave no token, and what that means for the next one."""

    # Completes "The traffic access token could not be renewed: …"; never holds a token.
    reason: str
    # Whether asking again soon is pointless.
    permanent: bool = False
    # Seconds that the server asked to wait.
    retry_after: float = 0.0


# None: the attempt was given up, by a cancellation for example, and says nothing.
Outcome = Union[Token, Failure, None]


class Held(NamedTuple):
    """The token in hand. Replaced as a whole, so that it may be read without a lock."""

    value: str
    due: Moment
    expires: Moment

    def __repr__(self) -> str:
        return f"Held(<secret>, due={self.due}, expires={self.expires})"


class Step(enum.Enum):
    """What a caller does next."""

    # Send the request, with the token in hand if there is one.
    SEND = "send"
    # Ask the server for a token, and report to finish().
    RENEW = "renew"
    # Another caller is asking; wait for it, then decide again.
    WAIT = "wait"


class TokenState:
    """The token of one sandbox.

    :param required: whether requests need a token even though none is in hand yet
    :param random: a number in [0, 1) for the jitter
    """

    __slots__ = ("_backoff", "_failure", "_random", "_renewing", "_rest", "held", "required")

    def __init__(
        self, token: Token | None, *, required: bool, random: Callable[[], float], now: Moment
    ) -> None:
        self._random = random
        self._renewing = False
        self._rest = -math.inf
        self._backoff = 0.0
        self._failure: Failure | None = None
        self.required = required
        self.held = None if token is None else self._hold(token, now)

    def settled(self, now: Moment) -> bool:
        """Whether a request may go without another thought: almost every one."""
        held = self.held
        if held is None:
            return not self.required
        return not held.due.reached(now)

    def decide(self, now: Moment, *, force: bool = False) -> Step:
        """What a request, or with ``force`` a call for a new token, has to do.

        Raises :class:`TrafficAccessTokenError` if it must not be sent.
        """
        if force:
            return self._renew()
        if self.settled(now):
            return Step.SEND
        usable = self.held is not None and not self.held.expires.reached(now)
        if self._renewing or now.steady < self._rest:
            if usable:
                return Step.SEND
            if self._renewing:
                return Step.WAIT
            raise self.error(now)
        return self._renew()

    def finish(self, outcome: Outcome, now: Moment) -> None:
        """End the renewal that :meth:`decide` asked for."""
        self._renewing = False
        if isinstance(outcome, Token):
            self.held = self._hold(outcome, now)
            self._rest, self._backoff, self._failure = -math.inf, 0.0, None
        elif isinstance(outcome, Failure):
            self._failure = outcome
            self._rest = now.steady + self._rest_after(outcome)

    def error(self, now: Moment) -> TrafficAccessTokenError:
        """Why there is no usable token; for callers that cannot go on without one."""
        reason = self._failure.reason if self._failure else "nobody has asked for one yet"
        if self.held is not None and self.held.expires.reached(now):
            return TrafficAccessTokenExpired(f"has expired and could not be renewed: {reason}")
        return TrafficAccessTokenError(f"could not be obtained: {reason}")

    def _renew(self) -> Step:
        if self._renewing:
            return Step.WAIT
        self._renewing = True
        return Step.RENEW

    def _hold(self, token: Token, now: Moment) -> Held:
        if token.expires_at is None:
            return Held(token.value, NEVER, NEVER)
        validity = token.expires_at - now.wall
        window = min(_LONGEST_WINDOW, max(_SHORTEST_WINDOW, _SHARE * validity), validity / 2)
        early = window * (1 + _JITTER * self._random())
        return Held(token.value, now.after(validity - early), now.after(validity))

    def _rest_after(self, failure: Failure) -> float:
        if failure.permanent:
            return REFUSED_REST
        self._backoff = min(LONGEST_BACKOFF, self._backoff * 2 or FIRST_REST)
        return max(self._backoff, min(failure.retry_after, REFUSED_REST))
