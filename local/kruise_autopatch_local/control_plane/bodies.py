"""Request bodies, read as Go's encoding/json reads them into structs, with its messages."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from starlette.requests import Request

_SPACE = " \t\r\n"


class BadBody(ValueError):
    """A body that is no JSON, or of another form; the message is Go's."""


class Struct(NamedTuple):
    """A Go struct: its name, and its fields' names and types."""

    name: str
    fields: dict[str, str]


NEW_SANDBOX = Struct(
    "NewSandboxRequest",
    {
        "templateID": "string",
        "timeout": "int",
        "autoPause": "bool",
        "allow_internet_access": "bool",
        "metadata": "map[string]string",
        "envVars": "models.EnvVars",
        "volumeMounts": "[]models.VolumeMount",
        "network": "models.SandboxNetworkConfig",
    },
)
SET_TIMEOUT = Struct("SetTimeoutRequest", {"timeout": "int"})
NETWORK_UPDATE = Struct(
    "SandboxNetworkUpdateConfig", {"allowOut": "[]string", "denyOut": "[]string"}
)
NETWORK = Struct("SandboxNetworkConfig", {"allowOut": "[]string", "denyOut": "[]string"})
NEW_API_KEY = Struct("NewTeamAPIKey", {"name": "string"})
NEW_FORK = Struct("ForkSandboxRequest", {"timeout": "int", "count": "int"})
REFRESH = Struct("RefreshRequest", {"duration": "int"})

_SCALARS: dict[str, type] = {"string": str, "bool": bool, "int": int}
_ZEROS: dict[str, Any] = {"string": "", "bool": False, "int": 0}


async def read(request: Request, struct: Struct, *, strict: bool = False) -> dict[str, Any]:
    """The fields of a struct in a request's body; those left out have Go's zero values.

    Raises `BadBody`. What follows the first JSON value is not looked at, neither is it by Go.
    """
    return decoded(await request.body(), struct, strict=strict)


def decoded(body: bytes, struct: Struct, *, strict: bool = False) -> dict[str, Any]:
    text = body.decode("utf-8", "replace").lstrip(_SPACE)
    if not text:
        raise BadBody("EOF")
    try:
        value, _ = json.JSONDecoder().raw_decode(text)
    except json.JSONDecodeError as error:
        rest = text[error.pos :].strip(_SPACE)
        if not rest or error.msg.startswith("Unterminated"):
            raise BadBody("unexpected EOF") from None
        raise BadBody(f"invalid character {rest[0]!r} looking for beginning of value") from None
    except (ValueError, RecursionError):
        raise BadBody("exceeded max depth") from None
    return _struct(value, struct, "models." + struct.name, strict)


def _struct(value: Any, struct: Struct, whole: str, strict: bool = False) -> dict[str, Any]:
    if value is None:
        value = {}
    if not isinstance(value, dict):
        raise BadBody(f"json: cannot unmarshal {_kind(value)} into Go value of type {whole}")
    if strict:
        for name in value:
            if name not in struct.fields:
                raise BadBody(f'json: unknown field "{name}"')
    return {
        name: _field(value.get(name), kind, f"{struct.name}.{name}")
        for name, kind in struct.fields.items()
    }


def _field(value: Any, kind: str, place: str) -> Any:
    if kind in _SCALARS:
        return _ZEROS[kind] if value is None else _scalar(value, kind, place)
    if kind == "[]string":
        listed = _of(list, value, kind, place)
        return ["" if each is None else _scalar(each, "string", place) for each in listed]
    if kind in ("map[string]string", "models.EnvVars"):
        mapped = _of(dict, value, kind, place)
        return {
            name: "" if each is None else _scalar(each, "string", place)
            for name, each in mapped.items()
        }
    if kind == "models.SandboxNetworkConfig":
        return _struct(_of(dict, value, kind, place), NETWORK, kind)
    return [_of(dict, each, kind, place) for each in _of(list, value, kind, place)]


def _scalar(value: Any, kind: str, place: str) -> Any:
    # To Python, not to Go, True is an int.
    if type(value) is not _SCALARS[kind]:
        raise _mismatch(value, kind, place)
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise _mismatch(value, kind, place)
    if isinstance(value, str):
        # Half of a surrogate pair becomes a replacement character.
        return value.encode("utf-8", "replace").decode()
    return value


def _of(expected: type, value: Any, kind: str, place: str) -> Any:
    if value is None:
        return expected()
    if not isinstance(value, expected):
        raise _mismatch(value, kind, place)
    return value


def _mismatch(value: Any, kind: str, place: str) -> BadBody:
    what = _kind(value)
    if isinstance(value, (int, float)) and not isinstance(value, bool) and kind == "int":
        what = f"number {str(value)[:40]}"
    return BadBody(f"json: cannot unmarshal {what} into Go struct field {place} of type {kind}")


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, str):
        return "string"
    if isinstance(value, (int, float)):
        return "number"
    return "array" if isinstance(value, list) else "object"
