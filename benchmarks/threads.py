"""100 threads that create and kill sandboxes at the same time, patched beside stock.

Usage: python benchmarks/threads.py [THREADS]

Run it with an interpreter that has ``kruise-autopatch[e2b]``, ``h2`` and ``trustme``. The server is
the tests', in another process. Pairs of a create and a kill are counted in a second of the client's
own processor time, and in one of the clock, in turns; the best of some rounds counts. Beside both:
stock at private URLs, for what the path of those costs alone, in httpx.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import stock
from support import loopback_tls
from surfaces.limited import LimitedServer

ROUNDS, PAIRS_EACH = 7, 5
# At least so much of stock's rate.
GOAL = 0.9

PROGRAM = """
import json, sys, time
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from e2b import Sandbox

threads, pairs = int(sys.argv[1]), int(sys.argv[2])
together = Barrier(threads + 1)

def work():
    Sandbox.create().kill()
    together.wait()
    for _ in range(pairs):
        Sandbox.create().kill()

with ThreadPoolExecutor(threads) as pool:
    working = [pool.submit(work) for _ in range(threads)]
    together.wait()
    clock, processor = time.perf_counter(), time.process_time()
    for each in working:
        each.result()
    clock, processor = time.perf_counter() - clock, time.process_time() - processor
print(json.dumps([threads * pairs / processor, threads * pairs / clock]))
"""


def rates(threads: int, paths: tuple[str, str] | None) -> list[float]:
    """Pairs in a second of processor time, and in one of the clock.

    :param paths: of a stock SDK's URLs; ``None``: patched
    """
    with tempfile.TemporaryDirectory() as elsewhere:
        certificates = loopback_tls.issue(Path(elsewhere))
        with LimitedServer("http", certificates) as server:
            variables = {**os.environ, **server.environment()}
            if paths is not None:
                variables.update(stock.variables(f"http://127.0.0.1:{server.port}", paths))
            done = subprocess.run(
                [sys.executable, "-c", PROGRAM, str(threads), str(PAIRS_EACH)],
                env=variables,
                cwd=elsewhere,
                stdout=subprocess.PIPE,
                text=True,
                check=True,
            )
    found: list[float] = json.loads(done.stdout)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("threads", nargs="?", type=int, default=100)
    threads: int = parser.parse_args().threads
    ways = (stock.NATIVE, stock.PRIVATE, None)
    rounds = [[rates(threads, way) for way in ways] for _ in range(ROUNDS)]
    first = f"{threads} threads, pairs in a second of"
    print(f"| {first} | stock | private URLs | patched | of stock | goal |        |")
    print(f"| {'-' * len(first)} | ----: | -----------: | ------: | -------: | ---- | ------ |")
    for number, name in enumerate(("processor time", "the clock")):
        native, private, patched = (max(each[way][number] for each in rounds) for way in range(3))
        verdict = "met" if patched >= GOAL * native else "MISSED"
        print(
            f"| {name:{len(first)}} | {native:5.0f} | {private:12.0f} | {patched:7.0f}"
            f" | {patched / native:8.2f} | {GOAL}x | {verdict:6} |"
        )


if __name__ == "__main__":
    main()
