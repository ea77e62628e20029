"""The doctor on variables: their values, and what they mean."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence

from kruise_autopatch import protocol, settings
from kruise_autopatch.api_keys import decode_api_key, encode_api_key
from kruise_autopatch.cli.doctor.censor import SECRETS
from kruise_autopatch.cli.doctor.findings import Finding, State, divided
from kruise_autopatch.errors import ConfigurationError
from kruise_autopatch.settings import Variable

# The SDK's own variables, and what one that is set means here.
_SDK_VARIABLES = {
    "E2B_API_URL": "wins over the domain, for the API",
    "E2B_SANDBOX_URL": "wins over the domain, for files and commands",
    "E2B_VOLUME_API_URL": "wins over the domain, for volumes",
}
_FALSE = ("", "0", "false")

# What else e2b reads, in some release; a name that is close to one of these is a slip.
_OTHER_SDK_VARIABLES = (
    "E2B_API_KEY",
    "E2B_ACCESS_TOKEN",
    "E2B_CONNECTION_RETRIES",
    "E2B_DEBUG",
    "E2B_DOMAIN",
    "E2B_ENVD_POOL_SHARDS",
    "E2B_HTTP_VERSION",
    "E2B_KEEPALIVE_EXPIRY",
    "E2B_MAX_CONNECTIONS",
    "E2B_MAX_KEEPALIVE_CONNECTIONS",
    "E2B_STREAMS_PER_CONNECTION",
    "E2B_VALIDATE_API_KEY",
)

# Kubernetes sets these for a Service whose name begins with kruise-e2b or e2b.
_SERVICE_LINK = re.compile(
    r"\w+_(?:SERVICE_HOST|SERVICE_PORT(?:_\w+)?|PORT(?:_\d+_(?:TCP|UDP|SCTP)(?:_\w+)?)?)"
)

_ENCODED_PREFIX = encode_api_key("x")[:14]


def check(environment: Mapping[str, str]) -> Iterator[Finding]:
    """Every variable of ours, those of the SDK that are set, and the key."""
    yield _check_patch(environment)
    for variable in settings.VARIABLES:
        if variable != settings.PATCH:
            yield _check_setting(environment, variable)
    yield from _unknown(environment)
    yield _check_domain(environment)
    for name, meaning in _SDK_VARIABLES.items():
        if environment.get(name):
            yield Finding(_id(name), "note", f"{name}={environment[name]}: {meaning}")
    if environment.get("E2B_DEBUG", "").lower() not in _FALSE:
        yield Finding(
            _id("E2B_DEBUG"),
            "problem",
            f"E2B_DEBUG={environment['E2B_DEBUG']}: the SDK talks to localhost, natively",
            "unset it.",
        )
    if environment.get("SSL_CERT_FILE"):
        bundle = environment["SSL_CERT_FILE"]
        text = f"SSL_CERT_FILE={bundle}: the only certificates that are trusted"
        yield Finding(_id("SSL_CERT_FILE"), "ok", text)
    yield _check_key(environment)
    token = environment.get("E2B_ACCESS_TOKEN")
    if token:
        yield Finding(_id("E2B_ACCESS_TOKEN"), "ok", _hidden("E2B_ACCESS_TOKEN", token))


def _id(name: str) -> str:
    return f"variable:{name}"


def _check_patch(environment: Mapping[str, str]) -> Finding:
    variable = settings.PATCH
    problem = _problem(environment, variable)
    if problem:
        return problem
    if settings.is_enabled(environment):
        return Finding(_id(variable.name), "ok", f"{_shown(environment, variable)}: on")
    return Finding(
        _id(variable.name),
        "problem",
        f"{_shown(environment, variable)}: off, the SDK stays native",
        f"set {variable.name}=1 before the interpreter starts; in a shell, export it.",
    )


def _check_setting(environment: Mapping[str, str], variable: Variable) -> Finding:
    problem = _problem(environment, variable)
    if problem:
        return problem
    default = "" if environment.get(variable.name) else f", so {variable.default}"
    text = f"{_shown(environment, variable)}{default} ({variable.meaning})"
    return Finding(_id(variable.name), "ok", text)


def _problem(environment: Mapping[str, str], variable: Variable) -> Finding | None:
    """The error that a variable on its own would cause, if any."""
    alone = {variable.name: environment.get(variable.name, "")}
    try:
        settings.is_enabled(alone)
        settings.from_environment(alone)
    except ConfigurationError as error:
        return Finding(_id(variable.name), "problem", *divided(str(error)))
    return None


def _shown(environment: Mapping[str, str], variable: Variable) -> str:
    value = environment.get(variable.name)
    if value is None:
        return f"{variable.name} is unset"
    return f"{variable.name}={value}" if value else f"{variable.name} is empty"


def _unknown(environment: Mapping[str, str]) -> Iterator[Finding]:
    """Names of ours that do not exist, and names that are close to one that does."""
    ours = [variable.name for variable in settings.VARIABLES]
    theirs = [*_SDK_VARIABLES, *_OTHER_SDK_VARIABLES]
    for name in sorted(environment):
        if name in ours or name in theirs or _SERVICE_LINK.fullmatch(name):
            continue
        prefixed = name.startswith("KRUISE_E2B_")
        close = _closest(name.upper(), [*ours, *(() if prefixed else theirs)])
        if prefixed or close in ours:
            text = f"{name} is set, but there is no such variable"
            advice = f"did you mean {close}?" if close else "unset it, or upgrade kruise-autopatch."
            yield Finding(_id(name), "problem", text, advice)
        elif close:
            text = f"{name} is set, but e2b knows no such variable"
            yield Finding(_id(name), "note", text, f"did you mean {close}?")


def _closest(name: str, names: Sequence[str]) -> str | None:
    (close, *_) = [*difflib.get_close_matches(name, names, 1, 0.85), None]
    return close


def _check_domain(environment: Mapping[str, str]) -> Finding:
    name, value = "E2B_DOMAIN", environment.get("E2B_DOMAIN")
    if not value:
        if protocol.parse_api_url(environment.get("E2B_API_URL", "")):
            return Finding(_id(name), "ok", f"{name} is unset, so the host of E2B_API_URL")
        return Finding(
            _id(name),
            "problem",
            f"{name} is unset: only programs that pass domain= know where to send requests",
            "set it to the host and port of your sandbox-manager, for example"
            " agents-sandbox-manager.sandbox-system.svc.cluster.local:7788.",
        )
    try:
        settings.checked_domain(value, name)
    except ConfigurationError as error:
        return Finding(_id(name), "problem", *divided(str(error)))
    if protocol.is_public(value):
        return Finding(
            _id(name),
            "problem",
            f"{name}={value} is E2B's own cloud, which is never rewritten",
            "set it to the host of your sandbox-manager.",
        )
    return Finding(_id(name), "ok", f"{name}={value}")


def _check_key(environment: Mapping[str, str]) -> Finding:
    name = "E2B_API_KEY"
    key = environment.get(name)
    if not key:
        return Finding(
            _id(name),
            "problem",
            f"{name} is unset: only programs that pass api_key= can use the server",
            "set it, for example from a Secret.",
        )
    state: State = "problem"
    advice: str | None = "copy the key again."
    text = _hidden(name, key)
    if key != key.strip():
        text += ", with a space or a line break at an end"
        advice = "remove it; often it is the newline of a Secret that was made from a file."
    elif key[0] == key[-1] and key[0] in "'\"":
        text += ", with quotation marks around it"
        advice = "remove them; docker's --env-file, for one, takes them for a part of the value."
    elif key.startswith(("$(", "${", "{{")):
        text += ", and looks like a reference that nobody has resolved"
        advice = "look at what should have put the key in its place."
    elif not (key.isascii() and key.isprintable()):
        text += ", with characters that no HTTP header can carry"
    elif not key.startswith(_ENCODED_PREFIX):
        state, text, advice = "ok", f"{text}, raw form", None
    else:
        try:
            decode_api_key(key)
            state, text, advice = "ok", f"{text}, encoded form", None
        except ConfigurationError as error:
            text += f", damaged encoded form: {str(error).partition(';')[0].rstrip('.')}"
    return Finding(_id(name), state, text, advice)


def _hidden(name: str, value: str) -> str:
    assert name in SECRETS
    return f"{name} is set, {len(value)} characters"
