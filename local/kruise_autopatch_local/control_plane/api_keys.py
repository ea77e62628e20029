"""API keys, raw or encoded: the server accepts both forms everywhere.

After openkruise/agents, pkg/servers/e2b/keys/compat.go.
"""

from __future__ import annotations

import hmac
import secrets
import time
import uuid
from dataclasses import dataclass, field
from functools import cached_property

from kruise_autopatch.api_keys import encode_api_key

HEADER = "x-api-key"


def new() -> str:
    """A key that nobody can guess."""
    return f"local-{secrets.token_hex(16)}"


@dataclass
class ApiKey:
    """A key, and what the API shows of it."""

    key: str
    name: str
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    created_at: float = field(default_factory=time.time)

    @cached_property
    def encoded(self) -> str:
        return encode_api_key(self.key)

    def matches(self, presented: str) -> bool:
        """Whether this key was presented, in either form."""
        shown = presented.encode("utf-8", "surrogatepass")
        # Both comparisons always run, each in constant time.
        raw = hmac.compare_digest(shown, self.key.encode())
        encoded = hmac.compare_digest(shown, self.encoded.encode())
        return raw or encoded


class ApiKeys:
    """The server's own key, and those that were made through the API."""

    def __init__(self, key: str) -> None:
        self.admin = ApiKey(key, "e2b-admin")
        self._made: list[ApiKey] = []
        self.team_id = str(uuid.uuid4())

    def accepts(self, presented: str | None) -> bool:
        if not presented:
            return False
        # As the server, which takes off the space around a header's value.
        presented = presented.strip()
        matching = [each for each in self.all() if each.matches(presented)]
        return bool(matching)

    def all(self) -> list[ApiKey]:
        return [self.admin, *self._made]

    def make(self, name: str) -> ApiKey:
        made = ApiKey(str(uuid.uuid4()), name)
        self._made.append(made)
        return made

    def remove(self, key_id: str) -> bool:
        """Whether there was such a key, apart from the server's own."""
        before = len(self._made)
        self._made = [each for each in self._made if each.id != key_id]
        return len(self._made) < before
