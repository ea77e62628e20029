"""A sandbox from within: its users, processes and watchers, and the paths that they mean."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Mapping

from ..plan import PROGRAMS, Plan
from .processes import ProcessTable
from .users import User, Users
from .watching import Watchers

# What of the server's environment a sandbox is to have: how to find programs, packages and the
# way out of the machine. A pod has nothing of the machine that somebody works at either, nor a
# language.
_INHERITED = frozenset({"PATH", "TZ", "LD_LIBRARY_PATH", "PYTHONPATH"})
_INHERITED_PREFIXES = ("PIP_", "UV_", "NPM_CONFIG_", "SSL_CERT_", "DYLD_")
_INHERITED_SUFFIXES = ("_PROXY", "_CA_BUNDLE")
# But where packages are put is the sandbox's own affair; tox, for one, says that.
_NOT_INHERITED = frozenset(
    {"PIP_USER", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_PYTHON", "PIP_REQUIRE_VIRTUALENV"}
)


class House:
    """What envd and the code interpreter of one sandbox have in common."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.users = Users(plan)
        self.processes = ProcessTable()
        self.watchers = Watchers()
        self._inherited = inherited(os.environ)

    def environment(self, user: User) -> dict[str, str]:
        """The environment of a process of a user's."""
        return {
            **self._inherited,
            "HOME": user.home,
            "USER": user.name,
            "LOGNAME": user.name,
            **({} if self.plan.isolated else {"TMPDIR": self.plan.temporary}),
            "E2B_SANDBOX": "false",
            **self.plan.environment,
        }

    def resolve(self, path: str, user: User) -> str:
        """The absolute path that a user's path means, as envd understands it."""
        if path in ("", "~"):
            return user.home
        if path.startswith("~/"):
            path = path[2:]
        return posixpath.normpath(posixpath.join(user.home, path)).replace("//", "/")


def inherited(environment: Mapping[str, str]) -> dict[str, str]:
    """The part of an environment that a sandbox is to have, with the kernels' Python first."""
    kept = {
        name: value
        for name, value in environment.items()
        if name not in _NOT_INHERITED
        and (
            name in _INHERITED
            or name.upper().startswith(_INHERITED_PREFIXES)
            or name.upper().endswith(_INHERITED_SUFFIXES)
        )
    }
    paths = [PROGRAMS, *kept.get("PATH", os.defpath).split(os.pathsep)]
    return {**kept, "PATH": os.pathsep.join(dict.fromkeys(paths))}
