"""Whether many streams of many sandboxes leave room for each other, and for the API."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from support import fresh
from surfaces.limited import LimitedServer

PROGRAM = Path(__file__).with_name("streaming.py")

BOXES, STREAMS = 10, 50


class Crowd(NamedTuple):
    """What was seen of 10 sandboxes that had 50 streams each, until one of them was killed."""

    problems: list[str]
    # Who was asked in which versions of HTTP, see LimitedServer.
    spoken: dict[str, list[str]]
    # The most streams that were open on one connection.
    together: int


def held(python: str, mode: str, scheme: str, certificates: Mapping[str, str]) -> Crowd:
    with LimitedServer(scheme, certificates) as server, tempfile.TemporaryDirectory() as elsewhere:
        program = subprocess.Popen(
            [python, str(PROGRAM), mode, str(BOXES), str(STREAMS)],
            env=fresh.environment(server.environment()),
            cwd=elsewhere,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        all_open = server.wait_for(BOXES * STREAMS, fresh.PATIENCE, lambda: program.poll() is None)
        if not all_open:
            # It has nothing to answer any more.
            program.kill()
        try:
            printed, errors = program.communicate("\n", timeout=fresh.PATIENCE)
        except subprocess.TimeoutExpired:
            program.kill()
            printed, errors = program.communicate()
        found = []
        if not all_open:
            found.append(f"{server.most} of {BOXES * STREAMS} streams open")
        if printed.split()[:1] != ["True"]:
            found.append(f"no answer to the kill: {errors.strip()[-1000:]}")
        if server.shared:
            found.append(f"on one connection: {', '.join(sorted(server.shared))}")
    where = f"{mode} over {scheme}"
    return Crowd(
        [f"{where}: {problem}" for problem in found],
        {who: sorted(versions) for who, versions in sorted(server.spoken.items())},
        server.most_on_one,
    )


if __name__ == "__main__":
    from support import loopback_tls

    with tempfile.TemporaryDirectory() as directory:
        issued = loopback_tls.issue(Path(directory))
        print(held(sys.argv[1], sys.argv[2], sys.argv[3], issued))
