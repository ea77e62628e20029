"""Many streaming commands at once over the one address of the private protocol.

Usage: python benchmarks/streams.py [STREAMS]

Run it with an interpreter that has ``kruise-autopatch[code-interpreter,local]``. Half as many
streams and all of them are measured in one run, so that the growth can be read as a ratio.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile

from kruise_autopatch_local import LocalManager

PROGRAM = """
import json, os, resource, sys, time
from concurrent.futures import ThreadPoolExecutor
from e2b import Sandbox

sandbox = Sandbox.create(timeout=3600)
sandbox.commands.run("true")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
begun = time.perf_counter()
def start(_):
    return sandbox.commands.run("exec sleep 3600", background=True, timeout=0)
with ThreadPoolExecutor(8) as pool:
    handles = list(pool.map(start, range(int(sys.argv[1]))))
opened = time.perf_counter()
running = len(sandbox.commands.list())
listed = time.perf_counter()
sandbox.kill()
killed = time.perf_counter()
print(json.dumps({
    "running": running,
    "open all, s": round(opened - begun, 2),
    "list, ms": round(1000 * (listed - opened)),
    "kill, ms": round(1000 * (killed - listed)),
    "memory, MB": round((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024, 1),
}), flush=True)
os._exit(0)
"""


def measure(streams: int) -> dict[str, float]:
    with LocalManager(request_log=False) as manager, tempfile.TemporaryDirectory() as elsewhere:
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, str(streams)],
            env={**os.environ, **manager.environment()},
            cwd=elsewhere,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    found: dict[str, float] = json.loads(done.stdout)
    return found


def main(streams: int) -> None:
    half, whole = measure(streams // 2), measure(streams)
    print(f"| {'streams':12} | {streams // 2:8} | {streams:8} | {'ratio':>6} |")
    print(f"| {'-' * 12} | {'-' * 8} | {'-' * 8} | {'-' * 6} |")
    for name in half:
        ratio = whole[name] / half[name] if half[name] else float("nan")
        print(f"| {name:12} | {half[name]:8} | {whole[name]:8} | {ratio:6.2f} |")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 500)
