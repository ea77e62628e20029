"""Takes keys, tokens and passwords out of whatever the doctor prints.

What is secret is known from the environment, so it is found wherever it turns up: in a variable
that it was put into by mistake, in an error message, in a server's answer that repeats it, also
encoded. What only looks like a secret is taken out too.
"""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import quote, quote_plus, unquote

from kruise_autopatch import variables
from kruise_autopatch.api_keys import decode_api_key, encode_api_key
from kruise_autopatch.errors import ConfigurationError
from kruise_autopatch.protocol.written import USER_INFORMATION

# Anything shorter is part of ordinary words.
_SHORTEST = 6

# Variables whose values may hold a user's name and password, before an @; those that are not in the
# table may be one of them, misspelt.
_MAY_NAME_A_USER = re.compile(
    rf"{'|'.join(variables.URLS)}|(?:KRUISE_)?E2B_\w+|\w+_PROXY", re.IGNORECASE
)

_PATTERNS = (
    (USER_INFORMATION, "<user>@"),
    # The values of a URL's query or fragment, but not of ours.
    (
        re.compile(r"([?&#][\w.~%\[\]-]+=)(?!1(?!\w))[^\s&#'\"<>]*[^\s&#'\"<>:,;.)]"),
        r"\1<hidden>",
    ),
    # JSON in base64: the beginning of a JWT, whatever is left of it.
    (re.compile(r"eyJ[\w-]{8,}(?:\.[\w-]*)*"), "<token>"),
    (re.compile(r"\b(bearer|basic) [\w.~+/=-]{6,}", re.IGNORECASE), r"\1 <token>"),
    # E2B's own keys and tokens, and encoded ones of OpenKruise.
    (re.compile(r"(?:sk_)?e2b_[0-9a-f]{12,}", re.IGNORECASE), "<key>"),
)


class Censor:
    """Knows the secrets of an environment."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        placeholders: dict[str, str] = {}
        for secret, placeholder in _secrets(environment):
            for form in _forms(secret):
                placeholders.setdefault(form.lower(), placeholder)
        self._placeholders = placeholders
        # The longest first: one may contain another. A host's name comes back in lower case.
        forms = sorted(placeholders, key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, forms)) or r"(?!)", re.IGNORECASE)

    def hide(self, text: str) -> str:
        """``text`` with a placeholder for each secret; to be called before it is shortened."""
        text = self._known.sub(lambda found: self._placeholder(found[0]), text)
        for pattern, replacement in _PATTERNS:
            text = pattern.sub(replacement, text)
        return text

    def __call__(self, text: str) -> str:
        """The same in one line, without what would disturb a terminal."""
        text = " ".join(self.hide(text).split())
        return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)

    def _placeholder(self, found: str) -> str:
        # Letters that have no single lower case were matched all the same.
        return self._placeholders.get(found.lower(), "<secret>")


def _secrets(environment: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for name in variables.SECRETS:
        value = environment.get(name, "")
        for part in (value, value.strip(), *value.split(), *_other_forms(value.strip())):
            if len(part) >= _SHORTEST:
                yield part, f"<{name}>"
    for name, value in environment.items():
        user, at, _ = value.rpartition("@")
        if at and _MAY_NAME_A_USER.fullmatch(name):
            yield from _user_information(user.rpartition("://")[2])


def _user_information(text: str) -> Iterator[tuple[str, str]]:
    yield f"{text}@", "<user>@"
    password = text.partition(":")[2]
    for form in (text, unquote(text)):
        if password and len(form) >= _SHORTEST:
            yield form, "<user>"
    for form in (password, unquote(password)):
        if len(form) >= _SHORTEST:
            yield form, "<password>"


def _other_forms(key: str) -> Iterable[str]:
    if not key:
        return
    try:
        yield encode_api_key(key)
        yield decode_api_key(key)
    except (ConfigurationError, UnicodeError):
        return


def _forms(secret: str) -> Iterator[str]:
    """How a secret looks in a URL, a header, JSON, HTML and Python's error messages."""
    yield secret
    # What is no UTF-8 in the environment, Python gives as lone surrogates.
    raw = secret.encode("utf-8", "surrogateescape")
    yield from (quote(raw, safe=""), quote(raw), quote_plus(raw))
    yield from (repr(secret)[1:-1], json.dumps(secret)[1:-1], secret.replace("/", "\\/"))
    yield from (html.escape(secret), html.escape(secret, quote=False))
    yield raw.hex()
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        yield encode(raw).decode().rstrip("=")
