"""The state machine against a model of it, through any history that Hypothesis can think of."""

from __future__ import annotations

import math
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from kruise_autopatch.errors import TrafficAccessTokenError, TrafficAccessTokenExpired
from kruise_autopatch.tokens.state import Failure, Step, Token, TokenState
from tokens.clock import Clock

VALIDITIES = st.floats(0.1, 10_000)


class Model(RuleBasedStateMachine):
    """What must hold, told in other words than the machine's own.

    The model keeps for the token in hand when it was received and for how long it is good, and
    for the renewal whether it is under way and until when it rests; it computes with ages, on
    whichever clock has gone further.
    """

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.received: tuple[float, float] | None = None
        self.validity = math.inf
        self.renewing = False
        self.rests_until = -math.inf
        self.failures = 0
        self.tokens = 0

    @initialize(
        validity=st.one_of(st.none(), VALIDITIES, st.just(math.inf)),
        required=st.booleans(),
        jitter=st.floats(0, 0.999),
    )
    def begin(self, validity: float | None, required: bool, jitter: float) -> None:
        self.required, self.jitter = required, jitter
        token = None if validity is None else self.token(validity)
        self.state = TokenState(token, required=required, random=lambda: jitter, now=self.clock())

    def token(self, validity: float) -> Token:
        """A new token, as the model remembers it."""
        self.tokens += 1
        self.received, self.validity = (self.clock.wall, self.clock.steady), validity
        opaque = math.isinf(validity)
        return Token(f"token {self.tokens}", None if opaque else self.clock.wall + validity)

    @property
    def left(self) -> float:
        """Seconds that the token in hand is still good for."""
        if self.received is None:
            return -math.inf
        wall, steady = self.received
        return self.validity - max(self.clock.wall - wall, self.clock.steady - steady)

    @property
    def window(self) -> float:
        if math.isinf(self.validity):
            return 0.0
        window = min(300, max(60, 0.2 * self.validity), self.validity / 2)
        return window * (1 + 0.1 * self.jitter)

    @property
    def on_the_brink(self) -> bool:
        """Whether rounding decides."""
        return any(
            abs(distance) < 1e-5
            for distance in (
                self.left,
                self.left - self.window,
                self.rests_until - self.clock.steady,
            )
        )

    @rule(seconds=st.floats(0, 400))
    def time_passes(self, seconds: float) -> None:
        self.clock.pass_(seconds)

    @rule(seconds=st.floats(-20_000, 20_000))
    def the_wall_clock_is_set(self, seconds: float) -> None:
        self.clock.wall += seconds

    @rule(force=st.booleans())
    def a_request(self, force: bool) -> None:
        if self.on_the_brink:
            return
        got: Any
        try:
            got = self.state.decide(self.clock(), force=force)
        except TrafficAccessTokenError as error:
            got = type(error)
        assert got == self.expected(force)
        self.renewing = self.renewing or got is Step.RENEW

    def expected(self, force: bool) -> Any:
        if force:
            return Step.WAIT if self.renewing else Step.RENEW
        if self.received is None and not self.required:
            return Step.SEND
        if self.left > self.window:
            return Step.SEND
        if self.renewing:
            return Step.SEND if self.left > 0 else Step.WAIT
        if self.clock.steady >= self.rests_until:
            return Step.RENEW
        if self.left > 0:
            return Step.SEND
        return TrafficAccessTokenError if self.received is None else TrafficAccessTokenExpired

    @precondition(lambda self: self.renewing)
    @rule(validity=VALIDITIES)
    def the_server_gives_a_token(self, validity: float) -> None:
        self.renewing, self.failures, self.rests_until = False, 0, -math.inf
        self.state.finish(self.token(validity), self.clock())

    @precondition(lambda self: self.renewing)
    @rule(retry_after=st.one_of(st.just(0.0), st.floats(0, 1e6)), permanent=st.booleans())
    def the_server_gives_none(self, retry_after: float, permanent: bool) -> None:
        self.renewing = False
        if permanent:
            seconds = 300.0
        else:
            seconds = max(min(30.0, 2.0**self.failures), min(retry_after, 300.0))
            self.failures += 1
        self.rests_until = self.clock.steady + seconds
        self.state.finish(Failure("why", permanent, retry_after), self.clock())

    @precondition(lambda self: self.renewing)
    @rule()
    def the_attempt_is_given_up(self) -> None:
        self.renewing = False
        self.state.finish(None, self.clock())

    @invariant()
    def the_newest_token_is_in_hand(self) -> None:
        if not hasattr(self, "state"):
            return
        held = self.state.held
        assert (held.value if held else None) == (f"token {self.tokens}" if self.tokens else None)

    @invariant()
    def settled_means_that_a_request_may_go(self) -> None:
        if hasattr(self, "state") and not self.on_the_brink and self.state.settled(self.clock()):
            assert self.expected(force=False) is Step.SEND


TestModel = Model.TestCase
TestModel.settings = settings(
    max_examples=300, stateful_step_count=50, deadline=None, database=None, print_blob=True
)
