"""Many threads, tasks and event loops with one token: one renewal, and nobody left behind."""

from __future__ import annotations

import asyncio
import copy
import pickle
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from kruise_autopatch.errors import TrafficAccessTokenError, TrafficAccessTokenExpired
from kruise_autopatch.tokens.reply import Answer
from kruise_autopatch.tokens.shells import AsyncKeeper, SyncKeeper
from tokens.clock import SANDBOX, Clock, jwt, reply, rfc3339

THREADS = 100
TASKS = 1000


class Server:
    """Counts its requests, and lets them wait for one another if a test says so."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.calls = 0
        self.answer: Callable[[], Answer] = self.token
        self.gate = threading.Event()
        self.gate.set()
        self.asked = threading.Event()

    def token(self) -> Answer:
        expires_at = self.clock.wall + 3600
        return reply(jwt(expires_at, jti=self.calls), rfc3339(expires_at))

    def fetch(self, sandbox_id: str) -> Answer:
        assert sandbox_id == SANDBOX
        self.calls += 1
        self.asked.set()
        assert self.gate.wait(60)
        return self.answer()

    async def afetch(self, sandbox_id: str) -> Answer:
        assert sandbox_id == SANDBOX
        self.calls += 1
        self.asked.set()
        # A request is never answered before others have had their turn.
        await asyncio.sleep(0)
        while not self.gate.is_set():
            await asyncio.sleep(0)
        return self.answer()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def server(clock: Clock) -> Server:
    return Server(clock)


def sync_keeper(server: Server, validity: float | None) -> SyncKeeper:
    token = None if validity is None else jwt(server.clock.wall + validity)
    return SyncKeeper(
        SANDBOX,
        token,
        required=True,
        server=server,
        fetch=Server.fetch,
        clock=server.clock,
        random=lambda: 0.0,
    )


def async_keeper(server: Server, validity: float | None) -> AsyncKeeper:
    token = None if validity is None else jwt(server.clock.wall + validity)
    return AsyncKeeper(
        SANDBOX,
        token,
        required=True,
        server=server,
        fetch=Server.afetch,
        clock=server.clock,
        random=lambda: 0.0,
    )


# An expired token; one in its window; none at all.
STATES = pytest.mark.parametrize("validity", [-1.0, 0.0, None])
FORCE = pytest.mark.parametrize("force", [False, True])


@FORCE
@STATES
def test_a_hundred_threads_renew_once(server: Server, validity: float | None, force: bool) -> None:
    keeper = sync_keeper(server, validity)
    server.gate.clear()
    with ThreadPoolExecutor(THREADS) as pool:
        # All of them are inside before the server answers.
        inside = threading.Barrier(THREADS + 1)

        def request() -> str | None:
            inside.wait()
            return keeper.token(force)

        requests = [pool.submit(request) for _ in range(THREADS)]
        inside.wait()
        assert server.asked.wait(60)
        if force:
            # A forced call that comes after the answer rightly asks again, so let all come.
            _wait_until(lambda: _waiting(keeper) == THREADS - 1)
        server.gate.set()
        tokens = {each.result() for each in requests}
    assert server.calls == 1
    assert tokens == {keeper.current}


def _waiting(keeper: SyncKeeper | AsyncKeeper) -> int:
    future = keeper._renewal
    if future is None:
        return 0
    # Each thread in Future.result() waits for this condition; the one that renews does not.
    return len(future._condition._waiters)  # type: ignore[attr-defined]


def _wait_until(condition: Callable[[], bool]) -> None:
    pause = threading.Event()
    for _ in range(60_000):
        if condition():
            return
        pause.wait(0.001)
    raise AssertionError("this did not come about")


@FORCE
@STATES
def test_a_thousand_tasks_renew_once(server: Server, validity: float | None, force: bool) -> None:
    keeper = async_keeper(server, validity)

    async def run() -> list[str | None]:
        return await asyncio.gather(*(keeper.token(force) for _ in range(TASKS)))

    tokens = set(asyncio.run(run()))
    assert server.calls == 1
    assert tokens == {keeper.current}


def test_tasks_of_many_event_loops_renew_once(server: Server) -> None:
    keeper = async_keeper(server, -1.0)
    loops = 10
    inside = threading.Barrier(loops)
    server.gate.clear()

    async def run() -> list[str | None]:
        tasks = [asyncio.ensure_future(keeper.token()) for _ in range(TASKS // loops)]
        await asyncio.sleep(0)
        inside.wait()
        server.gate.set()
        return await asyncio.gather(*tasks)

    with ThreadPoolExecutor(loops) as pool:
        results = [pool.submit(asyncio.run, run()) for _ in range(loops)]
        tokens = {token for each in results for token in each.result()}
    assert server.calls == 1
    assert tokens == {keeper.current}


def test_nobody_waits_while_the_old_token_is_good(server: Server, clock: Clock) -> None:
    keeper = sync_keeper(server, 3600.0)
    old = keeper.current
    clock.pass_(3500)
    server.gate.clear()
    with ThreadPoolExecutor(1) as pool:
        renewing = pool.submit(keeper.token)
        assert server.asked.wait(60)
        # With this thread's patience: it would hang here.
        assert keeper.token() == old
        server.gate.set()
        assert renewing.result() == keeper.token() != old


def test_an_event_loop_runs_on_while_another_renews(server: Server) -> None:
    keeper = async_keeper(server, -1.0)
    server.gate.clear()

    async def run() -> str | None:
        waiting = asyncio.ensure_future(keeper.token())
        for _ in range(100):
            await asyncio.sleep(0)
        assert not waiting.done()
        server.gate.set()
        return await waiting

    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(asyncio.run, keeper.token())
        assert server.asked.wait(60)
        assert asyncio.run(run()) == other.result() == keeper.current
    assert server.calls == 1


# --- failure -------------------------------------------------------------------------------------


def test_a_hundred_threads_share_one_failure(server: Server) -> None:
    server.answer = lambda: Answer(503, b"")
    keeper = sync_keeper(server, -1.0)

    def request(_: int) -> str:
        with pytest.raises(TrafficAccessTokenExpired) as caught:
            keeper.token()
        return str(caught.value)

    with ThreadPoolExecutor(THREADS) as pool:
        messages = set(pool.map(request, range(THREADS)))
    assert server.calls == 1
    assert messages == {
        f"The traffic access token of sandbox {SANDBOX} has expired and could not be renewed: the"
        " server answered 503. Nothing was sent."
    }


def test_a_thousand_forced_tasks_share_one_failure(server: Server) -> None:
    server.answer = lambda: Answer(404, b"")
    keeper = async_keeper(server, 3600.0)

    async def run() -> list[object]:
        calls = (keeper.token(force=True) for _ in range(TASKS))
        return await asyncio.gather(*calls, return_exceptions=True)

    outcomes = asyncio.run(run())
    assert server.calls == 1
    assert {type(outcome) for outcome in outcomes} == {TrafficAccessTokenError}
    # What is in hand is still good.
    assert asyncio.run(keeper.token()) == keeper.current
    assert server.calls == 1


def test_a_request_that_fails_to_reach_the_server_says_so(server: Server) -> None:
    def refuse() -> Answer:
        raise ConnectionError("refused")

    server.answer = refuse
    keeper = sync_keeper(server, None)
    with pytest.raises(TrafficAccessTokenError, match=r"could not be asked \(ConnectionError"):
        keeper.token()


def test_recovery_after_an_outage(server: Server, clock: Clock) -> None:
    keeper = sync_keeper(server, 3600.0)
    clock.pass_(3600)
    server.answer = lambda: Answer(503, b"")
    for _ in range(3):
        with pytest.raises(TrafficAccessTokenExpired):
            keeper.token()
    assert server.calls == 1
    server.answer = server.token
    clock.pass_(1)
    assert keeper.token() == keeper.current
    assert server.calls == 2


# --- cancellation --------------------------------------------------------------------------------


def test_if_the_one_that_renews_is_cancelled_another_takes_over(server: Server) -> None:
    keeper = async_keeper(server, -1.0)
    server.gate.clear()

    async def run() -> list[str | None]:
        first = asyncio.ensure_future(keeper.token())
        others = [asyncio.ensure_future(keeper.token()) for _ in range(10)]
        await asyncio.sleep(0)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        server.gate.set()
        return await asyncio.gather(*others)

    assert set(asyncio.run(run())) == {keeper.current}
    assert server.calls == 2


def test_if_one_that_waits_is_cancelled_nobody_else_notices(server: Server) -> None:
    keeper = async_keeper(server, -1.0)
    server.gate.clear()

    async def run() -> list[str | None]:
        tasks = [asyncio.ensure_future(keeper.token()) for _ in range(10)]
        await asyncio.sleep(0)
        tasks[5].cancel()
        with pytest.raises(asyncio.CancelledError):
            await tasks[5]
        server.gate.set()
        return await asyncio.gather(*tasks[:5], *tasks[6:])

    assert set(asyncio.run(run())) == {keeper.current}
    assert server.calls == 1


def test_an_event_loop_that_ends_amid_a_renewal_leaves_it_to_the_next(server: Server) -> None:
    keeper = async_keeper(server, -1.0)
    server.gate.clear()

    async def leave() -> None:
        asyncio.ensure_future(keeper.token())  # noqa: RUF006
        await asyncio.sleep(0)

    asyncio.run(leave())
    server.gate.set()
    assert asyncio.run(keeper.token()) == keeper.current
    assert server.calls == 2


def test_an_interrupted_thread_leaves_it_to_the_next(server: Server) -> None:
    def interrupt() -> Answer:
        raise KeyboardInterrupt

    server.answer = interrupt
    keeper = sync_keeper(server, -1.0)
    with pytest.raises(KeyboardInterrupt):
        keeper.token()
    server.answer = server.token
    assert keeper.token() == keeper.current


# --- copies --------------------------------------------------------------------------------------


def test_copies_share_the_token_and_pickles_lose_it(server: Server) -> None:
    keeper = sync_keeper(server, 3600.0)
    assert copy.copy(keeper) is copy.deepcopy(keeper) is keeper
    assert pickle.loads(pickle.dumps(keeper)) is None


def test_no_repr_shows_a_token(server: Server) -> None:
    keeper = sync_keeper(server, 3600.0)
    assert str(keeper.current) not in repr(keeper)
