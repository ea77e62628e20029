"""Runs in a process of its own: imports the SDK, native first, then patches it, and reports.

So a broken SDK, or one that prints or exits, cannot break the doctor.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import sys
import warnings
from collections.abc import Callable
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
    usable = _is_usable(packages.get("e2b"))
    patched = _urls() if usable else {}
    own_urls = usable and _keeps_its_urls()
    return {"packages": packages, "native": native, "patched": patched, "own_urls": own_urls}


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
        "tolerated": None,
        "failure": None,
        "configurable": True,
        "points": [],
    }


def _patch(name: str, package: dict[str, Any]) -> None:
    # Not before: without wrapt they cannot be imported.
    from kruise_autopatch import activation, commands

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
            package["tolerated"] = _parts(warning.message)
    # To patch one package patches those that are imported already, too.
    applied = commands.status().patches
    package["points"] = [p for p in applied if re.split("[.:]", p.name)[0] == name]


def _is_usable(package: dict[str, Any] | None) -> bool:
    """Whether a program that is switched on would get this package."""
    if package is None or not package["configurable"]:
        return False
    return not any(package[key] for key in ("error", "refusal", "failure"))


def _keeps_its_urls() -> bool:
    """Whether a client is one of OpenKruise's by the SDK's own URLs."""
    from e2b import ConnectionConfig

    from kruise_autopatch.patches import carried
    from kruise_autopatch.patches.route import NativeRoute

    try:
        return isinstance(carried.any_of(ConnectionConfig()), NativeRoute)
    except Exception:
        # _urls says why.
        return False


def _urls() -> dict[str, Any]:
    """The URLs of a client that is built from the variables alone."""
    from e2b import ConnectionConfig

    try:
        config = ConnectionConfig()
    except ConfigurationError:
        return {}
    except Exception as reason:
        return {"error": f"{type(reason).__name__}: {reason}"}
    ways: dict[str, Callable[[], str]] = {
        "api": lambda: config.api_url,
        "sandbox": lambda: config.get_sandbox_url(SANDBOX, config.domain),
        "host": lambda: config.get_host(SANDBOX, config.domain, 3000),
    }
    urls: dict[str, Any] = {"failures": {}}
    for key, way in ways.items():
        try:
            urls[key] = way()
        except Exception as reason:
            urls["failures"][key] = f"{type(reason).__name__}: {reason}"
    return urls
