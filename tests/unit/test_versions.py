"""Releases are compared by their numbers, and one that nobody knows is no reason to stop."""

from __future__ import annotations

import sys

import pytest

from kruise_autopatch import versions


@pytest.mark.parametrize(
    ("version", "numbers"),
    [
        ("2.8.0", (2, 8, 0)),
        ("2.8.0b1", (2, 8, 0)),
        ("2.8.0.post1", (2, 8, 0)),
        ("2.10", (2, 10)),
        ("3.rc1", (3,)),
        ("", ()),
    ],
)
def test_three_numbers_of_a_version_count(version: str, numbers: tuple[int, ...]) -> None:
    assert versions.numbers(version) == numbers


@pytest.mark.parametrize(
    ("version", "too_old"),
    [("2.7.9", True), ("1.11.1", True), ("2.8.0", False), ("2.8.0b1", False), ("2.10.0", False)],
)
def test_what_came_before_the_oldest_is_too_old(version: str, too_old: bool) -> None:
    assert versions.is_too_old(version) is too_old
    assert versions.is_too_old(None) is False


def test_what_came_after_the_newest_is_not_proved() -> None:
    for package, newest in versions.NEWEST_PROVED.items():
        first, second, third = versions.numbers(newest)
        assert versions.is_newer_than_proved(package, f"{first}.{second}.{third + 1}")
        assert versions.is_newer_than_proved(package, f"{first + 1}.0.0")
        assert not versions.is_newer_than_proved(package, newest)
        assert not versions.is_newer_than_proved(package, versions.OLDEST[package])
        assert not versions.is_newer_than_proved(package, None)


def test_the_version_of_a_distribution_is_found_by_the_name_of_its_package() -> None:
    from kruise_autopatch import __version__

    assert versions.installed("kruise_autopatch") == __version__
    assert versions.installed("no_such_package") is None


def test_an_sdk_that_does_not_know_its_version_has_that_of_its_distribution(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "e2b", None)
    assert versions.of_e2b() == versions.installed("e2b")
