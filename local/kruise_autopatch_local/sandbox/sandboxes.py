"""Sandboxes: what was asked for, what runs for it now, and how long it lives."""

from __future__ import annotations

import asyncio
import secrets
import time
import traceback
import uuid
from collections import deque
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from . import isolation
from .pods import Pod, Pods

DEFAULT_TEMPLATES = ("base", "code-interpreter", "code-interpreter-v1", "desktop")

FILESYSTEM, MEMORY = "filesystem", "memory"
# What a paused sandbox may keep, as a SandboxSet declares it (`persistentContents`).
PERSISTENT_CONTENTS = (FILESYSTEM, MEMORY)

NAMESPACE = "default"

# Those of names that Kubernetes makes up: no vowels, and nothing that looks like another one.
# A pod's name has five of them. Thirteen cannot be guessed.
_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
_RANDOM = 13

# A paused sandbox's end: about a hundred years from now.
_FOREVER = 100 * 365 * 24 * 3600.0
_CLOSING_AT_ONCE = 16
_TRANSCRIPT = 50


@dataclass(eq=False)
class Sandbox:
    """One sandbox, as the API knows it; no two are equal."""

    id: str
    name: str
    template: str
    # `None`: it never ends.
    ends_at: float | None
    metadata: dict[str, str]
    labels: dict[str, str]
    environment: dict[str, str]
    auto_pause: bool = False
    network: dict[str, Any] = field(default_factory=dict)
    started_at: float = field(default_factory=time.time)
    access_token: str = field(default_factory=lambda: str(uuid.uuid4()))
    uid: str = field(default_factory=lambda: str(uuid.uuid4()))
    state: str = "running"
    pod: Pod | None = None
    # What its commands and its code have said, for whoever watches.
    transcript: deque[Any] = field(default_factory=lambda: deque(maxlen=_TRANSCRIPT))

    def __post_init__(self) -> None:
        # Pausing, resuming and ending happen one after the other.
        self.changing = asyncio.Lock()

    def extend(self, seconds: float) -> None:
        """Postpone the end; it is never brought forward."""
        if self.ends_at is not None:
            self.ends_at = max(self.ends_at, time.time() + seconds)

    def ends_in(self, seconds: float) -> None:
        """Set the end anew, later or earlier."""
        if self.ends_at is not None:
            self.ends_at = time.time() + seconds

    @property
    def shown_end(self) -> float | None:
        """The end as it is told: that of a paused sandbox is far away."""
        return time.time() + _FOREVER if self.state == "paused" else self.ends_at

    def plan(self) -> dict[str, Any]:
        return {"token": self.access_token, "environment": self.environment}


class Sandboxes:
    """All sandboxes of a server, and the reaper that ends those whose time is over."""

    def __init__(
        self, directory: str, pods: Pods, templates: Collection[str], kept: Collection[str]
    ) -> None:
        self.templates = list(dict.fromkeys([*DEFAULT_TEMPLATES, *templates]))
        self._directory = directory
        self._pods = pods
        self._kept = frozenset(kept)
        self._sandboxes: dict[str, Sandbox] = {}
        self._reaper: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._pods.fill()
        self._reaper = asyncio.ensure_future(self._reap())

    async def close(self) -> None:
        """End every sandbox and remove every trace of them."""
        if self._reaper is not None:
            self._reaper.cancel()
        for sandbox in self.all():
            # The kernel takes its time: it may begin with all of them at once.
            if sandbox.pod is not None:
                sandbox.pod.kill()
        several = asyncio.Semaphore(_CLOSING_AT_ONCE)

        async def kill(sandbox: Sandbox) -> None:
            async with several:
                await self.kill(sandbox)

        await asyncio.gather(*map(kill, self.all()), return_exceptions=True)
        await self._pods.close()
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, isolation.remove, self._directory)

    async def create(
        self,
        template: str,
        timeout: float | None,
        metadata: dict[str, str],
        labels: dict[str, str],
        environment: dict[str, str],
        auto_pause: bool,
        network: dict[str, Any],
        name: str | None = None,
    ) -> Sandbox:
        """A running sandbox. Raises `PodError`."""
        letters = "".join(secrets.choice(_LETTERS) for _ in range(_RANDOM))
        name = name or f"{template}-{letters}"
        sandbox = Sandbox(
            id=f"{NAMESPACE}--{name}",
            name=name,
            template=template,
            ends_at=None if timeout is None else time.time() + timeout,
            metadata=metadata,
            labels=labels,
            environment=environment,
            auto_pause=auto_pause,
            network=network,
        )
        sandbox.pod = await self._pods.start(sandbox.plan())
        self._sandboxes[sandbox.id] = sandbox
        return sandbox

    def all(self) -> list[Sandbox]:
        """Every living sandbox, oldest first."""
        return list(self._sandboxes.values())

    def get(self, sandbox_id: str) -> Sandbox | None:
        return self._sandboxes.get(sandbox_id)

    async def kill(self, sandbox: Sandbox) -> None:
        if self._sandboxes.pop(sandbox.id, None) is None:
            return
        sandbox.state = "dead"
        async with sandbox.changing:
            pod, sandbox.pod = sandbox.pod, None
            if pod is not None:
                await pod.stop()
                await pod.remove()

    async def pause(self, sandbox: Sandbox) -> None:
        """Keep what is to be kept: nothing, as of a pod; files; or the running processes."""
        async with sandbox.changing:
            if sandbox.state != "running" or sandbox.pod is None:
                return
            sandbox.state = "paused"
            if MEMORY in self._kept:
                await sandbox.pod.freeze()
                return
            await sandbox.pod.stop()
            if FILESYSTEM not in self._kept:
                pod, sandbox.pod = sandbox.pod, None
                await pod.remove()

    async def resume(self, sandbox: Sandbox, seconds: float) -> None:
        """Let a paused sandbox run again. Raises `PodError`."""
        async with sandbox.changing:
            if sandbox.state != "paused":
                return
            if MEMORY in self._kept and sandbox.pod is not None:
                await sandbox.pod.thaw()
            else:
                kept = sandbox.pod.directory if sandbox.pod is not None else None
                sandbox.pod = await self._pods.start(sandbox.plan(), kept)
            sandbox.state = "running"
            sandbox.ends_in(seconds)

    async def _reap(self) -> None:
        while True:
            now = time.time()
            for sandbox in self.all():
                # A paused sandbox is kept for as long as the server runs.
                if sandbox.state != "running" or sandbox.ends_at is None or sandbox.ends_at > now:
                    continue
                try:
                    await (self.pause(sandbox) if sandbox.auto_pause else self.kill(sandbox))
                except Exception:
                    # One sandbox's trouble must not end the reaping of the others.
                    traceback.print_exc()
            await asyncio.sleep(0.2)
