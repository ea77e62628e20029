"""Runs in a process of its own: imports the SDK, native first, then patches it, and reports.

So a broken SDK, or one that prints or exits, cannot break the doctor.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import warnings
from importlib.util import find_spec
from typing import Any

from kruise_autopatch import PACKAGES, settings, start_up, versions
from kruise_autopatch.errors import (
    CannotPatchError,
    ConfigurationError,
    IncompatibleSDKWarning,
    KruiseAutopatchError,
)

# Stands for the id of a sandbox in the URLs that are shown.
SANDBOX = "SANDBOX"


def main() -> None:
    """Print the report as one line of JSON."""
    try:
        result = report()
    except CannotPatchError as error:
        result = {"refusal": _parts(error)}
    print(json.dumps(result), flush=True)
    # The transport of some SDK releases may abort an interpreter's ordinary end.
    os._exit(0)


def report() -> dict[str, Any]:
    """What is installed, how it looks natively, and what patching does to it."""
    # Whatever has begun at start-up: here the order is ours.
    start_up.stop_waiting()
    packages = {name: _imported(name) for name in PACKAGES if find_spec(name) is not None}
    native = _urls() if "e2b" in sys.modules else {}
    os.environ[settings.PATCH.name] = "1"
    for name, package in packages.items():
        if package["error"] is None:
            _patch(name, package)
    private = _urls() if "e2b" in sys.modules else {}
    return {"packages": packages, "native": native, "private": private}


def _parts(error: KruiseAutopatchError | IncompatibleSDKWarning) -> dict[str, Any]:
    return {"problem": error.problem, "advice": error.advice}


def _imported(name: str) -> dict[str, Any]:
    error = None
    try:
        module = importlib.import_module(name)
    except Exception as reason:
        error = f"{type(reason).__name__}: {reason}"
    else:
        error = None if getattr(module, "__file__", None) else "it is a directory without code"
    return {
        "version": versions.installed(name),
        "error": error,
        "refusal": None,
        "failure": None,
        "configurable": True,
        "points": [],
    }


def _patch(name: str, package: dict[str, Any]) -> None:
    # Not before: without wrapt they cannot be imported.
    from kruise_autopatch import activation, commands

    before = set(commands.status().patches)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            activation.on_import(sys.modules[name])
        except ConfigurationError:
            package["configurable"] = False
        except KruiseAutopatchError as error:
            package["refusal"] = _parts(error)
        except Exception as reason:
            package["failure"] = f"{type(reason).__name__}: {reason}"
    for warning in caught:
        if isinstance(warning.message, IncompatibleSDKWarning):
            package["refusal"] = _parts(warning.message)
    package["points"] = [p for p in commands.status().patches if p not in before]


def _urls() -> dict[str, str]:
    """The URLs of a client that is built from the variables alone."""
    from e2b import ConnectionConfig

    try:
        config = ConnectionConfig()
        return {
            "api": config.api_url,
            "sandbox": config.get_sandbox_url(SANDBOX, config.domain),
            "host": config.get_host(SANDBOX, config.domain, 3000),
        }
    except ConfigurationError:
        return {}
    except Exception as reason:
        return {"error": f"{type(reason).__name__}: {reason}"}
