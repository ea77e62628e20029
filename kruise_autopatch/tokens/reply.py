"""Judge the server's answer to a request for a token. Pure: an answer in, an outcome out."""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from typing import NamedTuple, Union

from kruise_autopatch.tokens import jwt
from kruise_autopatch.tokens.state import Failure, Token

# Bytes of a reply that are read; a real one has less than a tenth of that.
LONGEST = 64 * 1024

# Seconds by which the two expiries of a reply may differ.
_TOLERANCE = 5.0

# Refusals of the 4xx range that may be over soon: time-out, conflict (the sandbox is just being
# paused or resumed), too early, too many requests.
_PASSING = (408, 409, 425, 429)

_RFC3339 = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(?:([Zz])|([+-])(\d\d):(\d\d))"
)


class Answer(NamedTuple):
    """An HTTP answer, as far as it matters: of the body no more than ``LONGEST`` and a byte."""

    status: int
    body: bytes
    retry_after: str | None = None

    def __repr__(self) -> str:
        return f"Answer(status={self.status}, <secret>)"


def judge(answer: Answer, sandbox_id: str, now: float) -> Union[Token, Failure]:
    """The token in an answer, or why there is none. ``now`` is the wall clock's."""
    if answer.status != 200:
        return Failure(
            f"the server answered {answer.status}",
            permanent=400 <= answer.status < 500 and answer.status not in _PASSING,
            retry_after=_seconds(answer.retry_after, now),
        )
    if len(answer.body) > LONGEST:
        return Failure(f"the server's reply is longer than {LONGEST} bytes")
    try:
        reply = json.loads(answer.body)
    except (ValueError, RecursionError):
        return Failure("the server's reply is not JSON")
    if not isinstance(reply, dict):
        return Failure("the server's reply is not a JSON object")
    return _judge_reply(reply, sandbox_id, now)


def created(token: str, sandbox_id: str) -> Token | None:
    """The token in the reply that created the sandbox; ``None`` if it must not be sent.

    One that has expired is no less the sandbox's: the state machine sees to it.
    """
    if not _fits_a_header(token):
        return None
    claims = jwt.read(token)
    if claims is None:
        return Token(token, None)
    return Token(token, claims.expires_at) if claims.is_for(sandbox_id) else None


def unreachable(error: Exception) -> Failure:
    """The outcome of an attempt that met no server."""
    return Failure(f"the server could not be asked ({type(error).__name__}: {error})")


def _judge_reply(reply: dict[str, object], sandbox_id: str, now: float) -> Union[Token, Failure]:
    token, expiration = reply.get("trafficAccessToken"), reply.get("trafficAccessTokenExpiration")
    if not isinstance(token, str) or not _fits_a_header(token):
        return Failure("the server's reply holds no token")
    expires_at = _moment(expiration) if isinstance(expiration, str) else None
    if expires_at is None:
        return Failure("the server's reply holds no expiration with a time zone")
    claims = jwt.read(token)
    if claims is not None:
        if abs(claims.expires_at - expires_at) > _TOLERANCE:
            return Failure("the token and the server's reply disagree about its expiration")
        if not claims.is_for(sandbox_id):
            return Failure("the server's reply is for another sandbox")
        expires_at = min(claims.expires_at, expires_at)
    if expires_at <= now:
        return Failure("the server sent a token that has expired already; compare the clocks")
    return Token(token, expires_at)


def _fits_a_header(text: str) -> bool:
    return bool(text) and text.isascii() and text.isprintable() and " " not in text


def _moment(text: str) -> float | None:
    """RFC 3339, which ``datetime.fromisoformat`` reads in full only since Python 3.11."""
    found = _RFC3339.fullmatch(text)
    if found is None:
        return None
    date, time, fraction, _, sign, hours, minutes = found.groups()
    offset = timedelta(hours=int(hours or 0), minutes=int(minutes or 0))
    try:
        moment = datetime.fromisoformat(f"{date}T{time}").replace(tzinfo=timezone.utc)
        moment -= -offset if sign == "-" else offset
    except (ValueError, OverflowError):
        return None
    return moment.timestamp() + float(f"0.{fraction or 0}")


def _seconds(retry_after: str | None, now: float) -> float:
    """A ``Retry-After`` header: seconds, or a date; 0 if absent or malformed."""
    text = (retry_after or "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - now)
    except (ValueError, TypeError, IndexError, OverflowError):
        return 0.0
