"""Which account an RPC is for: the name in its Basic authorization."""

from __future__ import annotations

import base64

from ..inside.house import House
from ..inside.users import UnknownUser, User
from .connect_protocol import Call, ConnectError


def named(call: Call) -> str | None:
    """The name that a call brings, if any."""
    scheme, _, encoded = call.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        return base64.b64decode(encoded).decode().partition(":")[0]
    except ValueError:
        return None


def check(house: House, call: Call) -> None:
    """Refuse a call that names an account which is not there."""
    name = named(call)
    if name is None:
        return
    try:
        house.users.find(name)
    except UnknownUser:
        raise ConnectError("unauthenticated", f"invalid username: '{name}'") from None


def caller(house: House, call: Call) -> User:
    """The account of a call that has to have one."""
    name = named(call)
    if name is None:
        raise ConnectError("unauthenticated", "no user specified")
    try:
        return house.users.find(name)
    except UnknownUser:
        raise ConnectError("unauthenticated", f"invalid username: '{name}'") from None
