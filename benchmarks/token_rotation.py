"""What a traffic token costs each request while no renewal is due, and each sandbox in memory.

Usage: python benchmarks/token_rotation.py

Run it with an interpreter that has ``kruise-autopatch[local]``. Nothing is sent.
"""

from __future__ import annotations

import statistics
import threading
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

from joserfc import jwt
from joserfc.jwk import ECKey

from kruise_autopatch.tokens.shells import SyncKeeper

CALLS = 100_000
ROUNDS = 9
THREADS = 32
SANDBOXES = 5_000


def new_keeper(token: str) -> SyncKeeper:
    def fetch(server: Any, sandbox_id: str) -> Any:
        raise AssertionError("no renewal is due")

    return SyncKeeper("sbx2g6rcjlfcpawc", token, required=True, server=None, fetch=fetch)


def new_token() -> str:
    now = int(time.time())
    claims = {"iat": now, "exp": now + 3600, "sandbox": {"sandboxId": "sbx2g6rcjlfcpawc"}}
    return jwt.encode({"alg": "ES256"}, claims, ECKey.generate_key("P-256"))


def microseconds(function: Callable[[], object], calls: int) -> float:
    begun = time.perf_counter()
    for _ in range(calls):
        function()
    return (time.perf_counter() - begun) / calls * 1e6


def microseconds_in_threads(function: Callable[[], object]) -> float:
    """Of process time per call: waiting for a lock would show as calls that take turns."""
    calls = CALLS // THREADS
    threads = [
        threading.Thread(target=microseconds, args=(function, calls)) for _ in range(THREADS)
    ]
    begun = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return (time.perf_counter() - begun) / (calls * THREADS) * 1e6


def bytes_of_a_keeper(token: str) -> float:
    tracemalloc.start()
    # Each sandbox has a token of its own.
    keepers = [new_keeper(f"{token}{number:06}") for number in range(SANDBOXES)]
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return size / len(keepers)


def main() -> None:
    token = new_token()
    keeper = new_keeper(token)
    alone, together, empty = [], [], []
    # Interleaved, so that a slow spell of the machine hits all three.
    for _ in range(ROUNDS):
        empty.append(microseconds(lambda: None, CALLS))
        alone.append(microseconds(keeper.token, CALLS))
        together.append(microseconds_in_threads(keeper.token))
    call, one, many = map(statistics.median, (empty, alone, together))
    print("|                           |  found | ratio to an empty call | target |")
    print("| ------------------------- | -----: | ---------------------: | ------ |")
    print(f"| an empty call, us         | {call:6.2f} | {1:22.1f} |        |")
    print(f"| token(), us               | {one:6.2f} | {one / call:22.1f} | <= 5   |")
    print(f"| token(), {THREADS} threads, us   | {many:6.2f} | {many / call:22.1f} | as one |")
    print(f"| a sandbox's token, bytes  | {bytes_of_a_keeper(token):6.0f} | {'':22} | < 2000 |")


if __name__ == "__main__":
    main()
