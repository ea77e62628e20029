"""The accounts inside a sandbox: `root`, `user`, and whoever else its image knows."""

from __future__ import annotations

import os
import pwd
from typing import NamedTuple

from ..plan import USER, Plan


class UnknownUser(Exception):
    """There is no such account."""


class User(NamedTuple):
    """An account, and the home directory that its relative paths start from."""

    name: str
    uid: int
    gid: int
    home: str


class Users:
    """Finds accounts. Where a sandbox cannot have its own, all of them are the server's."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan

    def find(self, name: str) -> User:
        """The account of that name. Raises `UnknownUser`."""
        plan = self._plan
        if plan.isolated:
            try:
                entry = pwd.getpwnam(name)
            except (KeyError, ValueError):
                raise UnknownUser(name) from None
            if plan.accounts:
                return User(name, entry.pw_uid, entry.pw_gid, entry.pw_dir)
            return User(name, os.getuid(), os.getgid(), entry.pw_dir)
        if name not in (USER, "root", _own_name()):
            raise UnknownUser(name)
        return User(name, os.getuid(), os.getgid(), plan.home)


def _own_name() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return USER
