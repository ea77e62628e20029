"""The state machine of a traffic token, step by step. Reads as its specification."""

from __future__ import annotations

import pytest

from kruise_autopatch.errors import TrafficAccessTokenError, TrafficAccessTokenExpired
from kruise_autopatch.tokens.state import Failure, Moment, Step, Token, TokenState
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
    assert state.decide(clock()) is Step.RENEW


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
    state.finish(renewed(clock), clock())
    assert state.decide(clock()) is Step.SEND
    assert held(state) == "second"


def test_an_opaque_token_is_left_alone() -> None:
    clock = Clock()
    state = TokenState(Token("opaque", None), required=False, random=lambda: 0.5, now=clock())
    clock.pass_(1e9)
    assert state.decide(clock()) is Step.SEND


def test_a_renewed_token_starts_anew() -> None:
    clock = Clock()
    state = machine(clock)
    clock.pass_(HOUR - 10)
    assert state.decide(clock()) is Step.RENEW
    state.finish(renewed(clock), clock())
    clock.pass_(HOUR - 301)
    assert state.decide(clock()) is Step.SEND
    clock.pass_(2)
    assert state.decide(clock()) is Step.RENEW


# --- one at a time -------------------------------------------------------------------------------


def test_others_send_the_old_token_while_one_renews_it() -> None:
    clock = Clock()
    state = machine(clock)
    clock.pass_(HOUR - 10)
    assert [state.decide(clock()) for _ in range(3)] == [Step.RENEW, Step.SEND, Step.SEND]


def test_others_wait_if_the_old_token_has_expired() -> None:
    clock = Clock()
    state = machine(clock)
    clock.pass_(HOUR)
    assert [state.decide(clock()) for _ in range(3)] == [Step.RENEW, Step.WAIT, Step.WAIT]
    state.finish(renewed(clock), clock())
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
    state.finish(REFUSED, clock())
    assert state.decide(clock(), force=True) is Step.RENEW


def test_an_attempt_that_was_given_up_leaves_no_trace() -> None:
    clock = Clock()
    state = machine(clock)
    clock.pass_(HOUR)
    assert state.decide(clock()) is Step.RENEW
    state.finish(None, clock())
    assert state.decide(clock()) is Step.RENEW


# --- failures ------------------------------------------------------------------------------------


def rest(state: TokenState, clock: Clock, failure: Failure) -> float:
    """Seconds, to a tenth, until a renewal that fails now is tried again."""
    assert state.decide(clock()) is Step.RENEW
    state.finish(failure, clock())
    begin = clock.steady
    while state.decide(clock()) is not Step.RENEW:
        clock.pass_(0.1)
    state.finish(None, clock())
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
    state.finish(renewed(clock), clock())
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
    assert state.decide(clock()) is Step.RENEW
    state.finish(failure, clock())
    clock.pass_(expected - 0.01)
    assert state.decide(clock()) is Step.SEND
    clock.pass_(0.02)
    assert state.decide(clock()) is Step.RENEW


def test_a_refusal_is_not_tried_again_soon() -> None:
    clock = Clock()
    state = machine(clock, 100_000.0)
    clock.pass_(99_700.0)
    assert state.decide(clock()) is Step.RENEW
    state.finish(REFUSED, clock())
    clock.pass_(299)
    assert state.decide(clock()) is Step.SEND
    clock.pass_(1)
    assert state.decide(clock()) is Step.RENEW


def test_the_old_token_is_sent_until_it_expires_and_not_a_moment_longer() -> None:
    clock = Clock()
    state = machine(clock)
    clock.pass_(HOUR - 1)
    assert state.decide(clock()) is Step.RENEW
    state.finish(UNAVAILABLE._replace(retry_after=100), clock())
    clock.pass_(0.99)
    assert state.decide(clock()) is Step.SEND
    clock.pass_(0.01)
    with pytest.raises(TrafficAccessTokenExpired, match="the server answered 503"):
        state.decide(clock())


def test_without_any_token_the_request_fails_and_says_why() -> None:
    clock = Clock()
    state = machine(clock, None, required=True)
    assert state.decide(clock()) is Step.RENEW
    state.finish(REFUSED, clock())
    with pytest.raises(TrafficAccessTokenError, match="the server answered 404") as caught:
        state.decide(clock())
    assert caught.type is TrafficAccessTokenError


def test_an_outage_through_expiry_ends_when_the_server_is_back() -> None:
    clock = Clock()
    state = machine(clock)
    clock.pass_(HOUR - 300)
    refused_locally = 0
    for _ in range(600):
        try:
            if state.decide(clock()) is Step.RENEW:
                state.finish(UNAVAILABLE, clock())
        except TrafficAccessTokenExpired:
            refused_locally += 1
        clock.pass_(1)
    assert 250 < refused_locally <= 300
    clock.pass_(30)
    assert state.decide(clock()) is Step.RENEW
    state.finish(renewed(clock), clock())
    assert state.decide(clock()) is Step.SEND


# --- clocks that jump ----------------------------------------------------------------------------


def test_a_wall_clock_set_forward_renews() -> None:
    clock = Clock()
    state = machine(clock)
    clock.wall += 2 * HOUR
    assert state.decide(clock()) is Step.RENEW
    state.finish(renewed(clock), clock())
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
    state.finish(UNAVAILABLE, clock())
    clock.wall -= 10 * HOUR
    clock.pass_(1)
    assert state.decide(clock()) is Step.RENEW


def test_a_token_that_was_expired_when_it_came_is_renewed_first() -> None:
    clock = Clock()
    state = machine(clock, -100.0)
    assert [state.decide(clock()), state.decide(clock())] == [Step.RENEW, Step.WAIT]


# --- secrets -------------------------------------------------------------------------------------


def test_no_repr_shows_a_token() -> None:
    clock = Clock()
    token = Token("s3cr3t", clock.wall + 60)
    state = TokenState(token, required=False, random=lambda: 0.0, now=clock())
    assert "s3cr3t" not in f"{token!r} {state.held!r} {state!r}"
    assert repr(Moment(1, 2)) == "Moment(wall=1, steady=2)"
