"""One sandbox's traffic token, as a state machine without I/O.

Like h11, it is told what happened and says what to do. Time comes in as an argument; nothing
here blocks, locks or sends. Two things vary independently:

- the token in hand: a request can go with it, or without any (``GOOD``); it is good, but about to
  expire (``DUE``); or there is none that could be sent (``NONE``);
- the renewal: idle, under way, or resting after a failure.

:data:`TRANSITIONS` is the whole of what follows from the two. Renewals happen beside the requests:
whoever is told to begin one gets a ticket with it and hands it back to :meth:`TokenState.finish`
with the outcome. One that is not heard of for :data:`PATIENCE` seconds is given up for another.
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

# Seconds for one renewal, whatever it hangs in; the server itself gives up after 30.
PATIENCE = 60.0

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


NO_ANSWER = Failure("the server has not answered in time")

# None: the attempt was given up, by a cancellation for example, and says nothing.
Outcome = Union[Token, Failure, None]


class Held(NamedTuple):
    """The token in hand. Replaced as a whole, so that it may be read without a lock."""

    value: str
    due: Moment
    expires: Moment

    def __repr__(self) -> str:
        return f"Held(<secret>, due={self.due}, expires={self.expires})"


class Hand(enum.Enum):
    """What there is to send."""

    GOOD = "good"
    DUE = "due"
    NONE = "none"


class Renewal(enum.Enum):
    """What is being done for a newer one."""

    IDLE = "idle"
    UNDER_WAY = "under way"
    RESTING = "resting"


class Step(enum.Enum):
    """What a caller does next."""

    # Send the request, with the token in hand if there is one.
    SEND = "send"
    # The same, and begin a renewal beside it.
    SEND_AND_RENEW = "send and renew"
    # Begin a renewal and wait for it, then decide again.
    RENEW = "renew"
    # A renewal is under way: wait for it, then decide again.
    WAIT = "wait"
    # There is nothing to send, and asking for it now is pointless.
    REFUSE = "refuse"


TRANSITIONS = {
    (Hand.GOOD, Renewal.IDLE): Step.SEND,
    (Hand.GOOD, Renewal.UNDER_WAY): Step.SEND,
    (Hand.GOOD, Renewal.RESTING): Step.SEND,
    (Hand.DUE, Renewal.IDLE): Step.SEND_AND_RENEW,
    (Hand.DUE, Renewal.UNDER_WAY): Step.SEND,
    (Hand.DUE, Renewal.RESTING): Step.SEND,
    (Hand.NONE, Renewal.IDLE): Step.RENEW,
    (Hand.NONE, Renewal.UNDER_WAY): Step.WAIT,
    (Hand.NONE, Renewal.RESTING): Step.REFUSE,
}

# Of a call for a new token, whatever is in hand: it does not rest.
FORCED = {
    Renewal.IDLE: Step.RENEW,
    Renewal.UNDER_WAY: Step.WAIT,
    Renewal.RESTING: Step.RENEW,
}

BEGINNING = (Step.RENEW, Step.SEND_AND_RENEW)


class TokenState:
    """The token of one sandbox.

    :param required: whether requests need a token even though none is in hand yet
    :param random: a number in [0, 1) for the jitter
    """

    __slots__ = (
        "_backoff",
        "_failure",
        "_random",
        "_rest",
        "_ticket",
        "_under_way_until",
        "held",
        "required",
    )

    def __init__(
        self, token: Token | None, *, required: bool, random: Callable[[], float], now: Moment
    ) -> None:
        self._random = random
        self._ticket = 0
        # None: no renewal is under way.
        self._under_way_until: float | None = None
        self._rest = -math.inf
        self._backoff = 0.0
        self._failure: Failure | None = None
        self.required = required
        self.held = None if token is None else self._hold(token, now)

    @property
    def ticket(self) -> int:
        """Of the renewal that was begun last."""
        return self._ticket

    def hand(self, now: Moment) -> Hand:
        held = self.held
        if held is None:
            return Hand.NONE if self.required else Hand.GOOD
        if not held.due.reached(now):
            return Hand.GOOD
        return Hand.NONE if held.expires.reached(now) else Hand.DUE

    def renewal(self, now: Moment) -> Renewal:
        if self._under_way_until is not None:
            return Renewal.UNDER_WAY
        return Renewal.RESTING if now.steady < self._rest else Renewal.IDLE

    def decide(self, now: Moment, *, force: bool = False) -> Step:
        """What a request, or with ``force`` a call for a new token, has to do."""
        if self.is_overdue(now):
            self.give_up()
        renewal = self.renewal(now)
        step = FORCED[renewal] if force else TRANSITIONS[self.hand(now), renewal]
        if step in BEGINNING:
            self._ticket += 1
            self._under_way_until = now.steady + PATIENCE
        return step

    def is_overdue(self, now: Moment) -> bool:
        """Whether the renewal under way has taken too long."""
        return self._under_way_until is not None and now.steady >= self._under_way_until

    def give_up(self) -> None:
        """Forget the renewal under way: whoever does it is gone, or hangs."""
        self._under_way_until = None

    def finish(self, ticket: int, outcome: Outcome, now: Moment) -> None:
        """End the renewal that :meth:`decide` has begun.

        One that has been given up for another may still bring a token, but nothing else.
        """
        late = ticket != self._ticket or self._under_way_until is None
        if not late:
            self._under_way_until = None
        if isinstance(outcome, Token):
            held = self._hold(outcome, now)
            if not late or self.held is None or self.held.expires < held.expires:
                self.held = held
            self._rest, self._backoff, self._failure = -math.inf, 0.0, None
        elif isinstance(outcome, Failure) and not late:
            self._failure = outcome
            self._rest = now.steady + self._rest_after(outcome)

    def error(self, now: Moment) -> TrafficAccessTokenError:
        """Why there is no usable token; for callers that cannot go on without one."""
        if self._under_way_until is not None:
            reason = NO_ANSWER.reason
        elif self._failure is not None:
            reason = self._failure.reason
        else:
            reason = "nobody has asked for one yet"
        if self.held is not None and self.held.expires.reached(now):
            return TrafficAccessTokenExpired(f"has expired and could not be renewed: {reason}")
        return TrafficAccessTokenError(f"could not be obtained: {reason}")

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
