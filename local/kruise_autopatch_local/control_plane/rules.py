"""What the API refuses in metadata and network rules, with Kubernetes' and its own words."""

from __future__ import annotations

import ipaddress
import re
from typing import NamedTuple

from .errors import ApiError

EXTENSION = "e2b.agents.kruise.io/"
_RESERVED = (EXTENSION, "agents.kruise.io/")
_LABEL = "label:"

_NAME = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]", re.ASCII)
_SUBDOMAIN = re.compile(
    r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*", re.ASCII
)
_RFC_1123 = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", re.ASCII)
_INTEGER = re.compile(r"[+-]?[0-9]{1,18}", re.ASCII)
_DOMAIN = re.compile(
    r"(?=.{1,253}\.?$)[A-Za-z0-9]([-A-Za-z0-9]{0,61}[A-Za-z0-9])?"
    r"(\.[A-Za-z0-9]([-A-Za-z0-9]{0,61}[A-Za-z0-9])?)+\.?",
    re.ASCII,
)

_NAME_RULE = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end "
    "with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for "
    "validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
_LABEL_RULE = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and "
    "must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used "
    "for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)


class Metadata(NamedTuple):
    """Metadata taken apart: what is shown, labels, and options for the server."""

    shown: dict[str, str]
    labels: dict[str, str]
    options: dict[str, str]


_FLAGS = ("return-sandbox-ip", "never-timeout", "create-on-no-stock", "skip-init-runtime")
_NUMBERS = ("claim-timeout-seconds", "wait-ready-timeout-seconds")
_OPTIONS = frozenset({*_FLAGS, *_NUMBERS, "sandbox-name"})


def metadata(given: dict[str, str]) -> Metadata:
    """Take metadata apart. Raises `ApiError`."""
    taken = Metadata({}, {}, {})
    for key, value in given.items():
        option = key[len(EXTENSION) :] if key.startswith(EXTENSION) else None
        if key.startswith(_LABEL):
            name = key[len(_LABEL) :]
            if _name_errors(name):
                raise ApiError(f"Bad extension param: invalid label name [{name}]", 400)
            taken.labels[name] = value
        elif option in _OPTIONS:
            assert option is not None
            _check_option(option, value)
            taken.options[option] = value
        else:
            _check_key(key)
            taken.shown[key] = value
    return taken


def _check_option(option: str, value: str) -> None:
    if option in _NUMBERS and not _INTEGER.fullmatch(value):
        raise ApiError(
            f"Bad extension param: invalid number [{value}]: "
            f'strconv.Atoi: parsing "{value}": invalid syntax',
            400,
        )
    if option == "sandbox-name" and not (_RFC_1123.fullmatch(value) and len(value) <= 63):
        raise ApiError(f"Bad extension param: invalid sandbox-name [{value}]: {_LABEL_RULE}", 400)


def _check_key(key: str) -> None:
    errors = _name_errors(key)
    if errors:
        raise ApiError(f"Unqualified metadata key [{key}]: {', '.join(errors)}", 400)
    if key.startswith(_RESERVED):
        raise ApiError(
            f"Forbidden metadata key [{key}]: cannot contain prefixes: [{' '.join(_RESERVED)}]",
            400,
        )


def _name_errors(key: str) -> list[str]:
    """After Kubernetes' validation.IsQualifiedName."""
    prefix, slash, name = key.rpartition("/")
    errors = []
    if slash and (len(prefix) > 253 or not _SUBDOMAIN.fullmatch(prefix)):
        errors.append("prefix part must be a valid DNS subdomain")
    if not name:
        errors.append("name part must be non-empty")
    elif len(name) > 63:
        errors.append("name part must be no more than 63 bytes")
    if not _NAME.fullmatch(name):
        errors.append(_NAME_RULE)
    return errors


# --- network -------------------------------------------------------------------------------


def network(allow: list[str], deny: list[str]) -> dict[str, list[str]]:
    """Rules as they are shown; those left out are left out. Raises `ApiError`."""
    rules = {
        "allowOut": [_allowed(entry) for entry in allow],
        "denyOut": [_denied(entry) for entry in deny],
    }
    return {name: entries for name, entries in rules.items() if entries}


def _allowed(entry: str) -> str:
    block = _block(entry)
    if block is not None:
        return block
    if not _DOMAIN.fullmatch(entry):
        raise ApiError(f'invalid allowOut entry: "{entry}" is not a valid CIDR, IP, or domain', 400)
    return entry


def _denied(entry: str) -> str:
    block = _block(entry)
    if block is None:
        raise ApiError(
            f'domains are not supported in denyOut: "{entry}" is not a valid CIDR or IP address',
            400,
        )
    return block


def _block(entry: str) -> str | None:
    try:
        return str(ipaddress.ip_network(entry, strict=False))
    except ValueError:
        return None
