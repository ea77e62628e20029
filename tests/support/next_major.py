"""The next major version of the SDK, as far as it can be told: the installed release, changed.

What its source announces (``api_url``, ``sandbox_url`` and their variables go away), and what it
may do without saying so. Each change is one of the text, so that a release without that text is
none that it could be tried on.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from support import sdks

VERSION = "3.0.0"
# The first one that all these changes fit; the newest is meant.
SINCE = "2.63.0"

_PACKAGES = ("e2b", "e2b_code_interpreter")
_CONFIG = "e2b/connection_config.py"
_VOLUMES = "e2b/volume/connection_config.py"
_SANDBOX = "e2b/sandbox/main.py"
_API = "e2b/api/__init__.py"
_JUPYTERS = (
    "e2b_code_interpreter/code_interpreter_sync.py",
    "e2b_code_interpreter/code_interpreter_async.py",
)


class Edit(NamedTuple):
    """Every match of a pattern in a module is replaced."""

    module: str
    pattern: str
    new: str


Change = Sequence[Edit]

# --- fields and variables that go away ------------------------------------------------------------

_DROPPED: Change = (
    *(
        edit
        for module, reader in ((_CONFIG, "_api_url"), (_VOLUMES, "_volume_api_url"))
        for edit in (
            Edit(module, r"        (api|sandbox)_url: Optional\[str\] = None,\n", ""),
            Edit(module, rf"    @staticmethod\n    def {reader}\(\):\n.*\n\n", ""),
            Edit(
                module,
                rf"            api_url\n            or \w+\.{reader}\(\)\n            or ",
                "",
            ),
            Edit(module, r"        api_url = opts\.get\(.*\n", ""),
            Edit(module, r"                api_url=api_url .*\n", ""),
        )
    ),
    Edit(_CONFIG, r"    @staticmethod\n    def _sandbox_url\(\):\n.*\n\n", ""),
    Edit(_CONFIG, r"        self\._sandbox_url: [^=]*= \([^)]*\(\)\n        \)\n", ""),
    Edit(_CONFIG, r"        if self\._sandbox_url:\n.*\n\n", ""),
    Edit(_CONFIG, r"        sandbox_url = opts\.get\(.*\n", ""),
    Edit(_CONFIG, r"                sandbox_url=\((?:.*\n){5}", ""),
    *(
        Edit(f"e2b/volume/volume_{flavour}.py", r"            api_url=opts\.get\(.*\n", "")
        for flavour in ("sync", "async")
    ),
)

# The URL of the API is no field any more: a property, or made where it is used.
_PROPERTY: Change = (
    *_DROPPED,
    Edit(_CONFIG, r"        self\.api_url = \((?:.*\n){2}        \)\n", ""),
    Edit(
        _CONFIG,
        r"    def get_request_timeout",
        "    @property\n    def api_url(self):\n        return f'https://api.{self.domain}'\n\n"
        r"    def get_request_timeout",
    ),
)
_MADE_WHERE_USED: Change = (
    *_DROPPED,
    Edit(_CONFIG, r"        self\.api_url = \((?:.*\n){2}        \)\n", ""),
    Edit(_API, r"base_url=config\.api_url", 'base_url=f"https://api.{config.domain}"'),
)
# Only the names have changed, and somebody uses the new ones.
_RENAMED: Change = (
    Edit(_CONFIG, r"E2B_API_URL", "E2B_BASE_URL"),
    Edit(_CONFIG, r"\bapi_url: Optional\[str\] = None", "base_url: Optional[str] = None"),
    Edit(_CONFIG, r"            api_url\n            or", "            base_url\n            or"),
    Edit(_CONFIG, r"def _api_url\(", "def _base_url("),
    Edit(_CONFIG, r"ConnectionConfig\._api_url\(", "ConnectionConfig._base_url("),
)

# --- functions that others import ----------------------------------------------------------------

_BUILDERS = """

def make_host(config, sandbox_id, sandbox_domain, port):
    return f"{port}-{sandbox_id}.{sandbox_domain or config.domain}"


def make_url(config, sandbox_id, sandbox_domain, port):
    return f"https://{make_host(config, sandbox_id, sandbox_domain, port)}"
"""
_IMPORTED = "from e2b.connection_config import (\n    make_host,\n    make_url,\n"
_FUNCTIONS: Change = (
    Edit(_CONFIG, r"\Z", _BUILDERS),
    Edit(_SANDBOX, r"from e2b\.connection_config import \(\n", _IMPORTED),
    *(
        Edit(
            _SANDBOX,
            rf"self\.connection_config\.{method}\(\n\s+self\.sandbox_id, self\.sandbox_domain",
            f"{function}(self.connection_config, self.sandbox_id, self.sandbox_domain{port}",
        )
        for method, function, port in (
            ("get_sandbox_url", "make_url", ", 49983"),
            ("get_sandbox_direct_url", "make_url", ", 49983"),
            ("get_host", "make_host", ""),
        )
    ),
)
# The same, but the methods are gone.
_FUNCTIONS_ALONE: Change = (
    *_FUNCTIONS,
    Edit(_CONFIG, r"    def get_(host|sandbox_url|sandbox_direct_url)\(", r"    def _made_\1("),
)
# Only of the URL for links.
_DIRECT_FUNCTION: Change = (*_FUNCTIONS[:2], _FUNCTIONS[3])

_JUPYTER_FUNCTION = """

def get_jupyter_url(sandbox):
    return f"https://{JUPYTER_PORT}-{sandbox.sandbox_id}.{sandbox.sandbox_domain}"
"""
_JUPYTER: Change = (
    Edit("e2b_code_interpreter/constants.py", r"\Z", _JUPYTER_FUNCTION),
    *(
        edit
        for module in _JUPYTERS
        for edit in (
            Edit(module, r"    JUPYTER_PORT,\n", "    JUPYTER_PORT,\n    get_jupyter_url,\n"),
            Edit(module, r"\{self\._jupyter_url\}", "{get_jupyter_url(self)}"),
        )
    ),
)
_JUPYTER_ALONE: Change = (
    *_JUPYTER,
    *(Edit(module, r"def _jupyter_url\(", "def _unused(") for module in _JUPYTERS),
)

# --- ports and hosts -----------------------------------------------------------------------------

# The local sandbox-manager serves envd on the one that it has today, so nothing is asked of it.
_PORT: Change = (
    Edit(_CONFIG, r"envd_port = 49983", "envd_port = 49984"),
    Edit(_SANDBOX, r"mcp_port = 50005", "mcp_port = 49985"),
    Edit("e2b_code_interpreter/constants.py", r"= 49999", "= 49986"),
)
_CONSTANT_PORT: Change = (
    Edit(_CONFIG, r"    envd_port = 49983\n", ""),
    Edit(_CONFIG, r"\b(self|ConnectionConfig)\.envd_port", "ENVD_PORT"),
    Edit(_CONFIG, r"REQUEST_TIMEOUT: float", "ENVD_PORT = 49984\nREQUEST_TIMEOUT: float"),
    *(
        Edit(f"e2b/sandbox_{flavour}/main.py", r"ConnectionConfig\.envd_port", "49984")
        for flavour in ("sync", "async")
    ),
)
_API_HOST: Change = (Edit(_CONFIG, r"https://api\.\{self", "https://api-v3.{self"),)

# --- configurations that keep nothing of others ------------------------------------------------

_REFUSE = """
    def __setattr__(self, name, value):
        if self.__dict__.get("_sealed"):
            from dataclasses import FrozenInstanceError
            raise FrozenInstanceError(f"cannot assign to field {name!r}")
        object.__setattr__(self, name, value)

    @staticmethod
    def _get_request_timeout("""
_SEAL = r"\g<0>        self._sealed = True\n"
_FROZEN: Change = (
    Edit(_CONFIG, r"\n    @staticmethod\n    def _get_request_timeout\(", _REFUSE),
    Edit(_CONFIG, r"        self\.http_version: HttpVersion = .*\n", _SEAL),
)
_SLOTS: Change = (
    # The class has a method of the name of this attribute, which no class with slots can.
    Edit(_CONFIG, r"self\._sandbox_url\b(?!\()", "self._given_url"),
    Edit(
        _CONFIG,
        r"    envd_port = 49983\n",
        "    __slots__ = ('logger', 'domain', 'debug', 'api_key', 'validate_api_key', 'headers',\n"
        "        '_user_agent_is_sdk_built', '__extra_sandbox_headers', 'proxy', 'retries',\n"
        "        'request_timeout', 'api_url', '_given_url', 'http_version')\n\n"
        r"\g<0>",
    ),
)

CHANGES: dict[str, Change] = {
    "nothing": (),
    "fields dropped": _DROPPED,
    "the API's URL a property": _PROPERTY,
    "the API's URL no field": _MADE_WHERE_USED,
    "fields renamed": _RENAMED,
    "functions of a module": _FUNCTIONS,
    "functions instead of methods": _FUNCTIONS_ALONE,
    "a function for links": _DIRECT_FUNCTION,
    "a function for Jupyter": _JUPYTER,
    "a function instead of Jupyter's property": _JUPYTER_ALONE,
    "new ports": _PORT,
    "a port as a constant": _CONSTANT_PORT,
    "another host for the API": _API_HOST,
    "a frozen configuration": _FROZEN,
    "a configuration with slots": _SLOTS,
    "all at once": (*_PROPERTY, *_FUNCTIONS, *_JUPYTER, *_PORT, *_API_HOST, *_FROZEN),
}


def install(change: Change, destination: Path) -> dict[str, str]:
    """Put the changed release somewhere, and return the variables that make an interpreter import
    it."""
    for package in _PACKAGES:
        spec = find_spec(package)
        assert spec is not None
        assert spec.origin is not None
        ignored: Callable[..., set[str]] = shutil.ignore_patterns("__pycache__")
        shutil.copytree(Path(spec.origin).parent, destination / package, ignore=ignored)
    for module, pattern, new in change:
        source = destination / module
        changed, count = re.subn(pattern, new, source.read_text("utf-8"))
        assert count, f"{module} of this release has no {pattern!r}: the test would prove nothing"
        source.write_text(changed, "utf-8")
    return {**sdks.other_version(destination, VERSION), "PYTHONDONTWRITEBYTECODE": "1"}
