"""The RPCs of `filesystem.Filesystem`, after e2b-dev/infra, packages/envd/internal/services."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import shutil
import stat
from collections.abc import AsyncGenerator
from typing import Any, Callable

from ..sandbox.paths import PathEscapes
from ..sandbox.sandboxes import Sandbox
from ..sandbox.watching import Change, look, watch
from .connect_protocol import Call, ConnectError, Method
from .messages import EVENT_TYPE, FILE_TYPE, MESSAGES

Handler = Callable[..., Any]


def _unary(handler: Handler) -> Any:
    """A coroutine that answers with what the handler returns, its errors in Connect's words."""

    async def answer(sandbox: Sandbox, request: Any, call: Call) -> Any:
        try:
            return handler(sandbox, request)
        except PathEscapes as error:
            raise ConnectError("invalid_argument", str(error)) from error
        except FileNotFoundError as error:
            shown = sandbox.paths.in_sandbox(error.filename) if error.filename else ""
            raise ConnectError("not_found", f"path not found: {shown}") from error
        except NotADirectoryError as error:
            raise ConnectError("invalid_argument", f"not a directory: {error}") from error
        except OSError as error:
            raise ConnectError("internal", str(error)) from error

    return answer


def _stat(sandbox: Sandbox, request: Any) -> Any:
    entry = _entry(sandbox, sandbox.paths.on_host(request.path))
    return MESSAGES["filesystem.StatResponse"](entry=entry)


def _make_dir(sandbox: Sandbox, request: Any) -> Any:
    host_path = sandbox.paths.followed(request.path)
    shown = sandbox.paths.absolute(request.path)
    if os.path.isdir(host_path):
        raise ConnectError("already_exists", f"directory already exists: {shown}")
    if os.path.exists(host_path):
        raise ConnectError(
            "invalid_argument", f"path already exists but is not a directory: {shown}"
        )
    os.makedirs(host_path)
    return MESSAGES["filesystem.MakeDirResponse"](entry=_entry(sandbox, host_path))


def _move(sandbox: Sandbox, request: Any) -> Any:
    source = sandbox.paths.on_host(request.source)
    destination = sandbox.paths.on_host(request.destination)
    _refuse_root(sandbox, source)
    if not os.path.lexists(source):
        shown = sandbox.paths.absolute(request.source)
        raise ConnectError("not_found", f"source file not found: {shown}")
    os.makedirs(os.path.dirname(destination), exist_ok=True)
    os.rename(source, destination)
    return MESSAGES["filesystem.MoveResponse"](entry=_entry(sandbox, destination))


def _list_dir(sandbox: Sandbox, request: Any) -> Any:
    entries: list[Any] = []

    def visit(directory: str, depth: int) -> None:
        for name in sorted(os.listdir(directory)):
            host_path = os.path.join(directory, name)
            try:
                entries.append(_entry(sandbox, host_path))
            except FileNotFoundError:
                continue
            if depth > 1 and os.path.isdir(host_path) and not os.path.islink(host_path):
                visit(host_path, depth - 1)

    # envd takes a depth of 0, which means "not given", for 1.
    visit(_directory(sandbox, request.path), request.depth or 1)
    return MESSAGES["filesystem.ListDirResponse"](entries=entries)


def _remove(sandbox: Sandbox, request: Any) -> Any:
    host_path = sandbox.paths.on_host(request.path)
    _refuse_root(sandbox, host_path)
    # Like Go's os.RemoveAll, this is content if nothing was there.
    if os.path.isdir(host_path) and not os.path.islink(host_path):
        shutil.rmtree(host_path)
    elif os.path.lexists(host_path):
        os.remove(host_path)
    return MESSAGES["filesystem.RemoveResponse"]()


async def _watch_dir(sandbox: Sandbox, request: Any, call: Call) -> AsyncGenerator[Any, None]:
    reply = MESSAGES["filesystem.WatchDirResponse"]
    try:
        directory = _directory(sandbox, request.path)
    except PathEscapes as error:
        raise ConnectError("invalid_argument", str(error)) from error
    keepalive = keepalive_interval(call)
    before = look(directory, request.recursive)
    yield reply(start={})
    loop = asyncio.get_running_loop()
    last = loop.time()
    changes = watch(directory, request.recursive, before)
    try:
        async for seen in changes:
            for change in seen:
                last = loop.time()
                yield reply(filesystem=_event(sandbox, directory, change, request.include_entry))
            if loop.time() - last > keepalive:
                last = loop.time()
                yield reply(keepalive={})
    finally:
        await changes.aclose()


def _create_watcher(sandbox: Sandbox, request: Any) -> Any:
    directory = _directory(sandbox, request.path)
    watcher_id = sandbox.watchers.create(directory, request.recursive)
    return MESSAGES["filesystem.CreateWatcherResponse"](watcher_id=watcher_id)


def _get_watcher_events(sandbox: Sandbox, request: Any) -> Any:
    try:
        directory, changes = sandbox.watchers.take(request.watcher_id)
    except KeyError:
        raise ConnectError("not_found", f"watcher with id {request.watcher_id} not found") from None
    return MESSAGES["filesystem.GetWatcherEventsResponse"](
        events=[_event(sandbox, directory, change, False) for change in changes]
    )


def _remove_watcher(sandbox: Sandbox, request: Any) -> Any:
    try:
        sandbox.watchers.remove(request.watcher_id)
    except KeyError:
        raise ConnectError("not_found", f"watcher with id {request.watcher_id} not found") from None
    return MESSAGES["filesystem.RemoveWatcherResponse"]()


def keepalive_interval(call: Call) -> float:
    """Seconds of quiet before a sign of life; the SDKs ask for 50, envd's default is 90."""
    try:
        return max(1.0, float(call.headers.get("keepalive-ping-interval", "90")))
    except ValueError:
        return 90.0


def _directory(sandbox: Sandbox, path: str) -> str:
    host_path = sandbox.paths.followed(path)
    shown = sandbox.paths.absolute(path)
    if not os.path.exists(host_path):
        raise ConnectError("not_found", f"path not found: {shown}")
    if not os.path.isdir(host_path):
        raise ConnectError("invalid_argument", f"path is not a directory: {shown}")
    return host_path


def _refuse_root(sandbox: Sandbox, host_path: str) -> None:
    if host_path == sandbox.paths.root:
        raise ConnectError("invalid_argument", "the sandbox's own directory cannot be changed")


def _event(sandbox: Sandbox, directory: str, change: Change, include_entry: bool) -> Any:
    event = MESSAGES["filesystem.FilesystemEvent"](
        name=change.name, type=EVENT_TYPE[f"EVENT_TYPE_{change.kind}"]
    )
    if include_entry and change.kind not in ("REMOVE", "RENAME"):
        with contextlib.suppress(OSError):
            event.entry.CopyFrom(_entry(sandbox, os.path.join(directory, change.name)))
    return event


def _entry(sandbox: Sandbox, host_path: str) -> Any:
    status = os.lstat(host_path)
    entry = MESSAGES["filesystem.EntryInfo"](
        name=os.path.basename(sandbox.paths.in_sandbox(host_path)) or "/",
        path=sandbox.paths.in_sandbox(host_path),
        owner=_owner(status.st_uid),
        group=_group(status.st_gid),
    )
    if stat.S_ISLNK(status.st_mode):
        entry.symlink_target = os.readlink(host_path)
        # The type is that of what the link points to, if it points to something.
        with contextlib.suppress(OSError):
            status = os.stat(host_path)
    if stat.S_ISDIR(status.st_mode):
        entry.type = FILE_TYPE["FILE_TYPE_DIRECTORY"]
    elif stat.S_ISREG(status.st_mode):
        entry.type = FILE_TYPE["FILE_TYPE_FILE"]
    entry.size = status.st_size
    entry.mode = stat.S_IMODE(status.st_mode)
    entry.permissions = _permissions(status.st_mode)
    entry.modified_time.FromNanoseconds(status.st_mtime_ns)
    return entry


def _permissions(mode: int) -> str:
    """Go's notation: `-rw-r--r--`, `drwxr-xr-x`, `Lrwxrwxrwx`."""
    return stat.filemode(mode).replace("l", "L", 1) if stat.S_ISLNK(mode) else stat.filemode(mode)


@functools.cache
def _owner(uid: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


@functools.cache
def _group(gid: int) -> str:
    import grp

    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


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
        _method("CreateWatcher", _unary(_create_watcher)),
        _method("GetWatcherEvents", _unary(_get_watcher_events)),
        _method("RemoveWatcher", _unary(_remove_watcher)),
        _method("WatchDir", _watch_dir, server_streams=True),
    )
)
