"""Many at once: sandboxes, streams, bytes; and clients that do not read."""

from __future__ import annotations

import asyncio
import random
import signal
import socket
import time
from collections.abc import AsyncIterator

import httpx
import psutil

from kruise_autopatch_local import LocalManager

from .clients import PATIENTLY, Sandbox, command, streaming

SANDBOXES = 60
STREAMS = 120
# As docs/local-manager.md says.
MOST_KERNELS = 32
# Written and read back; far more than a server may keep in memory.
BYTES = 256 * 1024 * 1024


def test_many_sandboxes_and_a_quick_end() -> None:
    seconds = f"1000.{random.randrange(10**9)}"

    async def fill(manager: LocalManager) -> None:
        key = {"X-API-Key": manager.api_key}
        limits = httpx.Limits(max_connections=20)
        async with httpx.AsyncClient(**PATIENTLY, limits=limits) as client:

            async def one() -> None:
                url = f"{manager.url}/kruise/api/sandboxes"
                made = (await client.post(url, json={"templateID": "base"}, headers=key)).json()
                start = f"{manager.url}/kruise/{made['sandboxID']}/49983/process.Process/Start"
                reply = await client.post(
                    start,
                    content=command(f"setsid sleep {seconds} >/dev/null 2>&1 & exit 0"),
                    headers=streaming(made["envdAccessToken"]),
                )
                assert reply.status_code == 200, reply.text

            await asyncio.gather(*(one() for _ in range(SANDBOXES)))

    with LocalManager() as manager:
        asyncio.run(fill(manager))
        pid = manager._process.pid
        assert psutil.pid_exists(pid)
    # It was not killed for being slow, and nothing is left.
    assert manager._process.returncode in (0, -signal.SIGTERM)
    assert not [
        process
        for process in psutil.process_iter(["cmdline"])
        if process.info["cmdline"] == ["sleep", seconds]
    ]


def test_many_streams(manager: LocalManager, sandbox: Sandbox) -> None:
    async def talk() -> None:
        limits = httpx.Limits(max_connections=None)
        async with httpx.AsyncClient(**PATIENTLY, limits=limits) as client:
            begun = 0
            all_begun = asyncio.Event()

            async def one(number: int) -> None:
                nonlocal begun
                url = f"{sandbox.url()}/process.Process/Start"
                content = command("echo begun; read line; exit 0")
                async with client.stream(
                    "POST", url, content=content, headers=streaming(sandbox.token)
                ) as response:
                    async for chunk in response.aiter_raw():
                        if b"stdout" in chunk:
                            break
                    begun += 1
                    if begun == STREAMS:
                        all_begun.set()
                    await all_begun.wait()

            await asyncio.gather(*(one(number) for number in range(STREAMS)))

    asyncio.run(talk())


def test_much_data_in_little_memory() -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b'--B\r\nContent-Disposition: form-data; name="file"; filename="big"\r\n\r\n'
        for _ in range(BYTES // 2**20):
            yield bytes(2**20)
        yield b"\r\n--B--\r\n"

    async def talk(manager: LocalManager) -> None:
        key = {"X-API-Key": manager.api_key}
        async with httpx.AsyncClient(**PATIENTLY) as client:
            url = f"{manager.url}/kruise/api/sandboxes"
            made = (await client.post(url, json={"templateID": "base"}, headers=key)).json()
            files = f"{manager.url}/kruise/{made['sandboxID']}/49983/files"
            query = {"path": "big", "username": "user"}
            token = {"X-Access-Token": made["envdAccessToken"]}
            form = {**token, "Content-Type": "multipart/form-data; boundary=B"}
            written = await client.post(files, params=query, content=body(), headers=form)
            assert written.status_code == 200, written.text
            received = 0
            async with client.stream("GET", files, params=query, headers=token) as response:
                async for chunk in response.aiter_raw():
                    received += len(chunk)
            assert received == BYTES

    with LocalManager(request_log=False) as manager:
        before = memory(manager)
        asyncio.run(talk(manager))
        assert memory(manager) - before < BYTES / 2


def test_a_client_that_does_not_read_is_bounded(manager: LocalManager, sandbox: Sandbox) -> None:
    """The process waits, as at a full pipe; the server does not keep what it writes."""
    host, port = sandbox.domain.split(":")
    content = command("yes | tee -a /tmp/written >/dev/null & exec yes")
    lines = [
        f"POST /kruise/{sandbox.id}/49983/process.Process/Start HTTP/1.1",
        f"Host: {sandbox.domain}",
        f"Content-Length: {len(content)}",
        *(f"{name}: {value}" for name, value in streaming(sandbox.token).items()),
    ]
    with socket.create_connection((host, int(port))) as silent:
        silent.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        silent.sendall(("\r\n".join(lines) + "\r\n\r\n").encode() + content)
        silent.recv(1)
        grown = 0
        before = memory(manager)
        for _ in range(10):
            time.sleep(0.3)
            grown = max(grown, memory(manager) - before)
        sandbox.run("pkill tee; pkill -f 'exec yes'; true")
    assert grown < 100 * 2**20


def test_kernels_are_bounded(sandbox: Sandbox) -> None:
    url = f"{sandbox.url(49999)}/contexts"
    # A kernel begins with its first execution, so these cost nothing.
    statuses = [sandbox.client.post(url, json={}).status_code for _ in range(2 * MOST_KERNELS)]
    there = len(sandbox.client.get(url).json())
    assert there == MOST_KERNELS
    assert statuses == sorted(statuses)
    assert set(statuses) == {200, 503}
    one = sandbox.client.get(url).json()[-1]["id"]
    assert sandbox.client.delete(f"{url}/{one}").status_code == 200
    assert sandbox.client.post(url, json={}).status_code == 200


def memory(manager: LocalManager) -> int:
    """Of the server and of all that it has started."""
    parent = psutil.Process(manager._process.pid)
    return sum(process.memory_info().rss for process in [parent, *parent.children(recursive=True)])
