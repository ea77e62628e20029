"""A client of the server's own routes, for `LocalManager`. Only the standard library is needed."""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request
from types import TracebackType
from typing import Any

_PATIENCE = 60


class Control:
    """Asks a server on this machine, whose key is known."""

    def __init__(self, url: str, api_key: str) -> None:
        self._url = url
        self._api_key = api_key
        # No proxy lies between; and the certificate, if there is one, is that of this very server.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
        )

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """The JSON of the reply. Raises `ValueError`, with the server's words, for a refusal."""
        request = urllib.request.Request(
            f"{self._url}/local/{path}",
            None if body is None else json.dumps(body).encode(),
            {"X-API-Key": self._api_key, "Content-Type": "application/json"},
            method=method,
        )
        try:
            with self._opener.open(request, timeout=_PATIENCE) as reply:
                return json.loads(reply.read())
        except urllib.error.HTTPError as error:
            with error:
                raise ValueError(error.read().decode(errors="replace").strip()) from None


class Fault:
    """Something that goes wrong with the server's requests, from `with` to the end of its block."""

    def __init__(self, control: Control, description: dict[str, Any]) -> None:
        self._control = control
        self._description = description
        self._id: str | None = None
        self._met = 0

    @property
    def met(self) -> int:
        """How many requests have met it."""
        if self._id is not None:
            found = {each["id"]: each for each in self._control.ask("GET", "faults")}
            self._met = found[self._id]["met"]
        return self._met

    def __enter__(self) -> Fault:
        self._id = self._control.ask("POST", "faults", self._description)["id"]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._met = self._control.ask("DELETE", f"faults/{self._id}")["met"]
        self._id = None
