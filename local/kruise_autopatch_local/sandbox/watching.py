"""Watching directories, by looking at them ten times a second.

envd uses inotify. Looking again and again needs nothing but the standard library and works
on every platform; a file that comes and goes between two looks is not noticed.
"""

from __future__ import annotations

import asyncio
import os
import stat
import uuid
from collections.abc import AsyncGenerator
from typing import NamedTuple

INTERVAL = 0.1


class Change(NamedTuple):
    """What happened (`CREATE`, `WRITE`, `REMOVE`, `RENAME` or `CHMOD`) to which name."""

    kind: str
    name: str


class _Entry(NamedTuple):
    inode: int
    mode: int
    size: int
    modified: int


def look(directory: str, recursive: bool) -> dict[str, _Entry]:
    """What is in a directory now, by the name relative to it."""
    found: dict[str, _Entry] = {}
    waiting = [""]
    while waiting:
        below = waiting.pop()
        try:
            with os.scandir(os.path.join(directory, below)) as entries:
                for entry in entries:
                    try:
                        status = entry.stat(follow_symlinks=False)
                    except OSError:
                        continue
                    name = os.path.join(below, entry.name)
                    found[name] = _Entry(
                        status.st_ino, status.st_mode, status.st_size, status.st_mtime_ns
                    )
                    if recursive and stat.S_ISDIR(status.st_mode):
                        waiting.append(name)
        except OSError:
            continue
    return found


def compare(before: dict[str, _Entry], after: dict[str, _Entry]) -> list[Change]:
    """The changes between two looks, in the terms of inotify."""
    changes = []
    kept_inodes = {entry.inode for entry in after.values()}
    for name in sorted(before.keys() - after.keys()):
        moved = before[name].inode in kept_inodes
        changes.append(Change("RENAME" if moved else "REMOVE", name))
    old_inodes = {entry.inode for entry in before.values()}
    for name in sorted(after.keys() - before.keys()):
        changes.append(Change("CREATE", name))
        entry = after[name]
        if stat.S_ISREG(entry.mode) and entry.size and entry.inode not in old_inodes:
            changes.append(Change("WRITE", name))
    for name in sorted(before.keys() & after.keys()):
        old, new = before[name], after[name]
        if stat.S_ISREG(new.mode) and (old.size, old.modified) != (new.size, new.modified):
            changes.append(Change("WRITE", name))
        if old.mode != new.mode:
            changes.append(Change("CHMOD", name))
    return changes


async def watch(
    directory: str, recursive: bool, before: dict[str, _Entry]
) -> AsyncGenerator[list[Change], None]:
    """Yield the changes since `before`, a list (often empty) for each look."""
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(INTERVAL)
        after = await loop.run_in_executor(None, look, directory, recursive)
        yield compare(before, after)
        before = after


class Watchers:
    """The watchers of a sandbox that collect changes until they are asked for them."""

    def __init__(self) -> None:
        self._collected: dict[str, list[Change]] = {}
        self._roots: dict[str, tuple[str, asyncio.Task[None]]] = {}

    def create(self, directory: str, recursive: bool) -> str:
        watcher_id = f"w{uuid.uuid4().hex}"
        self._collected[watcher_id] = []
        before = look(directory, recursive)
        task = asyncio.ensure_future(self._collect(watcher_id, directory, recursive, before))
        self._roots[watcher_id] = (directory, task)
        return watcher_id

    def take(self, watcher_id: str) -> tuple[str, list[Change]]:
        """The watched directory and its changes since the last call; KeyError if unknown."""
        changes = self._collected[watcher_id]
        self._collected[watcher_id] = []
        return self._roots[watcher_id][0], changes

    def remove(self, watcher_id: str) -> None:
        _, task = self._roots.pop(watcher_id)
        task.cancel()
        del self._collected[watcher_id]

    async def close(self) -> None:
        for watcher_id in list(self._roots):
            self.remove(watcher_id)

    async def _collect(
        self, watcher_id: str, directory: str, recursive: bool, before: dict[str, _Entry]
    ) -> None:
        async for changes in watch(directory, recursive, before):
            self._collected[watcher_id].extend(changes)
