"""The doctor on variables: their values, and what they mean."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from kruise_autopatch import protocol, settings, variables
from kruise_autopatch.api_keys import decode_api_key, encode_api_key
from kruise_autopatch.cli.doctor.findings import Finding, found
from kruise_autopatch.errors import ConfigurationError

# Kubernetes sets these for a Service whose name begins with kruise-e2b or e2b.
_SERVICE_LINK = re.compile(
    r"\w+_(?:SERVICE_HOST|SERVICE_PORT(?:_\w+)?|PORT(?:_\d+_(?:TCP|UDP|SCTP)(?:_\w+)?)?)"
)

_ENCODED_PREFIX = encode_api_key("x")[:14]

Environment = Mapping[str, str]


def check(environment: Environment) -> Iterator[Finding]:
    """Every variable of ours, those of the SDK that are set, and the key."""
    for ours in settings.VARIABLES:
        yield _unusable(environment, ours) or _check_ours(environment, ours)
    yield from _unknown(environment)
    yield _check_domain(environment)
    for variable in variables.VARIABLES:
        value = environment.get(variable.name)
        if value and variable.name in _IF_SET:
            yield from _IF_SET[variable.name](variable, value)
    yield _check_key(environment)


# --- ours ----------------------------------------------------------------------------------------


def _check_ours(environment: Environment, variable: settings.Variable) -> Finding:
    check, shown = _id(variable.name), _shown(environment, variable.name)
    if variable is settings.PATCH:
        if settings.is_enabled(environment):
            return found(check, "switched-on", shown=shown)
        late = None if variable.name in environment else env_file(Path.cwd())
        code = "switched-off" if late is None else "switched-on-too-late"
        return found(check, code, shown=shown, name=variable.name, path=late)
    code = "setting" if environment.get(variable.name) else "setting-by-default"
    return found(check, code, shown=shown, default=variable.default, meaning=variable.meaning)


def env_file(directory: Path) -> Path | None:
    """The ``.env`` file that a program in this directory would read, if it switches us on.

    python-dotenv looks in the directories above, too, and takes the first file.
    """
    for each in (directory, *directory.parents):
        path = each / ".env"
        try:
            text = path.read_text("utf-8", "replace")
        except OSError:
            continue
        return path if _SWITCH.search(text) else None
    return None


# Only whether it is there: what it is worth is for the program's reader to say.
_SWITCH = re.compile(rf"^[ \t]*(?:export[ \t]+)?{settings.PATCH.name}[ \t]*=", re.MULTILINE)


def _unusable(environment: Environment, variable: settings.Variable) -> Finding | None:
    """The error that a variable on its own would cause, if any."""
    alone = {variable.name: environment.get(variable.name, "")}
    try:
        settings.is_enabled(alone)
        settings.from_environment(alone)
        if variable is settings.PROTOCOL:
            # It may contradict others, which are looked at on their own.
            settings.from_environment({**_usable(environment), **alone})
    except ConfigurationError as error:
        return _refused(variable.name, error)
    return None


def _usable(environment: Environment) -> Environment:
    """Those of ours that can be used, each on its own."""
    others = [each for each in settings.VARIABLES if each is not settings.PROTOCOL]
    usable = [each.name for each in others if _unusable(environment, each) is None]
    return {name: environment.get(name, "") for name in usable}


def _unknown(environment: Environment) -> Iterator[Finding]:
    """Names of ours that do not exist, and names that are close to one that does."""
    ours, theirs = variables.names(variables.OURS), variables.names(variables.SDK)
    for name in sorted(environment):
        if name in ours or name in theirs or _SERVICE_LINK.fullmatch(name):
            continue
        is_prefixed = name.startswith("KRUISE_E2B_")
        close = _closest(name.upper(), ours if is_prefixed else (*ours, *theirs))
        if close in ours:
            yield found(_id(name), "variable-misspelt", name=name, close=close)
        elif is_prefixed:
            yield found(_id(name), "variable-unknown", name=name)
        elif close:
            yield found(_id(name), "variable-unknown-to-sdk", name=name, close=close)


def _closest(name: str, names: Sequence[str]) -> str | None:
    (close, *_) = [*difflib.get_close_matches(name, names, 1, 0.85), None]
    return close


# --- the SDK's -----------------------------------------------------------------------------------


def _check_domain(environment: Environment) -> Finding:
    name, value = "E2B_DOMAIN", environment.get("E2B_DOMAIN")
    check = _id(name)
    if not value:
        private = protocol.parse_api_url(environment.get("E2B_API_URL", ""))
        return found(check, "domain-from-api-url" if private else "domain-unset", name=name)
    try:
        settings.checked_domain(value, name)
    except ConfigurationError as error:
        return _refused(name, error)
    code = "domain-public" if protocol.is_public(value) else "domain"
    among = settings.NATIVE_DOMAINS
    if _unusable(environment, among) is None and code == "domain":
        listed = settings.from_environment({among.name: environment.get(among.name, "")})
        code = "domain-left-native" if listed.leaves_alone(value) else "domain"
    return found(check, code, name=name, value=value, among=among.name)


def _explicit_url(variable: variables.Variable, value: str) -> Iterator[Finding]:
    name = variable.name
    yield found(_id(name), "explicit-url", name=name, value=value, meaning=variable.meaning)


def _debug_mode(variable: variables.Variable, value: str) -> Iterator[Finding]:
    # Any other word leaves it off.
    if value.lower() == "true":
        yield found(_id(variable.name), "debug-mode", value=value)


def _certificates(variable: variables.Variable, value: str) -> Iterator[Finding]:
    name = variable.name
    yield found(_id(name), "certificates-chosen", name=name, value=value, meaning=variable.meaning)


def _secret(variable: variables.Variable, value: str) -> Iterator[Finding]:
    yield found(_id(variable.name), "secret-set", shown=_hidden(variable.name, value))


_IF_SET: Mapping[str, Callable[[variables.Variable, str], Iterator[Finding]]] = {
    "E2B_ACCESS_TOKEN": _secret,
    "E2B_API_URL": _explicit_url,
    "E2B_SANDBOX_URL": _explicit_url,
    "E2B_VOLUME_API_URL": _explicit_url,
    "E2B_DEBUG": _debug_mode,
    "SSL_CERT_FILE": _certificates,
}

# The first that is true says what is wrong with a key.
_KEYS: Sequence[tuple[Callable[[str], bool], str]] = (
    (lambda key: key != key.strip(), "key-padded"),
    (lambda key: key[0] == key[-1] and key[0] in "'\"", "key-quoted"),
    (lambda key: key.startswith(("$(", "${", "{{")), "key-unresolved"),
    (lambda key: not (key.isascii() and key.isprintable()), "key-unprintable"),
    (lambda key: not key.startswith(_ENCODED_PREFIX), "key-raw"),
    (lambda key: True, "key-encoded"),
)


def _check_key(environment: Environment) -> Finding:
    name = "E2B_API_KEY"
    check, key = _id(name), environment.get(name)
    if not key:
        return found(check, "key-unset", name=name)
    shown = _hidden(name, key)
    code = next(code for applies, code in _KEYS if applies(key))
    if code == "key-encoded":
        try:
            decode_api_key(key)
        except ConfigurationError as error:
            return found(check, "key-damaged", shown=shown, problem=error.problem)
    return found(check, code, shown=shown)


# --- how they are shown --------------------------------------------------------------------------


def _id(name: str) -> str:
    return f"variable:{name}"


def _refused(name: str, error: ConfigurationError) -> Finding:
    return found(_id(name), "variable-unusable", problem=error.problem, advice=error.advice)


def _shown(environment: Environment, name: str) -> str:
    value = environment.get(name)
    if value is None:
        return f"{name} is unset"
    return f"{name}={value}" if value else f"{name} is empty"


def _hidden(name: str, value: str) -> str:
    assert name in variables.SECRETS
    return f"{name} is set, {len(value)} characters"
