"""Releases of the SDK that nobody has seen yet: right or closed, never native.

Each is the installed release, mechanically changed as the next one might be. What it then does is
looked at from outside: every URL of a client, and what its API client would ask.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from support import forked
from support.programs import ON

LOOK = """
import e2b
from e2b.api import ApiClient
from packaging.version import Version
try:
    config = MAKE
    ApiClient(config)
    box = e2b.Sandbox(sandbox_id="s1", sandbox_domain=None, envd_version=Version("0.2.10"),
                      envd_access_token=None, connection_config=config)
    urls = [config.api_url, "http://" + box.get_host(80), box.envd_api_url, box.download_url("/f"),
            box.get_mcp_url(), config.get_sandbox_url("s1", "kruise.test")]
    outcome = [url for url in urls if not url.startswith("http://kruise.test/kruise/")] or "right"
except __import__("kruise_autopatch").KruiseAutopatchError as error:
    outcome = f"{type(error).__name__}: {error}"
result = outcome
"""

CONFIG, MAIN = "connection_config.py", "sandbox/main.py"


def append(module: str, code: str) -> Callable[[Path], None]:
    def change(sdk: Path) -> None:
        with (sdk / module).open("a") as source:
            source.write(f"\n\n{code}")

    return change


def replace(module: str, old: str, new: str) -> Callable[[Path], None]:
    def change(sdk: Path) -> None:
        text = (sdk / module).read_text()
        changed, count = re.subn(old, new, text, flags=re.MULTILINE)
        assert count, f"{module} of this release has no {old!r}: the test would prove nothing"
        (sdk / module).write_text(changed)

    return change


def move(sdk: Path) -> None:
    (sdk / CONFIG).rename(sdk / "configuration.py")
    for source in sdk.rglob("*.py"):
        text = source.read_text()
        # Not the volumes' own module of that name.
        changed = re.sub(r"\be2b\.connection_config\b", "e2b.configuration", text)
        if source.parent == sdk:
            changed = changed.replace("from .connection_config", "from .configuration")
        if changed != text:
            source.write_text(changed)


def move_and_re_export(sdk: Path) -> None:
    move(sdk)
    (sdk / CONFIG).write_text(
        "from e2b import configuration\n"
        "globals().update({n: v for n, v in vars(configuration).items() if n[:2] != '__'})\n"
    )


FROZEN = """
def _frozen(self, name, value, _set=ConnectionConfig.__setattr__):
    if name.startswith("_kruise"):
        raise AttributeError(f"cannot assign to field {name!r}")
    _set(self, name, value)
ConnectionConfig.__setattr__ = _frozen
"""
DROPPING = """
def _known(self, name, value, _set=ConnectionConfig.__setattr__):
    if not name.startswith("_kruise"):
        _set(self, name, value)
ConnectionConfig.__setattr__ = _known
"""
PROPERTY = """
ConnectionConfig.get_host = property(
    lambda self: lambda sandbox_id, domain, port: f"{port}-{sandbox_id}.{domain or self.domain}")
"""
FACTORY = """
_Class = ConnectionConfig
def ConnectionConfig(**options):
    return _Class(**options)
"""
SECOND_CONSTRUCTOR = """
def _from_environment(cls):
    self = object.__new__(cls)
    cls._fill(self, api_key="k")
    return self
ConnectionConfig._fill = lambda self, __fill=ConnectionConfig.__init__, **options: __fill(
    self, **options)
ConnectionConfig.from_environment = classmethod(_from_environment)
"""
OVERRIDING = """
class RegionalConfig(ConnectionConfig):
    def get_host(self, sandbox_id, sandbox_domain, port):
        return f"{port}-{sandbox_id}.eu.{sandbox_domain or self.domain}"
    def get_sandbox_url(self, sandbox_id, sandbox_domain, *port):
        return "https://" + self.get_host(sandbox_id, sandbox_domain, self.envd_port)
"""
ON_INSTANCES = """
def _init(self, *args, __init=ConnectionConfig.__init__, **options):
    __init(self, *args, **options)
    self.get_host = lambda sandbox_id, domain, port: f"{port}-{sandbox_id}.{domain or self.domain}"
ConnectionConfig.__init__ = _init
"""
MODULE_FUNCTION = """
def make_host(config, sandbox_id, domain, port):
    return f"{port}-{sandbox_id}.{domain or config.domain}"
SandboxBase.get_host = lambda self, port: make_host(
    self.connection_config, self.sandbox_id, self.sandbox_domain, port)
"""
NEW_API_HOST = """
def _init(self, config, *args, __init=ApiClient.__init__, **options):
    __init(self, config, *args, **options)
    self._base_url = "https://api-v3." + config.domain
ApiClient.__init__ = _init
"""

RIGHT, CLOSED = r"right", r"\w+Error: .*"
CONFIGURATION = "e2b.ConnectionConfig(api_key='k')"

# What is changed, how it may come out, and how a client is made.
RELEASES: dict[str, tuple[Callable[[Path], None], str, str]] = {
    "a renamed method": (
        replace(CONFIG, r"def get_host\(", "def get_hostname("),
        CLOSED,
        CONFIGURATION,
    ),
    "a moved module": (move, CLOSED, CONFIGURATION),
    "a moved module, re-exported": (move_and_re_export, RIGHT, CONFIGURATION),
    "a frozen class": (
        append(CONFIG, FROZEN),
        r"IncompatibleSDKError: .*cannot keep",
        CONFIGURATION,
    ),
    "a class that drops names": (
        append(CONFIG, DROPPING),
        "UnpatchedClientError: .*",
        CONFIGURATION,
    ),
    "a property": (append(CONFIG, PROPERTY), r"IncompatibleSDKError: .*property", CONFIGURATION),
    "a factory": (append(CONFIG, FACTORY), CLOSED, CONFIGURATION),
    "a second constructor": (
        append(CONFIG, SECOND_CONSTRUCTOR),
        "UnpatchedClientError: .*",
        "e2b.ConnectionConfig.from_environment()",
    ),
    "an overriding subclass": (
        append(CONFIG, OVERRIDING),
        RIGHT,
        "__import__('e2b.connection_config').connection_config.RegionalConfig(api_key='k')",
    ),
    "methods on each instance": (append(CONFIG, ON_INSTANCES), CLOSED, CONFIGURATION),
    "a function of a module": (
        append(MAIN, MODULE_FUNCTION),
        r"IncompatibleSDKError: .*",
        CONFIGURATION,
    ),
    "another host for the API": (
        append("api/__init__.py", NEW_API_HOST),
        r"IncompatibleSDKError: .*api-v3\.kruise\.test",
        CONFIGURATION,
    ),
    "another parameter": (
        replace(CONFIG, r"def get_host\(self, sandbox_id:", "def get_host(self, name:"),
        CLOSED,
        CONFIGURATION,
    ),
}


def outcome_of(change: Callable[[Path], None], make: str, directory: Path) -> str:
    spec = find_spec("e2b")
    assert spec is not None
    assert spec.origin is not None
    sdk = directory / "e2b"
    shutil.copytree(Path(spec.origin).parent, sdk, ignore=shutil.ignore_patterns("__pycache__"))
    change(sdk)
    variables = {**ON, "PYTHONPATH": str(directory), "PYTHONDONTWRITEBYTECODE": "1"}
    # What fails at the import fails the whole program.
    whole = f"try:\n{_indented(LOOK.replace('MAKE', make))}\nexcept ImportError as error:\n"
    whole += "    result = f'{type(error).__name__}: {error}'"
    found: Any = forked.value(whole, variables)
    return str(found)


def _indented(code: str) -> str:
    return "\n".join(f"    {line}" for line in code.splitlines())


@pytest.mark.parametrize("release", RELEASES)
def test_a_future_release_is_right_or_closed(tmp_path: Path, release: str) -> None:
    change, expected, make = RELEASES[release]
    found = outcome_of(change, make, tmp_path)
    assert re.match(expected, found), found


def test_the_installed_release_is_right_as_it_is(tmp_path: Path) -> None:
    assert outcome_of(lambda sdk: None, CONFIGURATION, tmp_path) == "right"
