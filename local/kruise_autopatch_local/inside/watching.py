"""Watching directories: by inotify where there is one, else by looking ten times a second.

The kinds of a change are those of Go's fsnotify, which envd uses. Without inotify, a file that
comes and goes between two looks is not noticed.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import stat
import struct
import sys
import uuid
from collections.abc import Iterator
from typing import Callable, NamedTuple, Protocol

INTERVAL = 0.1
# A listener that does not read loses what comes after so many changes.
MOST_CHANGES = 10_000


class Change(NamedTuple):
    """What happened (`CREATE`, `WRITE`, `REMOVE`, `RENAME` or `CHMOD`) to which name."""

    kind: str
    name: str


class Watch(Protocol):
    """A directory that is being watched; `close` ends it."""

    def close(self) -> None: ...


def watch(directory: str, recursive: bool, tell: Callable[[Change], None]) -> Watch:
    """Tell of every change in a directory from now on, in a running event loop."""
    if sys.platform == "linux":
        return _Inotify(directory, recursive, tell)
    return _Looking(directory, recursive, tell)


# --- Linux ---------------------------------------------------------------------------------

_MODIFY, _ATTRIB, _MOVED_FROM, _MOVED_TO, _CREATE, _DELETE = 0x2, 0x4, 0x40, 0x80, 0x100, 0x200
_IS_DIRECTORY, _ONLY_DIRECTORY = 0x40000000, 0x01000000
_WANTED = _MODIFY | _ATTRIB | _MOVED_FROM | _MOVED_TO | _CREATE | _DELETE
_KINDS = (
    (_CREATE | _MOVED_TO, "CREATE"),
    (_MODIFY, "WRITE"),
    (_DELETE, "REMOVE"),
    (_MOVED_FROM, "RENAME"),
    (_ATTRIB, "CHMOD"),
)
_EVENT = struct.Struct("iIII")


class _Inotify:
    def __init__(self, directory: str, recursive: bool, tell: Callable[[Change], None]) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._root = directory
        self._recursive = recursive
        self._tell = tell
        self._names: dict[int, str] = {}
        self._descriptor = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._descriptor < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        try:
            self._add("", new=False)
        except OSError:
            os.close(self._descriptor)
            raise
        asyncio.get_running_loop().add_reader(self._descriptor, self._read)

    def close(self) -> None:
        if self._descriptor >= 0:
            asyncio.get_running_loop().remove_reader(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1

    def _add(self, name: str, new: bool) -> None:
        """Watch a directory, and those below it; of a new one, tell what is in it already."""
        path = os.path.join(self._root, name)
        watched = self._libc.inotify_add_watch(
            self._descriptor, os.fsencode(path), _WANTED | _ONLY_DIRECTORY
        )
        if watched < 0:
            if name:
                return  # It has gone already.
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), path)
        self._names[watched] = name
        if not self._recursive:
            return
        try:
            with os.scandir(path) as entries:
                for entry in entries:
                    below = os.path.join(name, entry.name)
                    if new:
                        self._tell(Change("CREATE", below))
                    if entry.is_dir(follow_symlinks=False):
                        self._add(below, new)
        except OSError:
            pass

    def _read(self) -> None:
        try:
            data = os.read(self._descriptor, 64 * 1024)
        except OSError:
            return
        for watched, mask, name in _events(data):
            directory = self._names.get(watched)
            if directory is None or not name:
                continue
            below = os.path.join(directory, name)
            for kinds, kind in _KINDS:
                if mask & kinds:
                    self._tell(Change(kind, below))
            if self._recursive and mask & _IS_DIRECTORY and mask & (_CREATE | _MOVED_TO):
                self._add(below, new=True)


def _events(data: bytes) -> Iterator[tuple[int, int, str]]:
    position = 0
    while position < len(data):
        watched, mask, _, length = _EVENT.unpack_from(data, position)
        position += _EVENT.size
        name = os.fsdecode(data[position : position + length].rstrip(b"\0"))
        position += length
        yield watched, mask, name


# --- elsewhere -----------------------------------------------------------------------------


class Entry(NamedTuple):
    inode: int
    mode: int
    size: int
    modified: int


class _Looking:
    def __init__(self, directory: str, recursive: bool, tell: Callable[[Change], None]) -> None:
        before = look(directory, recursive)
        self._task = asyncio.ensure_future(self._go_on(directory, recursive, tell, before))

    def close(self) -> None:
        self._task.cancel()

    async def _go_on(
        self,
        directory: str,
        recursive: bool,
        tell: Callable[[Change], None],
        before: dict[str, Entry],
    ) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(INTERVAL)
            after = await loop.run_in_executor(None, look, directory, recursive)
            for change in compare(before, after):
                tell(change)
            before = after


def look(directory: str, recursive: bool) -> dict[str, Entry]:
    """What is in a directory now, by the name relative to it."""
    found: dict[str, Entry] = {}
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
                    found[name] = Entry(
                        status.st_ino, status.st_mode, status.st_size, status.st_mtime_ns
                    )
                    if recursive and stat.S_ISDIR(status.st_mode):
                        waiting.append(name)
        except OSError:
            continue
    return found


def compare(before: dict[str, Entry], after: dict[str, Entry]) -> list[Change]:
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


# --- both ----------------------------------------------------------------------------------


class Watchers:
    """The watchers of a sandbox that collect changes until they are asked for them."""

    def __init__(self) -> None:
        self._watchers: dict[str, tuple[str, Watch, list[Change]]] = {}

    def create(self, directory: str, recursive: bool) -> str:
        collected: list[Change] = []

        def collect(change: Change) -> None:
            if len(collected) < MOST_CHANGES:
                collected.append(change)

        watcher_id = f"w{uuid.uuid4().hex}"
        self._watchers[watcher_id] = (directory, watch(directory, recursive, collect), collected)
        return watcher_id

    async def take(self, watcher_id: str) -> tuple[str, list[Change]]:
        """The watched directory and its changes since the last call; KeyError if unknown."""
        directory, _, collected = self._watchers[watcher_id]
        # What the kernel has noted already is to be seen: the loop looks there once more.
        await asyncio.sleep(0.01)
        changes = list(collected)
        collected.clear()
        return directory, changes

    def remove(self, watcher_id: str) -> None:
        _, watched, _ = self._watchers.pop(watcher_id)
        watched.close()
