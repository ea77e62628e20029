"""The SDK's ``httpx`` clients of a sandbox, made to send its tokens: files, health, Jupyter.

Loaded when the first sandbox with a token is built. Clients stay so when the patches are undone.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from httpx import URL

from kruise_autopatch.errors import IncompatibleSDKError
from kruise_autopatch.patches import carried
from kruise_autopatch.protocol import headers, sandbox_port, without_secrets


def http_clients(sandbox: Any) -> Iterator[Any]:
    """Every ``httpx`` client of a new sandbox and its modules, once."""
    found = {}
    for holder in (sandbox, *vars(sandbox).values()):
        for value in getattr(holder, "__dict__", {}).values():
            if _is_client(value):
                found[id(value)] = value
    yield from found.values()


def attend(keeper: Any, *clients: Any) -> None:
    """Let clients with a sandbox' base URL ask the keeper before each request."""
    hooks: dict[str, _Hook] = {}
    for client in clients:
        if _is_client(client):
            base = str(client.base_url)
            if base not in hooks:
                hooks[base] = hook(keeper, None, base, client)
            hooks[base].join(client)


def hook(keeper: Any, access_token: str | None, base: str, client: Any) -> _Hook:
    """What adds the tokens to the requests of a client that lead below ``base``."""
    kind = AsyncHook if hasattr(client, "aclose") else SyncHook
    return kind(keeper, access_token, base)


def _is_client(value: Any) -> bool:
    # Not by its class: programs' tests put a Mock(spec=httpx.Client) in a client's place, which
    # is an instance of it, or a Mock in the place of the class.
    return isinstance(getattr(value, "event_hooks", None), dict)


class _Hook:
    """Adds the tokens to requests to the sandbox, and takes them from any other.

    A redirect, should anybody follow it, may lead elsewhere. But nobody asks a private sandbox by
    its native name, except an SDK that makes URLs in a way of which we do not know.
    """

    __slots__ = ("_access_token", "_host", "_keeper", "_path")

    def __init__(self, keeper: Any, access_token: str | None, base: str) -> None:
        # As the URLs of requests are: without the scheme's own port, in lower case, IDNA-encoded.
        url = URL(base)
        self._keeper = keeper
        self._access_token = access_token
        self._host = url.netloc
        self._path = url.raw_path.rstrip(b"/")

    def join(self, client: Any) -> None:
        """Be asked before each request of ``client``, if it is one."""
        if _is_client(client):
            client.event_hooks["request"].append(self)

    def _concerns(self, url: Any) -> bool:
        path = url.raw_path
        below = path[len(self._path) :]
        return bool(
            url.netloc == self._host
            and path.startswith(self._path)
            and below[:1] in (b"", b"/", b"?")
        )

    def _strip(self, request: Any) -> None:
        if self._is_native_name(request.url.netloc):
            raise IncompatibleSDKError(
                f"{carried.release()} makes the URL {without_secrets(str(request.url))} in a way"
                " that is not patched; nothing was sent there",
                carried.ANOTHER_RELEASE,
            )
        for name in (headers.TRAFFIC_TOKEN, headers.ACCESS_TOKEN):
            request.headers.pop(name, None)

    def _is_native_name(self, netloc: bytes) -> bool:
        """Whether it is a ``PORT-ID`` below the one host of a private sandbox."""
        is_private = sandbox_port(self._path.decode()) is not None
        port = netloc.partition(b"-")[0]
        return is_private and port.isdigit() and netloc.endswith(b"." + self._host)

    def _add(self, request: Any, renewed: str | None) -> None:
        token = renewed or (self._keeper and self._keeper.current)
        if token:
            request.headers[headers.TRAFFIC_TOKEN] = token
        if self._access_token is not None:
            request.headers.setdefault(headers.ACCESS_TOKEN, self._access_token)


class SyncHook(_Hook):
    __slots__ = ()

    def __call__(self, request: Any) -> None:
        if not self._concerns(request.url):
            self._strip(request)
            return
        keeper = self._keeper
        settled = keeper is None or keeper.settled
        self._add(request, None if settled else keeper.token(_timeout(request)))


class AsyncHook(_Hook):
    __slots__ = ()

    async def __call__(self, request: Any) -> None:
        if not self._concerns(request.url):
            self._strip(request)
            return
        keeper = self._keeper
        settled = keeper is None or keeper.settled
        self._add(request, None if settled else await keeper.token(_timeout(request)))


def _timeout(request: Any) -> float | None:
    """Seconds that the caller would wait for a connection; ``None``: any amount."""
    timeout: float | None = request.extensions.get("timeout", {}).get("connect")
    return timeout
