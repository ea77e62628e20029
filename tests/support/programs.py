"""What most programs of the tests do, the variables that they get, and how they are run."""

from __future__ import annotations

import sysconfig
from pathlib import Path

from support import fresh

ON = {"KRUISE_E2B_PATCH": "1", "KRUISE_E2B_HTTPS": "0", "E2B_DOMAIN": "kruise.test"}
OFF = {"E2B_DOMAIN": "kruise.test"}
# Where a client leads then.
PRIVATE, NATIVE = "http://kruise.test/kruise/api", "https://api.kruise.test"

# Says where; written into every program.
URL = "__import__('e2b').ConnectionConfig(api_key='k').api_url"


def script(name: str) -> str:
    """The command ``name`` of the environment under test, a Python program."""
    return str(Path(sysconfig.get_path("scripts"), name))


def output(*arguments: str | Path, variables: dict[str, str] | None = None) -> list[str]:
    """The lines that ``python ARGUMENTS`` prints; it must end well."""
    done = fresh.run([str(argument) for argument in arguments], {**ON, **(variables or {})})
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"
    return done.stdout.splitlines()
