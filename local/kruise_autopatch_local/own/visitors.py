"""Who may look at the page: whoever has opened a one-time link, by a cookie from then on."""

from __future__ import annotations

import hmac
import secrets

from starlette.requests import Request
from starlette.responses import Response

from .paths import OWN


class Visitors:
    """The links that nobody has used yet, and the cookie and the key of this server's page.

    The cookie alone does not do for the page's data: the pages of sandboxes lie at the same
    address, and a browser would send it with their requests, too. They do not know the key.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._unused: set[str] = set()
        self._cookie = secrets.token_urlsafe(32)
        self.key = secrets.token_urlsafe(32)
        # To a browser the servers on all ports of a host are one.
        self._name = f"kruise-local-{url.rpartition(':')[2]}"

    def new_link(self) -> str:
        token = secrets.token_urlsafe(32)
        self._unused.add(token)
        return f"{self._url}/?token={token}"

    def admits(self, token: str) -> bool:
        """Whether this is the first use of a link."""
        if token not in self._unused:
            return False
        self._unused.remove(token)
        return True

    def welcome(self, response: Response) -> None:
        """Have the browser of somebody who was admitted be known."""
        response.set_cookie(
            self._name,
            self._cookie,
            path=OWN,
            secure=self._url.startswith("https:"),
            httponly=True,
            samesite="strict",
        )

    def knows(self, request: Request) -> bool:
        return _same(request.cookies.get(self._name, ""), self._cookie)

    def knows_the_page(self, request: Request) -> bool:
        """Whether it is our own page that asks, in a browser that is known."""
        return self.knows(request) and _same(request.headers.get("x-page-key", ""), self.key)


def _same(presented: str, expected: str) -> bool:
    return hmac.compare_digest(presented.encode("utf-8", "replace"), expected.encode())
