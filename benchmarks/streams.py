"""Many streams at once over the one host of the private protocol, patched beside stock.

Usage: python benchmarks/streams.py [STREAMS] [--plot FILE]

Run it with an interpreter that has ``kruise-autopatch[e2b]``, ``h2`` and ``trustme``. The server is
the tests', which begins a stream and leaves it open, so that what is measured is the client. Stock
cannot have as many over one host: its bound is lifted with its own variable, and over https, where
that would not help, it is left out. Half as many streams and all of them are measured, so that the
growth can be read.
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

import bars
import stock
from support import loopback_tls
from surfaces.limited import LimitedServer

SANDBOXES = 50

PROGRAM = """
import json, os, sys, time
from concurrent.futures import ThreadPoolExecutor
from e2b import Sandbox

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")

def start(sandbox):
    return sandbox.commands.run("sleep", background=True, timeout=0, request_timeout=0)

sandboxes, streams = int(sys.argv[1]), int(sys.argv[2])
boxes = [Sandbox.create() for _ in range(sandboxes)]
warm = [start(box) for box in boxes]
before, begun = resident(), time.perf_counter()
with ThreadPoolExecutor(8) as pool:
    handles = list(pool.map(start, boxes * (streams // sandboxes - 1)))
opened = time.perf_counter()
grown = resident() - before
boxes[0].kill()
killed = time.perf_counter()
print(json.dumps({
    "open all, s": round(opened - begun, 2),
    "kill, ms": round(1000 * (killed - opened)),
    "memory a stream, KiB": round(grown / 1024 / len(handles), 1),
}), flush=True)
os._exit(0)
"""


def measure(scheme: str, streams: int, patched: bool) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as elsewhere:
        certificates = loopback_tls.issue(Path(elsewhere))
        with LimitedServer(scheme, certificates) as server:
            variables = {**os.environ, **server.environment()}
            if not patched:
                url = f"{scheme}://127.0.0.1:{server.port}"
                variables.update(stock.variables(url, stock.NATIVE))
                variables["E2B_MAX_CONNECTIONS"] = str(2 * streams)
            done = subprocess.run(
                [sys.executable, "-c", PROGRAM, str(SANDBOXES), str(streams)],
                env=variables,
                cwd=elsewhere,
                stdout=subprocess.PIPE,
                text=True,
                check=True,
            )
            found: dict[str, float] = {"streams open": server.most}
            connections = server.most_connections
    return {**found, "connections": connections, **json.loads(done.stdout)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("streams", nargs="?", type=int, default=5000)
    parser.add_argument("--plot", type=Path, help="draw those over http as SVG, too")
    arguments = parser.parse_args()
    streams: int = arguments.streams
    columns = {
        f"{kind} {scheme}, {number}": measure(scheme, number, kind == "patched")
        for kind, scheme in (("stock", "http"), ("patched", "http"), ("patched", "https"))
        for number in (streams // 2, streams)
    }
    print(f"| {'':20} | {' | '.join(columns)} |")
    print(f"| {'-' * 20} | {' | '.join('-' * (len(name) - 1) + ':' for name in columns)} |")
    for row in next(iter(columns.values())):
        cells = (f"{found[row]:{len(name)}}" for name, found in columns.items())
        print(f"| {row:20} | {' | '.join(cells)} |")
    if arguments.plot:
        native, patched = (columns[f"{kind} http, {streams}"] for kind in ("stock", "patched"))
        pairs = [
            bars.Pair(row, native[row], patched[row], None, f"{patched[row] / native[row]:.2f} x")
            for row in native
        ]
        title = f"{streams:,} streams in one process, over http"
        legend = ("the SDK alone", "patched")
        arguments.plot.write_text(bars.drawing(title, legend, "", pairs))


if __name__ == "__main__":
    main()
