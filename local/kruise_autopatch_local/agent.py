"""The process inside every sandbox: envd and the code interpreter, each on a socket of its own.

It hangs on a lifeline to the manager: when that ends, so do the agent and all that it started.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import socket
import sys
from collections.abc import Iterator
from typing import Any

import psutil
import uvicorn

# By its name: the nursery is to have it before it forks.
import uvicorn.lifespan.off

from .code.http_api import CodeInterpreter
from .code.kernels import Kernels
from .connections import Connection
from .envd.service import Envd
from .inside.house import House
from .plan import FREEZE, THAW, Plan
from .streaming import forgiving

_PR_SET_CHILD_SUBREAPER = 36


def serve(plan: Plan, envd: socket.socket, code: socket.socket, lifeline: socket.socket) -> None:
    """Serve until the lifeline ends."""
    if sys.platform == "linux" and not plan.isolated:
        # What loses its parent becomes our child, and is found when all has to end.
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    asyncio.run(_serve(plan, envd, code, lifeline))


async def _serve(
    plan: Plan, envd: socket.socket, code: socket.socket, lifeline: socket.socket
) -> None:
    house = House(plan)
    # The kernels are root's, as on the template.
    root = house.users.find("root")
    kernels = Kernels(
        os.path.join(root.home, ".local/share/jupyter/runtime"),
        plan.home,
        lambda: house.environment(root),
    )
    asyncio.get_running_loop().add_reader(lifeline, _obey, lifeline, plan)
    await asyncio.gather(
        _Server(_config(Envd(house))).serve(sockets=[envd]),
        _Server(_config(CodeInterpreter(kernels))).serve(sockets=[code]),
    )


def _obey(lifeline: socket.socket, plan: Plan) -> None:
    order = lifeline.recv(1)
    if order == FREEZE:
        _signal_others(signal.SIGSTOP, plan)
        lifeline.send(order)
    elif order == THAW:
        _signal_others(signal.SIGCONT, plan)
        lifeline.send(order)
    else:
        while _signal_others(signal.SIGKILL, plan):
            pass
        os._exit(0)


def _signal_others(number: int, plan: Plan) -> bool:
    """Signal all that runs in the sandbox but us; whether that was anything."""
    if plan.isolated:
        # All of our PID namespace but its first process.
        with contextlib.suppress(ProcessLookupError):
            os.kill(-1, number)
        return False
    signalled = False
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if process.status() == psutil.STATUS_ZOMBIE:
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(process.pid, os.WNOHANG)
                continue
            process.send_signal(number)
            signalled = True
    return signalled


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone: two servers share this process."""
        yield


def _config(app: Any) -> uvicorn.Config:
    return uvicorn.Config(
        forgiving(app),
        loop="asyncio",
        http=Connection,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        backlog=512,
    )
