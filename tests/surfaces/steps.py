"""What a conversation was asked to do, how it takes a step, and what it has found so far.

The names of the steps are those of ``tables.py``. Every step leaves a trace: a URL, a result, an
answer, an error, or that this release does not have it.
"""

from __future__ import annotations

import inspect
import json
import os
import sys
from collections.abc import Callable
from typing import Any

# Settled before the SDK is imported.
MODE, WAY, SCHEME, DOMAIN, API_KEY = sys.argv[1:]

_OPTIONS: dict[str, dict[str, Any]] = {
    "argument": {"domain": DOMAIN, "api_key": API_KEY},
    "debug": {"debug": True, "api_key": API_KEY},
    # See support/native.py.
    "native": {"proxy": os.environ.get("KRUISE_TEST_PROXY")},
}
OPTIONS = _OPTIONS.get(WAY, {})

# What every client is to be built with, whatever its domain and its key are.
CONNECTION = {name: value for name, value in OPTIONS.items() if name == "proxy"}

# The same server by another name.
OTHER_DOMAIN = DOMAIN.replace("127.0.0.1", "localhost")

_only: list[str] | None = json.loads(DOMAIN) if WAY == "debug" else None

tried: set[str] = set()
urls: dict[str, str] = {}
results: dict[str, Any] = {}
# What came of asking for something that no OpenKruise server has: an exception, or a value.
answers: dict[str, str] = {}
errors: dict[str, str] = {}
absent: list[str] = []
# Sandboxes that were created by way of OTHER_DOMAIN.
others: list[str] = []

# Errors about the program, not about an answer of the server.
_PROGRAMMING_ERRORS = (AttributeError, ImportError, NameError, TypeError)


class NotReachedError(Exception):
    """A step needs what an earlier one should have returned."""


class Failed:
    """Stands for what a failed step should have returned."""

    def __init__(self, step: str) -> None:
        self._step = step

    def __getattr__(self, name: str) -> Any:
        raise NotReachedError(f"{self._step} failed")


async def settle(value: Any) -> Any:
    return await value if inspect.isawaitable(value) else value


async def attempt(name: str, action: Callable[[], Any]) -> Any:
    """What ``action`` returns, awaited if need be; ``Failed``, and an entry, if it raises."""
    if _only is not None and name not in _only:
        return Failed(name)
    tried.add(name)
    try:
        return await settle(action())
    except Exception as error:
        errors.setdefault(name, f"{type(error).__name__}: {error}")
        return Failed(name)


async def url(name: str, action: Callable[[], str]) -> None:
    found = await attempt(name, action)
    if not isinstance(found, Failed):
        urls[name] = found


def same(value: Any) -> Any:
    return value


async def result(name: str, action: Callable[[], Any], of: Callable[[Any], Any] = same) -> None:
    done = await attempt(name, action)
    value = await attempt(name, lambda: of(done))
    if name not in errors and not isinstance(value, Failed):
        results[name] = value


async def answer(name: str, action: Callable[[], Any]) -> None:
    """Note what the SDK makes of the server's refusal."""

    async def ask() -> str:
        try:
            value = await settle(action())
        except (*_PROGRAMMING_ERRORS, NotReachedError):
            raise
        except Exception as error:
            package = type(error).__module__.partition(".")[0]
            return f"{package}.{type(error).__name__}"
        return repr(value)

    given = await attempt(name, ask)
    if not isinstance(given, Failed):
        answers[name] = given


def lacks(*names: str) -> None:
    """This release, or its async client, does not have these."""
    absent.extend(names)


def taken_by(function: Any) -> dict[str, Any]:
    """The options that it takes: templates of e2b up to 2.9 take no ``proxy=``.

    All clients of those releases share one transport, so it is in force there, too.
    """
    parameters = inspect.signature(function).parameters
    takes_any = any(each.kind is each.VAR_KEYWORD for each in parameters.values())
    return {name: value for name, value in OPTIONS.items() if takes_any or name in parameters}


def accepts(function: Any, parameter: str) -> bool:
    return parameter in inspect.signature(function).parameters
