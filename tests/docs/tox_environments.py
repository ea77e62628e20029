"""The environments that tox.ini has."""

from __future__ import annotations

import re
from configparser import ConfigParser

from support.checkout import CHECKOUT

_PREFIX = "testenv:"


def _read() -> ConfigParser:
    tox = ConfigParser(interpolation=None)
    tox.read(CHECKOUT / "tox.ini", "utf-8")
    return tox


def listed() -> list[str]:
    """Those that tox runs if it is told no others."""
    return re.split(r"[\s,]+", _read()["tox"]["env_list"].strip())


def pythons() -> set[str]:
    """The series of Python, such as ``3.11``, that run the tests."""
    found = (re.fullmatch(r"py3(\d+)", name) for name in listed())
    return {f"3.{match[1]}" for match in found if match}


def named() -> set[str]:
    """All that may follow ``tox -e``."""
    sections = {name[len(_PREFIX) :] for name in _read().sections() if name.startswith(_PREFIX)}
    return sections | set(listed())


def dependencies() -> set[str]:
    """The names of the distributions that some environment installs."""
    tox = _read()
    lines = "\n".join(tox[name].get("deps", "") for name in tox.sections()).splitlines()
    return {
        match[1].lower()
        for line in lines
        for match in [re.match(r"(?:[\w{},]+: *)?([A-Za-z][\w.-]*)", line.strip())]
        if match
    }
