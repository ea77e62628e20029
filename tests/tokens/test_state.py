"""The state machine of a traffic token, step by step. Reads as its specification."""

from __future__ import annotations

import pytest

from kruise_autopatch.errors import TrafficAccessTokenError, TrafficAccessTokenExpired
from kruise_autopatch.tokens.state import (
    BEGINNING,
    FORCED,
    NEVER,
    PATIENCE,
    TRANSITIONS,
    Failure,
    Hand,
    Held,
    Moment,
    Outcome,
    Renewal,
    Step,
    Token,
    TokenState,
)
from tokens.clock import Clock

HOUR = 3600.0
UNAVAILABLE = Failure("the server answered 503")
REFUSED = Failure("the server answered 404", permanent=True)


def machine(
    clock: Clock, validity: float | None = HOUR, *, required: bool = False, random: float = 0.0
) -> TokenState:
    """One with a token that has just been received; ``None`` for none at all."""
    token = None if validity is None else Token("first", clock.wall + validity)
    return TokenState(token, required=required, random=lambda: random, now=clock())


def renewed(clock: Clock, value: str = "second") -> Token:
    return Token(value, clock.wall + HOUR)


def finish(state: TokenState, outcome: Outcome, clock: Clock) -> None:
    """End the renewal that was begun last."""
    state.finish(state.ticket, outcome, clock())


def held(state: TokenState) -> str | None:
    return state.held.value if state.held else None


# --- when to renew -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("validity", "window"),
    [
        (100 * 365 * 86400.0, 300.0),
        (HOUR, 300.0),
        (1000.0, 200.0),
        (200.0, 60.0),
        (120.0, 60.0),
        # Never more than half of the validity, or each request would renew it.
        (60.0, 30.0),
        (2.0, 1.0),
    ],
)
@pytest.mark.parametrize("random", [0.0, 0.5, 0.999])
def test_a_token_is_renewed_a_window_before_it_expires(
    validity: float, window: float, random: float
) -> None:
    clock = Clock()
    state = machine(clock, validity, random=random)
    early = window * (1 + 0.1 * random)
    clock.pass_(validity - early - 0.001)
    assert state.decide(clock()) is Step.SEND
    clock.pass_(0.002)
    assert state.decide(clock()) is Step.SEND_AND_RENEW


def test_a_sandbox_that_needs_no_token_never_asks_for_one() -> None:
    clock = Clock()
    state = machine(clock, None)
    clock.pass_(1e9)
    assert state.decide(clock()) is Step.SEND
    assert held(state) is None


def test_a_sandbox_that_needs_one_asks_before_its_first_request() -> None:
    clock = Clock()
    state = machine(clock, None, required=True)
    assert state.decide(clock()) is Step.RENEW
    finish(state, renewed(clock), clock)
    assert state.decide(clock()) is Step.SEND
    assert held(state) == "second"


def test_an_opaque_token_is_left_alone() -> None:
    clock = Clock()
    state = TokenState(Token("opaque", None), required=False, random=lambda: 0.5, now=clock())
    clock.pass_(1e9)
    assert state.decide(clock()) is Step.SEND
    assert state.held == Held("opaque", NEVER, NEVER)


def test_a_renewed_token_starts_anew() -> None:
    clock = Clock()
    state = machine(clock)
    clock.pass_(HOUR - 10)
    assert state.decide(clock()) is Step.SEND_AND_RENEW
    finish(state, renewed(clock), clock)
    clock.pass_(HOUR - 301)
    assert state.decide(clock()) is Step.SEND
    clock.pass_(2)
    assert state.decide(clock()) is Step.SEND_AND_RENEW


# --- one at a time -------------------------------------------------------------------------------


def test_others_send_the_old_token_while_one_renews_it() -> None:
    clock = Clock()
    state = machine(clock)
    clock.pass_(HOUR - 10)
    assert [state.decide(clock()) for _ in range(3)] == [
        Step.SEND_AND_RENEW,
        Step.SEND,
        Step.SEND,
    ]


def test_others_wait_if_the_old_token_has_expired() -> None:
    clock = Clock()
    state = machine(clock)
    clock.pass_(HOUR)
    assert [state.decide(clock()) for _ in range(3)] == [Step.RENEW, Step.WAIT, Step.WAIT]
    finish(state, renewed(clock), clock)
    assert state.decide(clock()) is Step.SEND


def test_force_renews_at_once_and_once() -> None:
    clock = Clock()
    state = machine(clock)
    assert state.decide(clock(), force=True) is Step.RENEW
    assert state.decide(clock(), force=True) is Step.WAIT
    assert state.decide(clock()) is Step.SEND


def test_force_does_not_rest() -> None:
    clock = Clock()
    state = machine(clock)
    assert state.decide(clock(), force=True) is Step.RENEW
    finish(state, REFUSED, clock)
    assert state.decide(clock(), force=True) is Step.RENEW


def test_an_attempt_that_was_given_up_leaves_no_trace() -> None:
    clock = Clock()
    state = machine(clock)
    clock.pass_(HOUR)
    assert state.decide(clock()) is Step.RENEW
    finish(state, None, clock)
    assert state.decide(clock()) is Step.RENEW


# --- whoever renews may be gone, or hang ---------------------------------------------------------


def test_a_renewal_that_is_given_up_is_begun_anew() -> None:
    clock = Clock()
    state = machine(clock, None, required=True)
    assert [state.decide(clock()), state.decide(clock())] == [Step.RENEW, Step.WAIT]
    state.give_up()
    assert [state.decide(clock()), state.decide(clock())] == [Step.RENEW, Step.WAIT]


@pytest.mark.parametrize("force", [False, True])
def test_a_renewal_that_takes_too_long_is_begun_anew(force: bool) -> None:
    clock = Clock()
    state = machine(clock, None, required=True)
    assert state.decide(clock(), force=force) is Step.RENEW
    clock.pass_(PATIENCE - 0.001)
    assert state.decide(clock(), force=force) is Step.WAIT
    clock.pass_(0.002)
    assert state.decide(clock(), force=force) is Step.RENEW


def test_a_wall_clock_set_back_does_not_lengthen_a_renewal() -> None:
    clock = Clock()
    state = machine(clock, None, required=True)
    state.decide(clock())
    clock.wall -= 10 * HOUR
    clock.steady += PATIENCE
    assert state.decide(clock()) is Step.RENEW


def two_renewals(clock: Clock) -> tuple[TokenState, int]:
    """A state whose first renewal was given up for a second, and the ticket of the first."""
    state = machine(clock, None, required=True)
    state.decide(clock())
    first = state.ticket
    state.give_up()
    state.decide(clock())
    return state, first


@pytest.mark.parametrize("outcome", [None, UNAVAILABLE, REFUSED])
def test_the_end_of_one_that_was_given_up_changes_nothing(outcome: Outcome) -> None:
    clock = Clock()
    state, first = two_renewals(clock)
    state.finish(first, outcome, clock())
    assert state.decide(clock()) is Step.WAIT
    finish(state, None, clock)
    assert state.decide(clock()) is Step.RENEW


def test_one_that_was_given_up_may_still_bring_a_token() -> None:
    clock = Clock()
    state, first = two_renewals(clock)
    state.finish(first, renewed(clock, "late"), clock())
    assert state.decide(clock()) is Step.SEND
    assert held(state) == "late"
    # The other one has not ended.
    assert state.renewal(clock()) is Renewal.UNDER_WAY
    finish(state, renewed(clock, "in time"), clock)
    assert held(state) == "in time"


@pytest.mark.parametrize("validity", [HOUR - 1, HOUR])
def test_but_none_in_the_place_of_one_that_lives_as_long(validity: float) -> None:
    clock = Clock()
    state, first = two_renewals(clock)
    finish(state, renewed(clock, "in time"), clock)
    state.finish(first, Token("late", clock.wall + validity), clock())
    assert held(state) == "in time"


# --- the table -----------------------------------------------------------------------------------


@pytest.mark.parametrize("renewal", Renewal)
@pytest.mark.parametrize("hand", Hand)
def test_the_table_knows_every_situation_and_keeps_its_promises(
    hand: Hand, renewal: Renewal
) -> None:
    step = TRANSITIONS[hand, renewal]
    sends = step in (Step.SEND, Step.SEND_AND_RENEW)
    # Whoever has a token that is good goes on with it, and nobody else does.
    assert sends is (hand is not Hand.NONE)
    # One renewal at a time, and none that is not needed.
    for begun in (step, FORCED[renewal]):
        assert begun not in BEGINNING or renewal is not Renewal.UNDER_WAY
    assert step not in BEGINNING or (hand is not Hand.GOOD and renewal is Renewal.IDLE)
    # Nobody waits for what nobody does.
    for waits in (step, FORCED[renewal]):
        assert (waits is Step.WAIT) <= (renewal is Renewal.UNDER_WAY)
    # A call for a new token gets one, or an error.
    assert FORCED[renewal] in (Step.RENEW, Step.WAIT)


# --- failures ------------------------------------------------------------------------------------


def rest(state: TokenState, clock: Clock, failure: Failure) -> float:
    """Seconds, to a tenth, until a renewal that fails now is tried again."""
    assert state.decide(clock()) in BEGINNING
    finish(state, failure, clock)
    begin = clock.steady
    while state.decide(clock()) not in BEGINNING:
        clock.pass_(0.1)
    finish(state, None, clock)
    return round(clock.steady - begin, 1)


def test_failures_that_pass_are_tried_again_after_ever_longer_rests() -> None:
    clock = Clock()
    state = machine(clock, 10_000.0)
    clock.pass_(9_700.0)
    rests = [rest(state, clock, UNAVAILABLE) for _ in range(7)]
    assert rests == pytest.approx([1, 2, 4, 8, 16, 30, 30], abs=0.11)


def test_success_shortens_the_rests_again() -> None:
    clock = Clock()
    state = machine(clock)
    clock.pass_(HOUR - 300)
    for _ in range(3):
        rest(state, clock, UNAVAILABLE)
    state.decide(clock())
    finish(state, renewed(clock), clock)
    clock.pass_(HOUR - 300)
    assert rest(state, clock, UNAVAILABLE) == pytest.approx(1, abs=0.11)


@pytest.mark.parametrize(
    ("retry_after", "expected"), [(0.0, 1.0), (0.5, 1.0), (7.0, 7.0), (1e9, 300.0)]
)
def test_the_server_may_ask_for_a_longer_rest(retry_after: float, expected: float) -> None:
    clock = Clock()
    state = machine(clock, 100_000.0)
    clock.pass_(99_700.0)
    failure = UNAVAILABLE._replace(retry_after=retry_after)
    # Past the rest the token may have expired, which is no obstacle to a renewal.
    assert state.decide(clock()) is Step.SEND_AND_RENEW
    finish(state, failure, clock)
    clock.pass_(expected - 0.01)
    assert state.decide(clock()) is Step.SEND
    clock.pass_(0.02)
    assert state.decide(clock()) in BEGINNING


def test_a_refusal_is_not_tried_again_soon() -> None:
    clock = Clock()
    state = machine(clock, 100_000.0)
    clock.pass_(99_700.0)
    assert state.decide(clock()) is Step.SEND_AND_RENEW
    finish(state, REFUSED, clock)
    clock.pass_(299)
    assert state.decide(clock()) is Step.SEND
    clock.pass_(1)
    assert state.decide(clock()) in BEGINNING


def test_the_old_token_is_sent_until_it_expires_and_not_a_moment_longer() -> None:
    clock = Clock()
    state = machine(clock)
    clock.pass_(HOUR - 1)
    assert state.decide(clock()) is Step.SEND_AND_RENEW
    finish(state, UNAVAILABLE._replace(retry_after=100), clock)
    clock.pass_(0.99)
    assert state.decide(clock()) is Step.SEND
    clock.pass_(0.01)
    assert state.decide(clock()) is Step.REFUSE
    error = state.error(clock())
    assert type(error) is TrafficAccessTokenExpired
    assert str(error) == "has expired and could not be renewed: the server answered 503."


def test_without_any_token_the_request_fails_and_says_why() -> None:
    clock = Clock()
    state = machine(clock, None, required=True)
    assert state.decide(clock()) is Step.RENEW
    finish(state, REFUSED, clock)
    assert state.decide(clock()) is Step.REFUSE
    error = state.error(clock())
    assert type(error) is TrafficAccessTokenError
    assert str(error) == "could not be obtained: the server answered 404."


def test_where_nobody_has_asked_the_error_says_so() -> None:
    clock = Clock()
    state = machine(clock, None, required=True)
    error = state.error(clock())
    assert error.problem == "could not be obtained: nobody has asked for one yet"


def test_who_does_not_wait_for_the_answer_is_told_so() -> None:
    clock = Clock()
    state = machine(clock, None, required=True)
    state.decide(clock())
    finish(state, UNAVAILABLE, clock)
    clock.pass_(1)
    state.decide(clock())
    error = state.error(clock())
    assert error.problem == "could not be obtained: the server has not answered in time"


def test_an_outage_through_expiry_ends_when_the_server_is_back() -> None:
    clock = Clock()
    state = machine(clock)
    clock.pass_(HOUR - 300)
    refused_locally = 0
    for _ in range(600):
        step = state.decide(clock())
        if step in BEGINNING:
            finish(state, UNAVAILABLE, clock)
        refused_locally += step is Step.REFUSE
        clock.pass_(1)
    assert 250 < refused_locally <= 300
    clock.pass_(30)
    assert state.decide(clock()) is Step.RENEW
    finish(state, renewed(clock), clock)
    assert state.decide(clock()) is Step.SEND


# --- clocks that jump ----------------------------------------------------------------------------


def test_a_wall_clock_set_forward_renews() -> None:
    clock = Clock()
    state = machine(clock)
    clock.wall += 2 * HOUR
    assert state.decide(clock()) is Step.RENEW
    finish(state, renewed(clock), clock)
    assert state.decide(clock()) is Step.SEND


def test_a_wall_clock_set_back_does_not_lengthen_a_tokens_life() -> None:
    clock = Clock()
    state = machine(clock)
    clock.wall -= 10 * HOUR
    clock.pass_(HOUR)
    assert [state.decide(clock()), state.decide(clock())] == [Step.RENEW, Step.WAIT]


def test_a_wall_clock_set_back_does_not_lengthen_a_rest() -> None:
    clock = Clock()
    state = machine(clock)
    clock.pass_(HOUR - 100)
    state.decide(clock())
    finish(state, UNAVAILABLE, clock)
    clock.wall -= 10 * HOUR
    clock.pass_(1)
    assert state.decide(clock()) in BEGINNING


def test_a_token_that_was_expired_when_it_came_is_renewed_first() -> None:
    clock = Clock()
    state = machine(clock, -100.0)
    assert [state.decide(clock()), state.decide(clock())] == [Step.RENEW, Step.WAIT]


def test_a_moment_is_over_on_either_clock() -> None:
    moment = Moment(10, 20)
    assert moment.reached(Moment(10, 0))
    assert moment.reached(Moment(0, 20))
    assert not moment.reached(Moment(9, 19))


# --- secrets -------------------------------------------------------------------------------------


def test_no_repr_shows_a_token() -> None:
    clock = Clock()
    token = Token("s3cr3t", clock.wall + 60)
    state = TokenState(token, required=False, random=lambda: 0.0, now=clock())
    assert "s3cr3t" not in f"{token!r} {state.held!r} {state!r}"
    assert repr(Moment(1, 2)) == "Moment(wall=1, steady=2)"
