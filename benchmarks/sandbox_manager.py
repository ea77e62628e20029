"""The local sandbox-manager at its limits: how fast, how many, how much, and what it leaves behind.

Usage: python benchmarks/sandbox_manager.py [speed] [many] [streams] [bytes] [killed] [--plot FILE]

Run it with an interpreter that has ``kruise-autopatch[local,code-interpreter]``. Without arguments
everything is measured. Where others work on the machine too, seconds say little: rates are those of
a second of the server's own processor time, taken in turns with a bare uvicorn whose only route is
one of starlette's, and the best of some rounds counts.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import glob
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from statistics import median
from typing import Any, Callable, NamedTuple

import httpx
import psutil

from kruise_autopatch_local import LocalManager

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import bars
from local_manager.clients import command, streaming

MANY = (200, 400)
STREAMS = 500
GIB = 2**30
MIB = 2**20
ROUNDS, REQUESTS, CONNECTIONS = 25, 160, 8
STARTS = 9

BARE = """
import socket, sys, uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

async def sandboxes(request):
    return JSONResponse([])

class Server(uvicorn.Server):
    async def startup(self, sockets=None):
        await super().startup(sockets)
        print(sockets[0].getsockname()[1], flush=True)

listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
listening.bind(("0.0.0.0", 0))
app = Starlette(routes=[Route("/v2/sandboxes", sandboxes)])
config = uvicorn.Config(app, http="h11", loop="asyncio", log_level="warning", access_log=False)
Server(config).run(sockets=[listening])
"""


# --- how fast ------------------------------------------------------------------------------------


def speed(plot: Path | None) -> None:
    print("\n**Speed**, beside a bare uvicorn\n")
    with bare() as (process, port), LocalManager(request_log=False) as manager:
        pid, key = manager._process.pid, {"X-API-Key": manager.api_key}
        listing = "/kruise/api/v2/sandboxes"
        domain = manager.domain

        def measure(path: str, headers: dict[str, str], requests: int) -> list[Pair]:
            return [
                Pair(
                    rate(process.pid, f"127.0.0.1:{port}", "/v2/sandboxes", {}, REQUESTS),
                    rate(pid, domain, path, headers, requests),
                )
                for _ in range(ROUNDS)
            ]

        empty = measure(listing, key, REQUESTS)
        with httpx.Client(headers=key, trust_env=False, timeout=60) as client:
            made = [created(client, manager) for _ in range(100)]
        listed = measure(f"{listing}?limit=100", key, REQUESTS // 2)
        proxied = measure(f"/kruise/{made[0]['sandboxID']}/{port}/v2/sandboxes", {}, REQUESTS)
    starts = [
        Pair(100 / start_cost("-c", BARE), 100 / start_cost("-m", "kruise_autopatch_local"))
        for _ in range(STARTS)
    ]
    print("| in a second of processor time |   bare |   here | of bare | goal       |        |")
    print("| ----------------------------- | -----: | -----: | ------: | ---------- | ------ |")
    drawn = []
    for name, pairs, times, least in (
        # At most so many times what bare costs, or at least so many.
        ("GET /v2/sandboxes, none there", empty, 2, None),
        ("GET /v2/sandboxes, 100 there", listed, None, 1000),
        ("a program in a sandbox", proxied, None, 2000),
        ("starts, in 100 s", starts, 1.5, None),
    ):
        best = Pair(max(pair.bare for pair in pairs), max(pair.here for pair in pairs))
        part = median(pair.here / pair.bare for pair in pairs)
        met = best.here >= least if least else part >= 1 / (times or 1)
        goal = f"{least:,}" if least else f"bare / {times:g}"
        print(
            f"| {name:29} | {best.bare:6,.0f} | {best.here:6,.0f} | {part:7.2f} | {goal:10} "
            f"| {'met' if met else 'MISSED':6} |"
        )
        wanted = least or best.bare / (times or 1)
        drawn.append(bars.Pair(name, best.bare, best.here, wanted, f"{best.here:,.0f}"))
    if plot:
        title = "The local sandbox-manager: how many in a second of processor time"
        legend = ("a bare uvicorn", "the local manager")
        plot.write_text(bars.drawing(title, legend, "at least (goal)", drawn))


class Pair(NamedTuple):
    """What both did one after the other, so that others on the machine slowed both down."""

    bare: float
    here: float


@contextlib.contextmanager
def bare() -> Iterator[tuple[subprocess.Popen[str], int]]:
    command = [sys.executable, "-c", BARE]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process, int(process.stdout.readline())
        process.terminate()


def start_cost(*arguments: str) -> float:
    """Seconds of processor time that a server takes until it says where it listens."""
    with subprocess.Popen(
        [sys.executable, *arguments], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        seconds = spent(process.pid)
        process.terminate()
        # It says more than its first line.
        process.stdout.read()
    return seconds


def rate(pid: int, domain: str, path: str, headers: dict[str, str], requests: int) -> float:
    """Requests that a server answers in a second of its processor time."""
    host, port = domain.split(":")
    lines = [f"GET {path} HTTP/1.1", f"Host: {domain}", *(f"{k}: {v}" for k, v in headers.items())]
    request = ("\r\n".join(lines) + "\r\n\r\n").encode()
    connections = [socket.create_connection((host, int(port))) for _ in range(CONNECTIONS)]
    files = [connection.makefile("rb") for connection in connections]

    def once_each() -> None:
        for connection in connections:
            connection.sendall(request)
        for file in files:
            assert file.readline().split()[1] == b"200"
            length = 0
            while (line := file.readline()) != b"\r\n":
                name, _, value = line.partition(b":")
                if name.lower() == b"content-length":
                    length = int(value)
            file.read(length)

    once_each()
    before = spent(pid)
    for _ in range(requests // CONNECTIONS):
        once_each()
    seconds = spent(pid) - before
    for file, connection in zip(files, connections):
        file.close()
        connection.close()
    return requests / seconds


def spent(pid: int) -> float:
    """Seconds of processor time so far, to the nanosecond."""
    tasks = glob.glob(f"/proc/{pid}/task/*/schedstat")
    return sum(int(Path(task).read_text().split()[0]) for task in tasks) / 1e9


# --- how many ------------------------------------------------------------------------------------


def many() -> None:
    print("\n**Sandboxes with a process each**\n")
    print("| isolation  | sandboxes | create, s | processes | close, s | left: processes, dirs |")
    print("| ---------- | --------: | --------: | --------: | -------: | --------------------: |")
    for isolation in ("auto", "none"):
        for number in MANY:
            mark, before = f"1000.{random.randrange(10**9)}", directories()
            begun = time.perf_counter()
            with LocalManager(isolation=isolation, request_log=False) as manager:
                asyncio.run(fill(manager, number, mark))
                filled = time.perf_counter()
                there = len(marked(mark))
                closing = time.perf_counter()
            closed = time.perf_counter()
            assert manager._process.returncode in (0, -signal.SIGTERM), "it had to be killed"
            left = f"{len(marked(mark))}, {len(directories() - before)}"
            print(
                f"| {isolation:10} | {number:9} | {filled - begun:9.1f} | {there:9} "
                f"| {closed - closing:8.1f} | {left:>21} |",
                flush=True,
            )


async def fill(manager: LocalManager, number: int, mark: str) -> None:
    """Make sandboxes, in each of which a process sleeps that has left its session."""
    limits = httpx.Limits(max_connections=20)
    async with httpx.AsyncClient(trust_env=False, timeout=600, limits=limits) as client:

        async def one() -> None:
            made = await created_soon(client, manager)
            script = f"setsid sleep {mark} >/dev/null 2>&1 & exit 0"
            reply = await client.post(
                start_url(manager, made),
                content=command(script),
                headers=streaming(made["envdAccessToken"]),
            )
            assert reply.status_code == 200, reply.text

        await asyncio.gather(*(one() for _ in range(number)))


def marked(mark: str) -> list[psutil.Process]:
    return [
        process
        for process in psutil.process_iter(["cmdline"])
        if process.info["cmdline"] == ["sleep", mark]
    ]


def directories() -> set[str]:
    return set(glob.glob(os.path.join(tempfile.gettempdir(), "kruise-local-*")))


# --- how much ------------------------------------------------------------------------------------


def streams() -> None:
    print(f"\n**{STREAMS} streams at once**\n")
    with LocalManager(request_log=False) as manager:
        opened, grown, closed = asyncio.run(_streams(manager))
    print("| open all, s | memory a stream, KiB, with its process | end all, s |")
    print("| ----------: | -------------------------------------: | ---------: |")
    print(f"| {opened:11.1f} | {grown / STREAMS / 1024:38.0f} | {closed:10.1f} |", flush=True)


async def _streams(manager: LocalManager) -> tuple[float, int, float]:
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(trust_env=False, timeout=600, limits=limits) as client:
        made = await created_soon(client, manager)
        url, headers = start_url(manager, made), streaming(made["envdAccessToken"])
        begun, before = time.perf_counter(), memory(manager)
        number, all_begun, measured = 0, asyncio.Event(), asyncio.Event()

        async def one() -> None:
            nonlocal number
            content = command("echo begun; read line; exit 0")
            async with client.stream("POST", url, content=content, headers=headers) as reply:
                async for chunk in reply.aiter_raw():
                    if b"stdout" in chunk:
                        break
                number += 1
                if number == STREAMS:
                    all_begun.set()
                await measured.wait()

        tasks = [asyncio.ensure_future(one()) for _ in range(STREAMS)]
        await all_begun.wait()
        opened, grown = time.perf_counter(), memory(manager) - before
        measured.set()
        await asyncio.gather(*tasks)
        key = {"X-API-Key": manager.api_key}
        await client.delete(f"{manager.url}/kruise/api/sandboxes/{made['sandboxID']}", headers=key)
        return opened - begun, grown, time.perf_counter() - opened


def much() -> None:
    print("\n**Memory**\n")
    print("| what                                   | seconds | memory grows by at most, MiB |")
    print("| -------------------------------------- | ------: | ---------------------------: |")
    with LocalManager(request_log=False) as manager:
        with httpx.Client(trust_env=False, timeout=60) as client:
            client.headers["X-API-Key"] = manager.api_key
            made = created(client, manager)
        for name, work in (
            ("1 GiB up", lambda: asyncio.run(_up(manager, made))),
            ("1 GiB down", lambda: _down(manager, made)),
            ("a client that reads nothing, for 5 s", lambda: _silent(manager, made)),
        ):
            seconds, grown = watched(manager, work)
            print(f"| {name:38} | {seconds:7.1f} | {grown / MIB:28.1f} |", flush=True)


async def _up(manager: LocalManager, made: dict[str, Any]) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b'--B\r\nContent-Disposition: form-data; name="file"; filename="big"\r\n\r\n'
        for _ in range(GIB // MIB):
            yield bytes(MIB)
        yield b"\r\n--B--\r\n"

    headers = streaming(made["envdAccessToken"])
    headers["Content-Type"] = "multipart/form-data; boundary=B"
    async with httpx.AsyncClient(trust_env=False, timeout=600) as client:
        reply = await client.post(files_url(manager, made), content=body(), headers=headers)
        assert reply.status_code == 200, reply.text


def _down(manager: LocalManager, made: dict[str, Any]) -> None:
    with (
        httpx.Client(trust_env=False, timeout=600) as client,
        client.stream(
            "GET", files_url(manager, made), headers=streaming(made["envdAccessToken"])
        ) as reply,
    ):
        assert sum(map(len, reply.iter_raw())) == GIB


def _silent(manager: LocalManager, made: dict[str, Any]) -> None:
    content = command("exec yes")
    host, port = manager.domain.split(":")
    lines = [
        f"POST {httpx.URL(start_url(manager, made)).path} HTTP/1.1",
        f"Host: {manager.domain}",
        f"Content-Length: {len(content)}",
        *(f"{name}: {value}" for name, value in streaming(made["envdAccessToken"]).items()),
    ]
    with socket.create_connection((host, int(port))) as silent:
        silent.sendall(("\r\n".join(lines) + "\r\n\r\n").encode() + content)
        time.sleep(5)


def watched(manager: LocalManager, work: Callable[[], None]) -> tuple[float, int]:
    """How long something takes, and by how much memory grows meanwhile."""
    over, grown = threading.Event(), 0

    def watch() -> None:
        nonlocal grown
        before = memory(manager)
        while not over.wait(0.2):
            grown = max(grown, memory(manager) - before)

    watching = threading.Thread(target=watch)
    watching.start()
    begun = time.perf_counter()
    try:
        work()
    finally:
        over.set()
        watching.join()
    return time.perf_counter() - begun, grown


def memory(manager: LocalManager) -> int:
    """Of the server and of all that it has started; shared memory counts once."""
    parent, total = psutil.Process(manager._process.pid), 0
    for process in [parent, *parent.children(recursive=True)]:
        with contextlib.suppress(psutil.Error):
            total += process.memory_full_info().pss
    return total


# --- its own end ---------------------------------------------------------------------------------


def killed() -> None:
    print("\n**After SIGKILL to the server itself**, 50 sandboxes with a process each\n")
    print("| isolation  | until no process is left, s | processes left |")
    print("| ---------- | --------------------------: | -------------: |")
    for isolation in ("auto", "none"):
        mark, before = f"1000.{random.randrange(10**9)}", directories()
        with LocalManager(isolation=isolation, request_log=False) as manager:
            asyncio.run(fill(manager, 50, mark))
            server = psutil.Process(manager._process.pid)
            started = [server, *server.children(recursive=True), *marked(mark)]
            begun = time.perf_counter()
            server.kill()
            _, left = psutil.wait_procs(started[1:], timeout=60)
            print(f"| {isolation:10} | {time.perf_counter() - begun:27.1f} | {len(left):14} |")
        for directory in directories() - before:
            subprocess.run(["rm", "-rf", directory], check=True)


# --- small change --------------------------------------------------------------------------------


def created(client: httpx.Client, manager: LocalManager) -> dict[str, Any]:
    url = f"{manager.url}/kruise/api/sandboxes"
    made: dict[str, Any] = client.post(url, json={"templateID": "base", "timeout": 6000}).json()
    return made


async def created_soon(client: httpx.AsyncClient, manager: LocalManager) -> dict[str, Any]:
    reply = await client.post(
        f"{manager.url}/kruise/api/sandboxes",
        json={"templateID": "base", "timeout": 6000},
        headers={"X-API-Key": manager.api_key},
    )
    assert reply.status_code == 201, reply.text
    made: dict[str, Any] = reply.json()
    return made


def start_url(manager: LocalManager, made: dict[str, Any]) -> str:
    return f"{manager.url}/kruise/{made['sandboxID']}/49983/process.Process/Start"


def files_url(manager: LocalManager, made: dict[str, Any]) -> str:
    return f"{manager.url}/kruise/{made['sandboxID']}/49983/files?path=big&username=user"


PARTS = {"many": many, "streams": streams, "bytes": much, "killed": killed}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", default=["speed", *PARTS])
    parser.add_argument("--plot", type=Path, help="draw the speed as SVG, too")
    arguments = parser.parse_args()
    # Others on this machine have servers, too.
    with tempfile.TemporaryDirectory() as own:
        os.environ["TMPDIR"] = tempfile.tempdir = own
        for part in arguments.parts:
            if part == "speed":
                speed(arguments.plot)
            else:
                PARTS[part]()


if __name__ == "__main__":
    main()
