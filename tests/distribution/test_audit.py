"""The start-up path does nothing but import our own modules, and nothing at all while off."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import cache_from_source
from pathlib import Path

import pytest

from distribution import auditing
from distribution.environments import OFF, ON, Environment

Events = set[tuple[str, str]]

PTH = "kruise_autopatch.pth"


@pytest.fixture(scope="session")
def watched(new_environment: Callable[[], Environment], wheel: Path) -> Environment:
    environment = new_environment()
    environment.install("pip", wheel)
    auditing.watch(environment)
    return environment


def reading_the_line(environment: Environment) -> Events:
    """What ``site`` itself does, for each line of each ``.pth`` file."""
    line = (environment.site_packages / PTH).read_text("ascii").strip()
    return {("open", f"{PTH} r"), ("compile", line), ("exec", "<string>")}


def importing(module: str) -> Events:
    """What Python does to import a package of ours that pip has compiled."""
    source = f"{module.replace('.', '/')}/__init__.py"
    return {("import", module), ("open", f"{cache_from_source(source)} r"), ("exec", source)}


@pytest.mark.parametrize("variables", [OFF, {**OFF, "KRUISE_E2B_PATCH": ""}], ids=["off", "empty"])
def test_off_the_line_touches_nothing(watched: Environment, variables: dict[str, str]) -> None:
    assert auditing.events(watched, variables) == reading_the_line(watched)


def test_on_it_imports_our_package_and_touches_nothing_else(watched: Environment) -> None:
    (ours,) = watched.start_up(ON).our_modules
    # Byte code is unmarshalled.
    expected = reading_the_line(watched) | {("marshal.loads", "")} | importing(ours)
    assert auditing.events(watched, ON) == expected


@pytest.mark.parametrize(
    ("line", "event"),
    [
        ("import os; open(os.devnull).close()", "open"),
        ("import socket; socket.socket().close()", "socket.__new__"),
        ("import os; os.system('true')", "os.system"),
        ("import subprocess; subprocess.run(['true'])", "subprocess.Popen"),
    ],
)
def test_the_audit_sees_what_such_a_line_could_do(
    line: str, event: str, new_environment: Callable[[], Environment]
) -> None:
    environment = new_environment()
    auditing.watch(environment)
    (environment.site_packages / PTH).write_text(f"{line}\n", "ascii")
    seen = {name for name, _ in auditing.events(environment, OFF) - reading_the_line(environment)}
    assert event in seen
