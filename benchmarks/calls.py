"""What a call of the SDK costs, patched beside stock, in instructions of the calling thread.

Beside both: stock whose ``E2B_API_URL`` and ``E2B_SANDBOX_URL`` are private URLs, for what the path
of those costs alone, in httpx.

Usage: python benchmarks/calls.py [--plot FILE]

Run it with an interpreter that has ``kruise-autopatch[code-interpreter]``, ``h2`` and ``trustme``,
on Linux with ``valgrind``. The server is the tests', in another process than what is counted. Each
row is counted over several calls after the first few, by callgrind, which begins a new count after
each ``functools.reduce``.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import bars
import stock
from support import loopback_tls
from surfaces.limited import LimitedServer

# How often each is called before, and while, it is counted.
WARM, COUNTED = 3, 10


class Row(NamedTuple):
    """A call, and at most how many instructions, or how many times stock's, it may cost."""

    name: str
    call: str
    instructions: int | None = None
    times: float | None = None

    def limit(self, stock: int) -> float:
        """At most how many instructions, if stock's call takes so many."""
        return self.instructions or stock * (self.times or 1)

    @property
    def goal(self) -> str:
        return f"{self.instructions // 1000} k" if self.instructions else f"{self.times} x stock"


ROWS = [
    Row("ConnectionConfig()", "ConnectionConfig()", instructions=120_000),
    Row("config.get_host", "config.get_host('box', None, 80)", instructions=30_000),
    Row("config.get_sandbox_url", "config.get_sandbox_url('box', None)", instructions=30_000),
    Row("download_url", "box.download_url('/a file')", instructions=200_000),
    Row("Sandbox.create", "Sandbox.create()", times=1.15),
    Row("AsyncSandbox.create", "loop.run_until_complete(AsyncSandbox.create())", times=1.15),
    Row("run_code", "box.run_code('1')", times=1.12),
    Row("files.read", "box.files.read('/a file')", times=1.05),
]

PROGRAM = """
import asyncio, functools, gc
from e2b import ConnectionConfig
from e2b_code_interpreter import AsyncSandbox, Sandbox

config, box, loop = ConnectionConfig(), Sandbox.create(), asyncio.new_event_loop()
# A run of the garbage collector belongs to no call.
gc.disable()
"""
COUNT = """
for _ in range({warm}):
    {call}
functools.reduce(lambda *_: {call} and None, range({counted} + 1))
"""


class CodeInterpreter(LimitedServer):
    """Answers a cell at once."""

    def answer(self, number: int, method: str, target: str) -> tuple[int, str, bytes, bool]:
        if target.endswith("/execute"):
            return 200, "application/x-ndjson", b'{"type": "end_of_execution"}\n', True
        return super().answer(number, method, target)


def counts(paths: tuple[str, str] | None) -> list[int]:
    """Instructions a call, in the order of the rows.

    :param paths: of a stock SDK's URLs; ``None``: patched
    """
    program = PROGRAM + "".join(
        COUNT.format(call=row.call, warm=WARM, counted=COUNTED) for row in ROWS
    )
    with tempfile.TemporaryDirectory() as elsewhere:
        certificates = loopback_tls.issue(Path(elsewhere))
        with CodeInterpreter("http", certificates) as server:
            url = f"http://127.0.0.1:{server.port}"
            variables = {**os.environ, **server.environment(), "PYTHONHASHSEED": "0"}
            if paths is not None:
                variables.update(stock.variables(url, paths))
            tool = ["valgrind", "--tool=callgrind", "--callgrind-out-file=counts"]
            only = ["--collect-atstart=no", "--toggle-collect=functools_reduce"]
            subprocess.run(
                [*tool, *only, "--dump-after=functools_reduce", sys.executable, "-c", program],
                env=variables,
                cwd=elsewhere,
                stderr=subprocess.DEVNULL,
                check=True,
            )
            return [_total(Path(elsewhere, f"counts.{n}")) // COUNTED for n in range(1, 9)]


def _total(file: Path) -> int:
    found = re.search(r"^(?:summary|totals): (\d+)", file.read_text(), re.MULTILINE)
    assert found is not None, f"{file} has no total"
    return int(found[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--plot", type=Path, help="draw them as SVG, too")
    arguments = parser.parse_args()
    counted = list(zip(ROWS, counts(stock.NATIVE), counts(stock.PRIVATE), counts(None)))
    print(f"| {'':22} | stock, k | private URLs | patched, k | of stock | goal         |        |")
    print(
        f"| {'-' * 22} | -------: | -----------: | ---------: | -------: | ------------ | ------ |"
    )
    for row, native, private, patched in counted:
        verdict = "met" if patched <= row.limit(native) else "MISSED"
        print(
            f"| {row.name:22} | {native / 1000:8,.1f} | {private / 1000:12,.1f}"
            f" | {patched / 1000:10,.1f} | {patched / native:8.2f} | {row.goal:12} | {verdict:6} |"
        )
    if arguments.plot:
        pairs = [
            bars.Pair(
                row.name,
                native,
                patched,
                row.limit(native),
                f"{patched / 1000:,.0f} k, {patched / native:.2f} x",
            )
            for row, native, _, patched in counted
        ]
        title = "What a call costs, in instructions"
        arguments.plot.write_text(
            bars.drawing(title, ("the SDK alone", "patched"), "at most (goal)", pairs)
        )


if __name__ == "__main__":
    main()
