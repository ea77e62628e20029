"""Sandboxes: a directory, some processes and kernels, a time to live.

They isolate nothing: everything in them runs as the user who started the server.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import signal
import time
import traceback
import uuid
from dataclasses import dataclass, field
from typing import Any

import psutil

from ..code.kernels import Kernels
from .paths import SandboxPaths
from .processes import ProcessTable
from .watching import Watchers

DEFAULT_TEMPLATES = ("base", "code-interpreter-v1", "desktop")

# Every process of a sandbox inherits this variable (the real envd sets it too). It is how
# those that left their parent's session are found again.
MARK = "E2B_SANDBOX_ID"

_ID_LETTERS = "abcdefghijklmnopqrstuvwxyz234567"


@dataclass
class Sandbox:
    """One sandbox. Its id is opaque and, unlike a real one's, never begins with `api`."""

    id: str
    template: str
    directory: str
    ends_at: float
    metadata: dict[str, str]
    environment: dict[str, str]
    auto_pause: bool = False
    network: dict[str, Any] = field(default_factory=dict)
    started_at: float = field(default_factory=time.time)
    access_token: str = field(default_factory=lambda: str(uuid.uuid4()))
    uid: str = field(default_factory=lambda: str(uuid.uuid4()))
    state: str = "running"

    def __post_init__(self) -> None:
        self.paths = SandboxPaths(os.path.join(self.directory, "root"))
        for path in (self.paths.home, self.paths.root + "/tmp"):
            os.makedirs(path)
        self.processes = ProcessTable()
        self.watchers = Watchers()
        self.kernels = Kernels(
            os.path.join(self.directory, "kernels"), self.paths.home, self.process_environment
        )

    def process_environment(self) -> dict[str, str]:
        """The environment of the sandbox's processes.

        That of the server without its E2B settings, so that an SDK used inside a sandbox
        does not silently talk to this server.
        """
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("E2B_", "KRUISE_"))
        }
        return {
            **inherited,
            "HOME": self.paths.home,
            "USER": "user",
            "PWD": self.paths.home,
            "TMPDIR": self.paths.root + "/tmp",
            "E2B_SANDBOX": "true",
            "E2B_TEMPLATE_ID": self.template,
            **self.environment,
            MARK: self.id,
        }

    def extend(self, seconds: float) -> None:
        """Postpone the end; it is never brought forward."""
        self.ends_at = max(self.ends_at, time.time() + seconds)

    def ends_in(self, seconds: float) -> None:
        """Set the end anew, later or earlier."""
        self.ends_at = time.time() + seconds

    async def destroy(self) -> None:
        """Kill every process and remove the directory, whatever goes wrong on the way."""
        self.state = "dead"
        try:
            await self.watchers.close()
            await self.kernels.close()
            await self.processes.kill_all()
        finally:
            await asyncio.get_running_loop().run_in_executor(None, self._remove_traces)

    async def signal_everything(self, number: int) -> None:
        await asyncio.get_running_loop().run_in_executor(None, _signal_marked, self.id, number)

    def _remove_traces(self) -> None:
        _signal_marked(self.id, signal.SIGKILL)
        shutil.rmtree(self.directory, ignore_errors=True)


class Sandboxes:
    """All sandboxes of a server, and the reaper that ends those whose time is over."""

    def __init__(self, directory: str, templates: list[str]) -> None:
        self.templates = [*DEFAULT_TEMPLATES, *templates]
        self._directory = directory
        self._sandboxes: dict[str, Sandbox] = {}
        self._reaper: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._reaper = asyncio.ensure_future(self._reap())

    async def close(self) -> None:
        """End every sandbox and remove every trace of them."""
        if self._reaper is not None:
            self._reaper.cancel()
        await asyncio.gather(
            *(self.kill(sandbox) for sandbox in self.all()), return_exceptions=True
        )
        shutil.rmtree(self._directory, ignore_errors=True)

    def create(
        self,
        template: str,
        timeout: float,
        metadata: dict[str, str],
        environment: dict[str, str],
        auto_pause: bool,
        network: dict[str, Any],
    ) -> Sandbox:
        sandbox_id = "sbx" + "".join(secrets.choice(_ID_LETTERS) for _ in range(13))
        sandbox = Sandbox(
            id=sandbox_id,
            template=template,
            directory=os.path.join(self._directory, sandbox_id),
            ends_at=time.time() + timeout,
            metadata=metadata,
            environment=environment,
            auto_pause=auto_pause,
            network=network,
        )
        self._sandboxes[sandbox_id] = sandbox
        return sandbox

    def all(self) -> list[Sandbox]:
        """Every living sandbox, oldest first."""
        return list(self._sandboxes.values())

    def get(self, sandbox_id: str) -> Sandbox | None:
        return self._sandboxes.get(sandbox_id)

    async def kill(self, sandbox: Sandbox) -> None:
        if self._sandboxes.pop(sandbox.id, None) is not None:
            await sandbox.destroy()

    async def pause(self, sandbox: Sandbox) -> None:
        """Stop every process of the sandbox where it is; memory and files stay."""
        sandbox.state = "paused"
        await sandbox.signal_everything(signal.SIGSTOP)

    async def resume(self, sandbox: Sandbox, seconds: float) -> None:
        await sandbox.signal_everything(signal.SIGCONT)
        sandbox.state = "running"
        sandbox.ends_in(seconds)

    async def _reap(self) -> None:
        while True:
            now = time.time()
            for sandbox in self.all():
                # A paused sandbox is kept for as long as the server runs.
                if sandbox.state == "running" and sandbox.ends_at <= now:
                    try:
                        await (self.pause(sandbox) if sandbox.auto_pause else self.kill(sandbox))
                    except Exception:
                        # One sandbox's trouble must not end the reaping of the others.
                        traceback.print_exc()
            await asyncio.sleep(0.2)


def _signal_marked(sandbox_id: str, number: int) -> None:
    """Signal every process whose environment bears the sandbox's mark.

    A process that has both left its session and wiped its environment is not found.
    """
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and process.environ().get(MARK) == sandbox_id:
                process.send_signal(number)
        except (psutil.Error, OSError):
            continue
