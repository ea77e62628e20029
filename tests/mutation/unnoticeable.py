"""Changes that no test can notice, and why. What stands here is not taken off the figure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple


class Unnoticeable(NamedTuple):
    """Changes of one function."""

    function: str
    # What the changed line has in it; empty: whichever.
    text: str
    reason: str

    def is_of(self, mutant: str, change: Sequence[str]) -> bool:
        return re.sub(r"__mutmut_\d+$", "", mutant).endswith(self.function) and any(
            line.startswith("+") and self.text in line for line in change
        )


_AT_IMPORT = "it runs when its module is imported, before a mutant is in force"
_DISCARDED = "the host that is made of it is thrown away: the id and the port are checked"
_ANOTHER = "all that a ticket has to be is another one than before"
_NO_CAPITALS = "there are no capitals left to strip"

UNNOTICEABLE = (
    Unnoticeable("routes.xǁ_Writeǁ__init__", "", _AT_IMPORT),
    Unnoticeable("settings.xǁVariableǁ__init__", "", _AT_IMPORT),
    Unnoticeable("written.x__check_sandbox", "sandbox_host(None, sandbox_id, port)", _DISCARDED),
    Unnoticeable("written.x__check_sandbox", 'sandbox_host("XXXX", sandbox_id, port)', _DISCARDED),
    Unnoticeable(
        "written.x_private_url", "sandbox_id is None and port is None", "both are None, or neither"
    ),
    Unnoticeable(
        "protocol.x_sandbox_port", 'parts = target.split("/", ', "nobody reads further than the 4th"
    ),
    Unnoticeable(
        "headers.x_traffic_token_route", 'safe="XXXX"', "a letter is never encoded anyway"
    ),
    Unnoticeable(
        "routes.x_served", 'request.get("method", "GET")', "it is put into capitals anyway"
    ),
    Unnoticeable("authorities.x__is_label", '"XX0XX"', "letters are as good as digits there"),
    Unnoticeable("authorities.x__host_and_port", 'rstrip("XX.XX")', _NO_CAPITALS),
    Unnoticeable("authorities.x__normal", 'rstrip("XX.XX")', _NO_CAPITALS),
    Unnoticeable(
        "reply.x__seconds", '(retry_after or "XXXX")', "that is no number and no date either"
    ),
    Unnoticeable("TokenStateǁ__init__", "self._ticket = 1", _ANOTHER),
    Unnoticeable("TokenStateǁdecide", "self._ticket -= 1", _ANOTHER),
    Unnoticeable("TokenStateǁdecide", "self._ticket += 2", _ANOTHER),
    Unnoticeable("jwt.x_read", '"=" * (+len(parts[1]) % 4)', "padding may be longer than needed"),
    Unnoticeable(
        "route.x_choose", "if (explicit.api_url) or True", "None is no private URL either"
    ),
    Unnoticeable("route.x__choose_native", 'else "XXXX"', "that is nobody's domain either"),
    Unnoticeable("route.x_reason", 'explicit.api_url or "XXXX"', "that has no authority either"),
)
