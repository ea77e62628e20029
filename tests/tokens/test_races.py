"""Many threads, tasks and event loops with one token: one renewal, and nobody left behind."""

from __future__ import annotations

import asyncio
import copy
import pickle
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from kruise_autopatch.errors import TrafficAccessTokenError, TrafficAccessTokenExpired
from kruise_autopatch.tokens.reply import Answer
from kruise_autopatch.tokens.shells import AsyncKeeper, SyncKeeper
from kruise_autopatch.tokens.state import PATIENCE
from support import fresh
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
            return keeper.token(force=force)

        requests = [pool.submit(request) for _ in range(THREADS)]
        inside.wait()
        assert server.asked.wait(60)
        if force:
            # A forced call that comes after the answer rightly asks again, so let all come.
            _wait_until(lambda: _waiting(keeper) == THREADS)
        server.gate.set()
        tokens = {each.result() for each in requests}
    assert server.calls == 1
    assert tokens == {keeper.current}


def _waiting(keeper: SyncKeeper | AsyncKeeper) -> int:
    renewal = keeper._process().renewal
    if renewal is None:
        return 0
    # Each thread in Future.result() waits for this condition.
    return len(renewal.future._condition._waiters)  # type: ignore[attr-defined]


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
        return await asyncio.gather(*(keeper.token(force=force) for _ in range(TASKS)))

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
    # With this thread's patience: it would hang here.
    assert [keeper.token(), keeper.token()] == [old, old]
    assert server.asked.wait(60)
    with ThreadPoolExecutor(1) as pool:
        # Unless one asks for a new one; this one joins the renewal that there is.
        forced = pool.submit(keeper.token, force=True)
        _wait_until(lambda: _waiting(keeper) == 1)
        server.gate.set()
        assert forced.result() == keeper.token() != old
    assert server.calls == 1


def test_no_task_waits_while_the_old_token_is_good(server: Server, clock: Clock) -> None:
    keeper = async_keeper(server, 3600.0)
    old = keeper.current
    clock.pass_(3500)
    server.gate.clear()

    async def run() -> None:
        assert [await keeper.token(), await keeper.token()] == [old, old]
        forced = asyncio.ensure_future(keeper.token(force=True))
        await asyncio.sleep(0)
        server.gate.set()
        assert await forced == await keeper.token() != old

    asyncio.run(run())
    assert server.calls == 1


@pytest.mark.parametrize("validity", [3600.0, 100.0])
def test_a_program_that_asks_whether_one_is_due_gets_the_new_one(
    server: Server, clock: Clock, validity: float
) -> None:
    for keeper in (sync_keeper(server, validity), async_keeper(server, validity)):
        old = keeper.current
        clock.pass_(validity - 10)
        asking = keeper.token(due=True)
        new = asking if isinstance(asking, str) else asyncio.run(asking)  # type: ignore[arg-type]
        assert new == keeper.current != old
    assert server.calls == 2


def test_if_it_gets_none_the_old_one_is_as_good(server: Server, clock: Clock) -> None:
    server.answer = lambda: Answer(503, b"")
    keeper = sync_keeper(server, 3600.0)
    clock.pass_(3590)
    assert keeper.token(due=True) == keeper.current
    assert server.calls == 1


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


# --- nobody waits for ever -----------------------------------------------------------------------


@FORCE
def test_no_thread_waits_longer_than_it_wants_to(server: Server, force: bool) -> None:
    keeper = sync_keeper(server, -1.0)
    server.gate.clear()
    with pytest.raises(TrafficAccessTokenError, match="has not answered in time") as caught:
        keeper.token(0.01, force=force)
    assert caught.type is (TrafficAccessTokenError if force else TrafficAccessTokenExpired)
    # The renewal goes on, and the next one profits from it.
    server.gate.set()
    assert keeper.token() == keeper.current
    assert server.calls == 1


@FORCE
def test_no_task_waits_longer_than_it_wants_to(server: Server, force: bool) -> None:
    keeper = async_keeper(server, -1.0)
    server.gate.clear()

    async def run() -> None:
        with pytest.raises(TrafficAccessTokenError, match="has not answered in time"):
            await keeper.token(0.01, force=force)
        server.gate.set()
        assert await keeper.token() == keeper.current

    asyncio.run(run())
    assert server.calls == 1


def test_one_that_becomes_due_and_is_not_renewed_in_time_is_sent(
    server: Server, clock: Clock
) -> None:
    keeper = sync_keeper(server, 3600.0)
    clock.pass_(3500)
    server.gate.clear()
    assert keeper.token(0.01, due=True) == keeper.current
    server.gate.set()


def test_an_attempt_that_hangs_is_given_up_for_another(server: Server, clock: Clock) -> None:
    keeper = sync_keeper(server, -1.0)
    server.gate.clear()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(keeper.token)
        assert server.asked.wait(60)
        server.asked.clear()
        clock.pass_(PATIENCE)
        # It looks after a second whether the renewal still has a chance.
        assert server.asked.wait(60)
        server.gate.set()
        assert waiting.result() == keeper.current
    assert server.calls == 2


def test_an_event_loop_that_is_stopped_amid_a_renewal_leaves_it_to_others(
    server: Server,
) -> None:
    keeper = async_keeper(server, -1.0)
    server.gate.clear()
    stopped = asyncio.new_event_loop()

    async def begin() -> None:
        asyncio.ensure_future(keeper.token())  # noqa: RUF006
        while not server.asked.is_set():
            await asyncio.sleep(0)

    stopped.run_until_complete(begin())
    server.gate.set()
    # It is not closed, and its tasks are not cancelled.
    assert asyncio.run(keeper.token()) == keeper.current
    assert server.calls == 2

    async def rest() -> None:
        await asyncio.gather(*asyncio.all_tasks() - {asyncio.current_task()})

    # It may go on one day.
    stopped.run_until_complete(rest())
    stopped.close()
    assert asyncio.run(keeper.token()) == keeper.current


def test_others_who_wait_for_it_notice_that_it_is_stopped(server: Server) -> None:
    keeper = async_keeper(server, -1.0)
    server.gate.clear()
    stopped, stop = asyncio.new_event_loop(), threading.Event()

    async def begin() -> None:
        asyncio.ensure_future(keeper.token())  # noqa: RUF006
        while not stop.is_set():
            await asyncio.sleep(0)

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(stopped.run_until_complete, begin())
        assert server.asked.wait(60)
        waiting = pool.submit(asyncio.run, keeper.token())
        _wait_until(lambda: _callbacks(keeper) == 2)
        stop.set()
        first.result()
        server.gate.set()
        assert waiting.result() == keeper.current
    assert server.calls == 2
    for task in asyncio.all_tasks(stopped):
        task.cancel()
    stopped.run_until_complete(asyncio.sleep(0))
    stopped.close()


def _callbacks(keeper: AsyncKeeper) -> int:
    renewal = keeper._process().renewal
    # Each task that waits, in whichever event loop, has one.
    return 0 if renewal is None else len(renewal.future._done_callbacks)  # type: ignore[attr-defined]


FORK = """
import os, signal, sys, threading
sys.path.insert(0, HERE)
from tokens.clock import Clock, jwt, reply, rfc3339
from kruise_autopatch.tokens.shells import SyncKeeper

clock, asked, answered = Clock(), threading.Event(), threading.Event()
locked, parent = threading.Event(), os.getpid()

def fetch(server, sandbox_id):
    asked.set()
    if os.getpid() == parent:
        answered.wait()
    return reply(jwt(clock.wall + 60), rfc3339(clock.wall + 60))

keeper = SyncKeeper("box", jwt(clock.wall + VALIDITY), required=True, server=None, fetch=fetch,
                    clock=clock, random=lambda: 0.0)
clock.pass_(59)

def hold():
    with keeper._process().lock:
        locked.set()
        answered.wait()

threading.Thread(target=keeper.token, daemon=True).start()
asked.wait()
if LOCKED:
    threading.Thread(target=hold, daemon=True).start()
    locked.wait()
child = os.fork()
if child == 0:
    signal.alarm(60)
    os._exit(0 if keeper.token(force=FORCE) == keeper.current and asked.is_set() else 1)
_, status = os.waitpid(child, 0)
answered.set()
result = status, keeper.token() is not None
"""


@FORCE
@pytest.mark.parametrize("validity", [59.0, 60.0], ids=["expired", "due"])
@pytest.mark.parametrize("locked", [False, True])
def test_a_fork_amid_a_renewal_leaves_nobody_waiting(
    locked: bool, validity: float, force: bool
) -> None:
    here = str(Path(__file__).parents[1])
    program = f"HERE, LOCKED, VALIDITY, FORCE = {here!r}, {locked}, {validity}, {force}\n{FORK}"
    flags = ["-W", "ignore::DeprecationWarning"]
    assert fresh.value(program, flags=flags) == [0, True]


# --- cancellation --------------------------------------------------------------------------------


def test_if_the_one_that_renews_is_cancelled_the_renewal_goes_on(server: Server) -> None:
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
    assert server.calls == 1


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


@pytest.mark.parametrize("turns", [1, 2, 5])
def test_an_event_loop_that_ends_amid_a_renewal_leaves_it_to_the_next(
    server: Server, turns: int
) -> None:
    keeper = async_keeper(server, -1.0)
    server.gate.clear()

    async def leave() -> None:
        asyncio.ensure_future(keeper.token())  # noqa: RUF006
        for _ in range(turns):
            await asyncio.sleep(0)

    asyncio.run(leave())
    begun = server.calls
    server.gate.set()
    assert asyncio.run(keeper.token()) == keeper.current
    assert server.calls == begun + 1


def test_a_thread_that_is_interrupted_does_not_interrupt_the_renewal(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeper = sync_keeper(server, -1.0)
    server.gate.clear()

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Future, "result", interrupt)
        with pytest.raises(KeyboardInterrupt):
            keeper.token()
    server.gate.set()
    assert keeper.token() == keeper.current
    assert server.calls == 1


def test_where_no_thread_can_be_started_the_request_renews_itself(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    keeper = sync_keeper(server, -1.0)
    assert keeper.token() == keeper.current
    assert server.calls == 1


# --- the token of the reply that created the sandbox ---------------------------------------------


@pytest.mark.parametrize(
    "token",
    [
        "a\r\nHost: evil",
        "a b",
        "tök",
        jwt(4e9, sandbox={"sandboxId": "another"}),
        jwt(1e9, sandbox={"sandboxId": SANDBOX}),
    ],
    ids=["lines", "space", "no ASCII", "another's", "expired"],
)
def test_one_that_must_not_be_sent_is_replaced_before_the_first_request(
    server: Server, token: str
) -> None:
    for kind, fetch in ((SyncKeeper, Server.fetch), (AsyncKeeper, Server.afetch)):
        keeper = kind(
            SANDBOX, token, required=False, server=server, fetch=fetch, clock=server.clock
        )
        asking = keeper.token()
        new = asking if isinstance(asking, str) else asyncio.run(asking)  # type: ignore[arg-type]
        assert new == keeper.current != token
    assert server.calls == 2


# --- copies --------------------------------------------------------------------------------------


def test_copies_share_the_token_and_pickles_lose_it(server: Server) -> None:
    keeper = sync_keeper(server, 3600.0)
    assert copy.copy(keeper) is copy.deepcopy(keeper) is keeper
    assert pickle.loads(pickle.dumps(keeper)) is None


def test_no_repr_shows_a_token(server: Server) -> None:
    keeper = sync_keeper(server, 3600.0)
    assert str(keeper.current) not in repr(keeper)
