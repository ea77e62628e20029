"""Both ways of watching a directory: the kernel's, and that of machines whose kernel has none."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Callable

import pytest

from kruise_autopatch_local.inside import watching
from kruise_autopatch_local.inside.watching import Change, Watchers
from support.fresh import PATIENCE

WAYS = [pytest.param(watching._Looking, id="looking")]
if os.path.exists("/proc/sys/fs/inotify"):
    WAYS.append(pytest.param(watching._Inotify, id="inotify"))

# What is done, in this order, and a change by which it is told.
STEPS: list[tuple[Callable[[Path], Any], Change]] = [
    (lambda d: (d / "new").write_text("text"), Change("WRITE", "new")),
    (lambda d: (d / "new").write_text("more text"), Change("WRITE", "new")),
    (lambda d: (d / "new").chmod(0o600), Change("CHMOD", "new")),
    (lambda d: (d / "new").rename(d / "newer"), Change("RENAME", "new")),
    (lambda d: (d / "newer").unlink(), Change("REMOVE", "newer")),
    (lambda d: (d / "below").mkdir(), Change("CREATE", "below")),
]
BELOW = [
    (lambda d: (d / "below" / "file").write_text("text"), Change("CREATE", "below/file")),
    (lambda d: (d / "below" / "a" / "b").mkdir(parents=True), Change("CREATE", "below/a/b")),
]


async def told(
    way: Any, directory: Path, recursive: bool, steps: Iterable[Any]
) -> tuple[list[Change], list[Change]]:
    """The changes that were told, and those of the steps that came."""
    seen: list[Change] = []
    news = asyncio.Event()

    def tell(change: Change) -> None:
        seen.append(change)
        news.set()

    came = []
    watch = way(str(directory), recursive, tell)
    for act, change in steps:
        already = seen.count(change)
        act(directory)
        while seen.count(change) == already:
            news.clear()
            await asyncio.wait_for(news.wait(), PATIENCE)
        came.append(change)
    watch.close()
    (directory / "unseen").write_text("")
    await asyncio.sleep(0)
    return seen, came


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("recursive", [False, True])
def test_every_change_is_told(way: Any, recursive: bool, tmp_path: Path) -> None:
    steps = STEPS + BELOW if recursive else STEPS
    seen, came = asyncio.run(told(way, tmp_path, recursive, steps))
    assert came == [change for _, change in steps]
    assert Change("CREATE", "new") in seen
    assert Change("CREATE", "newer") in seen
    assert not any("unseen" in change.name for change in seen)


@pytest.mark.parametrize("way", WAYS)
def test_what_happens_below_is_not_told_unless_it_is_asked_for(way: Any, tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    steps = [(lambda d: (BELOW[0][0](d), (d / "last").mkdir()), Change("CREATE", "last"))]
    seen, _ = asyncio.run(told(way, tmp_path, False, steps))
    assert not any(change.name.startswith("below/") for change in seen)


@pytest.mark.skipif(len(WAYS) == 1, reason="elsewhere, it may come later")
def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    async def watched() -> None:
        watching.watch(str(tmp_path / "missing"), False, lambda change: None)

    with pytest.raises(FileNotFoundError):
        asyncio.run(watched())


def test_changes_are_kept_until_they_are_taken(tmp_path: Path) -> None:
    async def taken() -> list[tuple[str, list[Change]]]:
        watchers = Watchers()
        watcher = watchers.create(str(tmp_path), recursive=False)
        found: list[tuple[str, list[Change]]] = []
        while not found or not found[-1][1]:
            (tmp_path / "directory").mkdir(exist_ok=True)
            found.append(await watchers.take(watcher))
        watchers.remove(watcher)
        with pytest.raises(KeyError):
            await watchers.take(watcher)
        return found

    directory, changes = asyncio.run(taken())[-1]
    assert (directory, changes) == (str(tmp_path), [Change("CREATE", "directory")])
