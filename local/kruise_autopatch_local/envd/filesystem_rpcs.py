"""The RPCs of `filesystem.Filesystem`, after e2b-dev/infra, packages/envd/internal/services."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import grp
import os
import pwd
import shutil
import stat
from collections.abc import AsyncGenerator
from typing import Any, Callable

from ..inside.house import House
from ..inside.users import User
from ..inside.watching import MOST_CHANGES, Change, watch
from .callers import caller
from .connect_protocol import Call, ConnectError, Method, keepalive_interval
from .http_api import make_directories
from .messages import EVENT_TYPE, FILE_TYPE, MESSAGES

Handler = Callable[[House, Any, User], Any]


def _unary(handler: Handler) -> Any:
    """A coroutine that answers with what the handler returns, its errors in Connect's words."""

    async def answer(house: House, request: Any, call: Call) -> Any:
        user = caller(house, call)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(None, handler, house, request, user)

    return answer


def _stat(house: House, request: Any, user: User) -> Any:
    path = house.resolve(request.path, user)
    return MESSAGES["filesystem.StatResponse"](entry=_entry(path))


def _make_dir(house: House, request: Any, user: User) -> Any:
    path = house.resolve(request.path, user)
    try:
        found = os.stat(path)
    except FileNotFoundError:
        pass
    except (OSError, ValueError) as error:
        raise _internal(f"error getting file info: stat {path}", error) from error
    else:
        if stat.S_ISDIR(found.st_mode):
            raise ConnectError("already_exists", f"directory already exists: {path}")
        raise ConnectError(
            "invalid_argument", f"path already exists but it is not a directory: {path}"
        )
    try:
        make_directories(path, user)
    except OSError as error:
        raise _internal(f"error ensuring directories: mkdir {path}", error) from error
    entry = MESSAGES["filesystem.EntryInfo"](
        name=os.path.basename(path), path=path, type=FILE_TYPE["FILE_TYPE_DIRECTORY"]
    )
    return MESSAGES["filesystem.MakeDirResponse"](entry=entry)


def _move(house: House, request: Any, user: User) -> Any:
    source = house.resolve(request.source, user)
    destination = house.resolve(request.destination, user)
    what = f"rename {source} {destination}"
    try:
        make_directories(os.path.dirname(destination), user)
        if source == destination and os.path.isdir(source):
            # rename(2) is content with that, Go's is not.
            raise FileExistsError(17, "File exists")
        os.rename(source, destination)
    except FileNotFoundError as error:
        message = f"source file not found: {what}: no such file or directory"
        raise ConnectError("not_found", message) from error
    except (OSError, ValueError) as error:
        raise _internal(f"error renaming: {what}", error) from error
    return MESSAGES["filesystem.MoveResponse"](entry=_entry(destination))


def _list_dir(house: House, request: Any, user: User) -> Any:
    path = house.resolve(request.path, user)
    try:
        is_directory = stat.S_ISDIR(os.stat(path).st_mode)
        os.lstat(path)
    except FileNotFoundError as error:
        message = f"path not found: lstat {path}: no such file or directory"
        raise ConnectError("not_found", message) from error
    except (OSError, ValueError) as error:
        raise _internal(f"error getting path info: lstat {path}", error) from error
    if not is_directory:
        raise ConnectError("invalid_argument", f"path is not a directory: {path}")
    entries: list[Any] = []

    def visit(directory: str, depth: int) -> None:
        try:
            names = sorted(os.listdir(directory))
        except OSError as error:
            raise _internal(f"error reading directory: open {directory}", error) from error
        for name in names:
            below = os.path.join(directory, name)
            try:
                entries.append(_entry(below))
            except ConnectError:
                continue
            if depth > 1 and os.path.isdir(below) and not os.path.islink(below):
                visit(below, depth - 1)

    # envd takes a depth of 0, which means "not given", for 1.
    visit(path, request.depth or 1)
    return MESSAGES["filesystem.ListDirResponse"](entries=entries)


def _remove(house: House, request: Any, user: User) -> Any:
    path = house.resolve(request.path, user)
    try:
        # Like Go's os.RemoveAll, this is content if nothing was there.
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)
        elif os.path.lexists(path):
            os.remove(path)
    except (OSError, ValueError) as error:
        raise _internal("error removing file or directory", error) from error
    return MESSAGES["filesystem.RemoveResponse"]()


# --- watching ------------------------------------------------------------------------------


async def _watch_dir(house: House, request: Any, call: Call) -> AsyncGenerator[Any, None]:
    reply = MESSAGES["filesystem.WatchDirResponse"]
    directory = _watched(house, request, call)
    changes: asyncio.Queue[Change] = asyncio.Queue(MOST_CHANGES)

    def tell(change: Change) -> None:
        with contextlib.suppress(asyncio.QueueFull):
            changes.put_nowait(change)

    watched = _started(directory, request.recursive, tell)
    try:
        yield reply(start={})
        while True:
            try:
                change = await asyncio.wait_for(changes.get(), keepalive_interval(call))
            except asyncio.TimeoutError:
                yield reply(keepalive={})
            else:
                yield reply(filesystem=_event(directory, change, request.include_entry))
    finally:
        watched.close()


async def _create_watcher(house: House, request: Any, call: Call) -> Any:
    directory = _watched(house, request, call)
    try:
        watcher_id = house.watchers.create(directory, request.recursive)
    except OSError as error:
        raise _internal("error adding path to watcher", error) from error
    return MESSAGES["filesystem.CreateWatcherResponse"](watcher_id=watcher_id)


async def _get_watcher_events(house: House, request: Any, call: Call) -> Any:
    try:
        directory, changes = await house.watchers.take(request.watcher_id)
    except KeyError:
        raise ConnectError("not_found", f"watcher with id {request.watcher_id} not found") from None
    return MESSAGES["filesystem.GetWatcherEventsResponse"](
        events=[_event(directory, change, False) for change in changes]
    )


async def _remove_watcher(house: House, request: Any, call: Call) -> Any:
    try:
        house.watchers.remove(request.watcher_id)
    except KeyError:
        raise ConnectError("not_found", f"watcher with id {request.watcher_id} not found") from None
    return MESSAGES["filesystem.RemoveWatcherResponse"]()


def _watched(house: House, request: Any, call: Call) -> str:
    path = house.resolve(request.path, caller(house, call))
    try:
        is_directory = stat.S_ISDIR(os.stat(path).st_mode)
    except FileNotFoundError as error:
        message = f"path {path} not found: stat {path}: no such file or directory"
        raise ConnectError("not_found", message) from error
    except (OSError, ValueError) as error:
        raise _internal(f"error statting path {path}: stat {path}", error) from error
    if not is_directory:
        # envd wraps an error that is none here.
        raise ConnectError("invalid_argument", f"path {path} not a directory: %!w(<nil>)")
    return path


def _started(directory: str, recursive: bool, tell: Callable[[Change], None]) -> Any:
    try:
        return watch(directory, recursive, tell)
    except OSError as error:
        raise _internal("error adding path to watcher", error) from error


def _event(directory: str, change: Change, include_entry: bool) -> Any:
    event = MESSAGES["filesystem.FilesystemEvent"](
        name=change.name, type=EVENT_TYPE[f"EVENT_TYPE_{change.kind}"]
    )
    if include_entry and change.kind not in ("REMOVE", "RENAME"):
        with contextlib.suppress(ConnectError):
            event.entry.CopyFrom(_entry(os.path.join(directory, change.name)))
    return event


# --- entries -------------------------------------------------------------------------------


def _entry(path: str) -> Any:
    try:
        status = os.lstat(path)
    except FileNotFoundError as error:
        message = f"file not found: lstat {path}: no such file or directory"
        raise ConnectError("not_found", message) from error
    except (OSError, ValueError) as error:
        raise _internal(f"error getting file info: lstat {path}", error) from error
    entry = MESSAGES["filesystem.EntryInfo"](
        name=os.path.basename(path) or "/",
        path=path,
        owner=_owner(status.st_uid),
        group=_group(status.st_gid),
        size=status.st_size,
        permissions=_permissions(status.st_mode),
    )
    entry.modified_time.FromNanoseconds(status.st_mtime_ns)
    if stat.S_ISLNK(status.st_mode):
        target = os.path.realpath(path)
        entry.symlink_target = target
        # The type and the mode are those of what the link points to, if there is something.
        with contextlib.suppress(OSError):
            status = os.stat(path)
    if stat.S_ISDIR(status.st_mode):
        entry.type = FILE_TYPE["FILE_TYPE_DIRECTORY"]
    elif stat.S_ISREG(status.st_mode):
        entry.type = FILE_TYPE["FILE_TYPE_FILE"]
    # Go's Perm(): without the set-user-id, set-group-id and sticky bits.
    entry.mode = status.st_mode & 0o777
    return entry


def _permissions(mode: int) -> str:
    """Go's notation: `-rw-r--r--`, `drwxr-xr-x`, `Lrwxrwxrwx`, `dtrwxrwxrwx`."""
    shown = stat.filemode(mode & ~0o7000)
    if stat.S_ISLNK(mode):
        return f"L{shown[1:]}"
    return f"{shown[0]}t{shown[1:]}" if mode & stat.S_ISVTX else shown


@functools.cache
def _owner(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


@functools.cache
def _group(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


def _internal(what: str, error: Exception) -> ConnectError:
    """An error that has no code of its own, in Go's words."""
    reason = getattr(error, "strerror", None) or "invalid argument"
    return ConnectError("internal", f"{what}: {reason.lower()}")


def _method(name: str, handler: Any, **streams: bool) -> tuple[str, Method]:
    request_type = MESSAGES[f"filesystem.{name}Request"]
    return f"/filesystem.Filesystem/{name}", Method(request_type, handler, **streams)


METHODS: dict[str, Method] = dict(
    (
        _method("Stat", _unary(_stat)),
        _method("MakeDir", _unary(_make_dir)),
        _method("Move", _unary(_move)),
        _method("ListDir", _unary(_list_dir)),
        _method("Remove", _unary(_remove)),
        _method("CreateWatcher", _create_watcher),
        _method("GetWatcherEvents", _get_watcher_events),
        _method("RemoveWatcher", _remove_watcher),
        _method("WatchDir", _watch_dir, server_streams=True),
    )
)
