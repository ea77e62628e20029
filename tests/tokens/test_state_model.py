"""The state machine against a model of it, through any history that Hypothesis can think of."""

from __future__ import annotations

import math

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from kruise_autopatch.errors import TrafficAccessTokenError, TrafficAccessTokenExpired
from kruise_autopatch.tokens.state import (
    BEGINNING,
    PATIENCE,
    Failure,
    Hand,
    Step,
    Token,
    TokenState,
)
from tokens.clock import Clock

VALIDITIES = st.floats(0.1, 10_000)


class Model(RuleBasedStateMachine):
    """What must hold, told in other words than the machine's own.

    The model keeps for the token in hand when it was received and for how long it is good, and
    for the renewal when it began and until when it rests; it computes with ages, on whichever
    clock has gone further.
    """

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.received: tuple[float, float] | None = None
        self.validity = math.inf
        self.in_hand: str | None = None
        self.began: float | None = None
        # Of renewals that were given up for another, and have not ended.
        self.stale: list[int] = []
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
        token = self.another(validity)
        self.received, self.validity = (self.clock.wall, self.clock.steady), validity
        self.in_hand = token.value
        return token

    def another(self, validity: float) -> Token:
        self.tokens += 1
        opaque = math.isinf(validity)
        return Token(f"token {self.tokens}", None if opaque else self.clock.wall + validity)

    @property
    def renewing(self) -> bool:
        return self.began is not None and self.clock.steady - self.began < PATIENCE

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
                math.inf if self.began is None else self.began + PATIENCE - self.clock.steady,
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
        expected, was_renewing = self.expected(force), self.renewing
        before = self.state.ticket
        assert self.state.decide(self.clock(), force=force) is expected
        assert (self.state.ticket != before) is (expected in BEGINNING)
        if expected in BEGINNING:
            if self.began is not None:
                self.stale.append(before)
            self.began = self.clock.steady
        elif not was_renewing and self.began is not None:
            self.stale.append(before)
            self.began = None
        if expected is Step.REFUSE:
            kind = TrafficAccessTokenError if self.received is None else TrafficAccessTokenExpired
            assert type(self.state.error(self.clock())) is kind

    def expected(self, force: bool) -> Step:
        if force:
            return Step.WAIT if self.renewing else Step.RENEW
        if self.received is None and not self.required:
            return Step.SEND
        if self.left > self.window:
            return Step.SEND
        if self.renewing:
            return Step.SEND if self.left > 0 else Step.WAIT
        if self.clock.steady >= self.rests_until:
            return Step.SEND_AND_RENEW if self.left > 0 else Step.RENEW
        return Step.SEND if self.left > 0 else Step.REFUSE

    @precondition(lambda self: self.began is not None)
    @rule(validity=VALIDITIES)
    def the_server_gives_a_token(self, validity: float) -> None:
        self.began, self.failures, self.rests_until = None, 0, -math.inf
        self.state.finish(self.state.ticket, self.token(validity), self.clock())

    @precondition(lambda self: self.began is not None)
    @rule(retry_after=st.one_of(st.just(0.0), st.floats(0, 1e6)), permanent=st.booleans())
    def the_server_gives_none(self, retry_after: float, permanent: bool) -> None:
        self.began = None
        if permanent:
            seconds = 300.0
        else:
            seconds = max(min(30.0, 2.0**self.failures), min(retry_after, 300.0))
            self.failures += 1
        self.rests_until = self.clock.steady + seconds
        failure = Failure("why", permanent, retry_after)
        self.state.finish(self.state.ticket, failure, self.clock())

    @precondition(lambda self: self.began is not None)
    @rule()
    def the_attempt_is_given_up(self) -> None:
        self.began = None
        self.state.finish(self.state.ticket, None, self.clock())

    @precondition(lambda self: self.began is not None)
    @rule()
    def whoever_renews_is_gone(self) -> None:
        self.stale.append(self.state.ticket)
        self.began = None
        self.state.give_up()

    @precondition(lambda self: self.stale)
    @rule(
        outcome=st.one_of(st.none(), st.builds(Failure, st.just("why"), st.booleans()), VALIDITIES)
    )
    def one_that_was_given_up_ends(self, outcome: Failure | float | None) -> None:
        ticket = self.stale.pop()
        if not isinstance(outcome, float):
            self.state.finish(ticket, outcome, self.clock())
            return
        left = -math.inf if self.received is None else self.validity - self.age_on_the_wall
        if abs(left - outcome) < 1e-5:
            return
        self.failures, self.rests_until = 0, -math.inf
        late = self.token(outcome) if left < outcome else self.another(outcome)
        self.state.finish(ticket, late, self.clock())

    @property
    def age_on_the_wall(self) -> float:
        assert self.received is not None
        return self.clock.wall - self.received[0]

    @invariant()
    def the_token_in_hand_is_the_models(self) -> None:
        if hasattr(self, "state"):
            held = self.state.held
            assert (held.value if held else None) == self.in_hand

    @invariant()
    def what_is_good_may_be_sent_without_another_thought(self) -> None:
        if not hasattr(self, "state") or self.on_the_brink:
            return
        if self.state.hand(self.clock()) is Hand.GOOD:
            assert self.expected(force=False) is Step.SEND


TestModel = Model.TestCase
TestModel.settings = settings(
    max_examples=300, stateful_step_count=50, deadline=None, database=None, print_blob=True
)
