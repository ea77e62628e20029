"""The doctor on sandbox traffic: who answers it, and whether it demands a token.

No key and no token is sent: a sandbox that does not exist is asked for, then the health of one that
runs, if the API has listed one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import urlsplit

from kruise_autopatch import protocol
from kruise_autopatch.cli.doctor.findings import Finding, found
from kruise_autopatch.cli.doctor.probe import SANDBOX
from kruise_autopatch.cli.doctor.request import NO_ANSWER, Answer, Client

# No id of OpenKruise: neither NAMESPACE--NAME nor one of its short ids.
_NOBODY = "kruise-autopatch-doctor"
_ENVD = 49983

# How the answer to a sandbox that does not exist begins (pkg/sandbox-gateway/filter/filter.go, and
# sandbox-manager's ext_proc).
_SPEAKERS: Sequence[tuple[str, str]] = (
    ("API Error: ", "sandboxes-by-manager"),
    ("sandbox not found: ", "sandboxes-by-gateway"),
    ("healthy sandbox not found: ", "sandboxes-by-gateway"),
)

# What the gateway answers to who sends no token.
_DEMANDS = {401: "gateway-demands-access-token", 403: "gateway-demands-traffic-token"}


def check(client: Client, sandbox_url: str, listed: Sequence[Any]) -> Iterator[Finding]:
    """Tell sandbox-manager from sandbox-gateway, by what they say to those who are not allowed.

    :param sandbox_url: with ``SANDBOX`` in the place of an id
    :param listed: sandboxes, as the API has them
    """
    # An explicit one names none.
    if SANDBOX not in sandbox_url:
        return
    answer = _ask(client, sandbox_url.replace(SANDBOX, _NOBODY))
    if answer is None:
        return
    code = next((c for start, c in _SPEAKERS if answer.body.startswith(start)), None)
    host, path = urlsplit(sandbox_url)[1:3]
    if code is None:
        served = protocol.PREFIX if path else "*.DOMAIN"
        yield found("sandboxes", "sandboxes-by-unknown", host=host, answer=answer, served=served)
        return
    yield found("sandboxes", code, host=host)
    running = next(filter(_is_running, listed), None)
    if code != "sandboxes-by-gateway" or running is None:
        return
    health = _ask(client, sandbox_url.replace(SANDBOX, running["sandboxID"]))
    if health is not None:
        yield found("sandboxes", _DEMANDS.get(health.status, "gateway-demands-no-token"), host=host)


def _ask(client: Client, base: str) -> Answer | None:
    try:
        return client.get(f"{base}/health", with_key=False)
    except NO_ANSWER:
        return None


def _is_running(sandbox: Any) -> bool:
    """Whether it may be asked: a request may wake one that is paused."""
    if not isinstance(sandbox, dict) or sandbox.get("state") != "running":
        return False
    try:
        protocol.sandbox_host("host", str(sandbox.get("sandboxID", "")), _ENVD)
    except protocol.InvalidSandbox:
        return False
    return True
