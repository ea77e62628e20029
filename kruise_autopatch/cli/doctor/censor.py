"""Takes keys, tokens and passwords out of whatever the doctor prints.

What is secret is known from the environment, so it is found wherever it turns up: in a variable
that it was put into by mistake, in an error message, in a server's answer that repeats it, also
encoded. What only looks like a secret is taken out too.
"""

from __future__ import annotations

import base64
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
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


# The names of a character in HTML, without what is around them.
_ENTITIES: dict[str, list[str]] = defaultdict(list)
for _name, _character in html5.items():
    _ENTITIES[_character].append(_name.rstrip(";"))

# What may stand between two characters of a secret in a page that marks a part of it.
_TAGS = "(?:<[^<>]{0,200}>)*"


class Censor:
    """Knows the secrets of an environment."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        placeholders: dict[str, str] = {}
        for secret, placeholder in _secrets(environment):
            for form in _forms(secret):
                placeholders.setdefault(form, placeholder)
        # The longest first: one may contain another. A host's name comes back in lower case.
        self._known = [
            (re.compile(_TAGS.join(map(_spelled, form)), re.IGNORECASE), placeholders[form])
            for form in sorted(placeholders, key=len, reverse=True)
        ]

    def hide(self, text: str) -> str:
        """``text`` with a placeholder for each secret; to be called before it is shortened."""
        for known, placeholder in self._known:
            text = known.sub(placeholder, text)
        for pattern, replacement in _PATTERNS:
            text = pattern.sub(replacement, text)
        return text

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


@cache
def _spelled(character: str) -> str:
    """A pattern for a character, in either case, in a URL, JSON, HTML and Python's messages."""
    cases = {character, character.lower(), character.upper()}
    # A letter whose other case is two letters is met in its own only.
    spellings = [each for case in cases if len(case) == 1 for each in _spellings(case)]
    return f"(?:{'|'.join(spellings)})"


def _spellings(character: str) -> Iterator[str]:
    """Each for itself, since no two writers escape the same characters.

    Go's JSON has ``\\u0026`` for ``&``, many a page ``&#39;`` for an apostrophe and the rest as it
    is. What was escaped twice is found, too.
    """
    code = ord(character)
    yield re.escape(character)
    if character == " ":
        yield r"\+"
    yield "".join(f"%(?:25)*{b:02x}" for b in character.encode("utf-8", "surrogateescape"))
    yield rf"\\+(?:u\{{?0*{code:x}\}}?|x{code:02x}|{re.escape(character)})"
    references = [rf"\#0*{code}", rf"\#x0*{code:x}", *_ENTITIES[character]]
    yield rf"&(?:amp;)*(?:{'|'.join(references)});?"
    for escape in {repr(character)[1:-1], json.dumps(character)[1:-1]} - {character}:
        yield re.escape(escape).replace(r"\\", r"\\+")
