"""Two builds of the same sources are the same file, whoever makes them, where and when."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from distribution.archives import files_of
from distribution.environments import build, unpack

each_hook = pytest.mark.parametrize("hook", ["build_wheel", "build_sdist"])
# Where in the checkout a distribution is built.
each_distribution = pytest.mark.parametrize("place", [".", "local"], ids=["package", "local"])


@pytest.fixture
def new_directory(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Path]:
    return lambda: tmp_path_factory.mktemp("built")


def set_times_and_modes(source: Path, time: int, mode: int) -> None:
    for path in source.rglob("*"):
        if path.is_file():
            os.utime(path, (time, time))
            path.chmod(mode)


def digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


@each_distribution
@each_hook
def test_two_builds_are_the_same_file(
    hook: str, place: str, copy_of_checkout: Callable[[], Path], new_directory: Callable[[], Path]
) -> None:
    here, there = copy_of_checkout(), copy_of_checkout().rename(new_directory() / "elsewhere")
    set_times_and_modes(here, 1_000_000_000, 0o644)
    set_times_and_modes(there, 1_700_000_000, 0o600)
    first = build(hook, here / place, new_directory(), {"LC_ALL": "C", "TZ": "UTC0"}, umask=0o022)
    second = build(
        hook, there / place, new_directory(), {"LC_ALL": "C.UTF-8", "TZ": "X-9"}, umask=0o077
    )
    assert (first.name, digest(first)) == (second.name, digest(second))


@each_hook
def test_the_time_of_the_build_can_be_chosen(
    hook: str, copy_of_checkout: Callable[[], Path], new_directory: Callable[[], Path]
) -> None:
    def digest_at(time: str) -> str:
        variables = {"SOURCE_DATE_EPOCH": time}
        return digest(build(hook, copy_of_checkout(), new_directory(), variables))

    # Time 0 is before the first one that a zip archive can hold.
    assert digest_at("0") != digest_at("1700000000") == digest_at("1700000000")


@each_distribution
def test_the_sdist_builds_the_same_wheel_to_the_byte(
    place: str, copy_of_checkout: Callable[[], Path], new_directory: Callable[[], Path]
) -> None:
    sdist = build("build_sdist", copy_of_checkout() / place, new_directory())
    from_sdist = build("build_wheel", unpack(sdist, new_directory()), new_directory())
    from_checkout = build("build_wheel", copy_of_checkout() / place, new_directory())
    assert digest(from_sdist) == digest(from_checkout)


@each_distribution
def test_the_sdist_builds_the_same_sdist(
    place: str, copy_of_checkout: Callable[[], Path], new_directory: Callable[[], Path]
) -> None:
    sdist = build("build_sdist", copy_of_checkout() / place, new_directory())
    again = build("build_sdist", unpack(sdist, new_directory()), new_directory())
    assert files_of(again) == files_of(sdist)
