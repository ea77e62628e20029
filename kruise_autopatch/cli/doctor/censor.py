"""Takes keys, tokens and passwords out of whatever the doctor prints.

What is secret is known from the environment, so it is found wherever it turns up: in a variable
that it was put into by mistake, in an error message, in a server's answer that repeats it, also
encoded. What only looks like a secret is taken out too.
"""

from __future__ import annotations

import base64
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from html.entities import html5
from urllib.parse import unquote

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


# How characters are written in URLs, JSON, HTML and Python's messages. No two writers escape the
# same ones: Go's JSON has ``\u0026`` for ``&``, many a page ``&#39;`` for an apostrophe and the
# rest as it is. What was escaped twice is found, too.
_ESCAPED = (
    r"(?P<percent>(?:%(?:25)*[0-9a-f]{2})+)"
    r"|\\+u(?P<unicode>[0-9a-f]{4})|\\+u\{(?P<braced>[0-9a-f]{1,6})\}|\\+x(?P<hex>[0-9a-f]{2})"
    r"|&(?:amp;)*(?:\#0*(?P<number>\d{1,7})|\#x0*(?P<hexnumber>[0-9a-f]{1,6})|(?P<name>\w+));?"
)
_WITH_TAGS = re.compile(_ESCAPED, re.IGNORECASE)
_WITHOUT_TAGS = re.compile(rf"{_ESCAPED}|(?P<tag><[^<>]{{0,200}}>)", re.IGNORECASE)


class Censor:
    """Knows the secrets of an environment."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        placeholders: dict[str, str] = {}
        for secret, placeholder in _secrets(environment):
            for form in _forms(secret):
                placeholders.setdefault(form, placeholder)
        # What is in a secret may look escaped, and be escaped again or not.
        self._known = [
            (escapes, {_read(form, escapes)[0], _plain(form)}, placeholder)
            # A tag may stand in the middle of a secret, or a secret look like one.
            for escapes in (_WITH_TAGS, _WITHOUT_TAGS)
            for form, placeholder in placeholders.items()
        ]

    def hide(self, text: str) -> str:
        """``text`` with a placeholder for each secret; to be called before it is shortened."""
        shown, position = [], 0
        for start, end, placeholder in sorted(self._found(text), key=lambda f: (f[0], -f[1])):
            if start >= position:
                shown += [text[position:start], placeholder]
            # What overlaps is the same secret, or goes with it.
            position = max(position, end)
        text = "".join([*shown, text[position:]])
        for pattern, replacement in _PATTERNS:
            text = pattern.sub(replacement, text)
        return text

    def _found(self, text: str) -> Iterator[tuple[int, int, str]]:
        """Where a secret begins and ends, and what to show instead."""
        said = {escapes: _read(text, escapes) for escapes in (_WITH_TAGS, _WITHOUT_TAGS)}
        for escapes, secrets, placeholder in self._known:
            letters, places = said[escapes]
            for secret in secrets:
                at = letters.find(secret) if len(secret) >= _SHORTEST else -1
                while at >= 0:
                    end = at + len(secret)
                    yield places[at][0], places[end - 1][1], placeholder
                    at = letters.find(secret, end)

    def __call__(self, text: str) -> str:
        """The same in one line, without what would disturb a terminal."""
        text = " ".join(self.hide(text).split())
        return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


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
    """A secret, and what it is encoded as as a whole."""
    yield secret
    # What is no UTF-8 in the environment, Python gives as lone surrogates.
    raw = secret.encode("utf-8", "surrogateescape")
    yield raw.hex()
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        yield encode(raw).decode().rstrip("=")


def _read(text: str, escapes: re.Pattern[str]) -> tuple[str, list[tuple[int, int]]]:
    """What a text says, in lower case, and where in it each character stands.

    Without backslashes, of which there is no telling whether they are meant.
    """
    letters: list[str] = []
    places: list[tuple[int, int]] = []
    position = 0
    for escaped in [*escapes.finditer(text), None]:
        end = escaped.start() if escaped is not None else len(text)
        said = [(text[index], (index, index + 1)) for index in range(position, end)]
        if escaped is not None:
            position = escaped.end()
            said += [(letter, escaped.span()) for letter in _meant(escaped)]
        for letter, place in said:
            if letter != "\\":
                letters.append(_lower(letter))
                places.append(place)
    return "".join(letters), places


def _plain(text: str) -> str:
    return "".join(_lower(letter) for letter in text if letter != "\\")


def _meant(escaped: re.Match[str]) -> str:
    kind = str(escaped.lastgroup)
    text = escaped[kind]
    if kind == "percent":
        digits = re.findall("%(?:25)*([0-9a-f]{2})", text, re.IGNORECASE)
        return bytes.fromhex("".join(digits)).decode("utf-8", "surrogateescape")
    if kind == "name":
        return html5.get(f"{text};") or f"&{text}{';' if escaped[0].endswith(';') else ''}"
    if kind == "tag":
        return ""
    code = int(text, 10 if kind == "number" else 16)
    return chr(code) if code <= sys.maxunicode else escaped[0]


def _lower(letter: str) -> str:
    """A host's name comes back in lower case. A letter remains a letter."""
    lower = letter.lower()
    return lower if len(lower) == 1 else letter
