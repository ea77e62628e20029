"""The URL of ``desktop.stream.get_url()``, opened in Chromium, with every noVNC.

The SDK, patched by its switch, creates the desktop and starts the stream. What it starts in the
sandbox is stood in for: by shell functions for the programs, by ``Desktop`` for noVNC and x11vnc.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from kruise_autopatch_local import LocalManager
from support import fresh, loopback_tls

from .chromium import Chromium, Tab
from .desktop import COLOUR, HEIGHT, PASSWORD, WIDTH, Desktop, Visit, serving
from .pages import RELEASES, Release

# Every way to call get_url.
CALLS: dict[str, dict[str, Any]] = {
    "default": {},
    "plain": {"auto_connect": False, "resize": ""},
    "view only": {"view_only": True},
    "auth key": {"auth_key": PASSWORD.text},
}

PROGRAM = """
from e2b_desktop import Sandbox

programs = {
    "Xvfb": ":",
    "xdpyinfo": ":",
    "startxfce4": ":",
    "pgrep": 'test "$2" != x11vnc',
    "x11vnc": ":",
    "netstat": "echo ' 127.0.0.1:PORT '",
}
# As bash exports a function.
envs = {f"BASH_FUNC_{name}%%": f"() {{ {body}; }}" for name, body in programs.items()}
desktop = Sandbox.create(envs=envs)
desktop.stream.start(port=PORT)
urls = {name: desktop.stream.get_url(**options) for name, options in CALLS.items()}
result = {"id": desktop.sandbox_id, "urls": urls}
"""

CONNECTED = "document.documentElement.classList.contains('noVNC_connected')"
CAN_CONNECT = (
    "!document.documentElement.classList.contains('noVNC_loading')"
    " && document.getElementById('noVNC_connect_dlg').classList.contains('noVNC_open')"
)
CANVAS = "document.querySelector('#noVNC_container canvas')"
PIXEL = f"{CANVAS}.getContext('2d').getImageData({WIDTH // 2}, {HEIGHT // 2}, 1, 1).data.join()"
DRAWN = f"{CONNECTED} && {PIXEL} == '{','.join(map(str, COLOUR))},255'"


class Stream(NamedTuple):
    """A desktop's stream, as the SDK started it."""

    manager: LocalManager
    desktop: Desktop
    release: Release
    # Of the port, below the domain.
    path: str
    urls: dict[str, str]


@pytest.fixture(scope="module", params=["http", "https"])
def manager(request: pytest.FixtureRequest, certificates: dict[str, str]) -> Iterator[LocalManager]:
    files = loopback_tls.https(certificates) if request.param == "https" else {}
    with LocalManager(**files) as manager:
        yield manager


@pytest.fixture(scope="module", params=RELEASES, ids=[release.core for release in RELEASES])
def stream(
    request: pytest.FixtureRequest,
    manager: LocalManager,
    certificates: dict[str, str],
    pages: Path,
) -> Iterator[Stream]:
    with serving(pages / request.param.core) as desktop:
        settings = f"PORT, CALLS = {desktop.port}, {CALLS!r}"
        program = f"{settings}{PROGRAM.replace('PORT', str(desktop.port))}"
        variables = {**manager.environment(), "SSL_CERT_FILE": certificates["authority"]}
        started = fresh.value(program, variables)
        path = f"/kruise/{started['id']}/{desktop.port}"
        yield Stream(manager, desktop, request.param, path, started["urls"])


class Visitor:
    """Opens pages of one stream; knows what the server and the desktop have seen of it."""

    def __init__(self, chromium: Chromium, stream: Stream) -> None:
        self._chromium, self._stream = chromium, stream
        self._earlier = len(stream.manager.requests())
        stream.desktop.visits.clear()

    def open(self, url: str) -> AbstractContextManager[Tab]:
        return self._chromium.open(url)

    def open_as(self, call: str) -> AbstractContextManager[Tab]:
        return self.open(self._stream.urls[call])

    def outcomes(self, path: str) -> list[int]:
        """The statuses of the requests for a path."""
        return [line["status"] for line in self._requests() if line["path"] == path]

    def paths_outside_the_port(self) -> list[str]:
        paths = [line["path"] for line in self._requests()]
        return [path for path in paths if not path.startswith(f"{self._stream.path}/")]

    def _requests(self) -> list[dict[str, Any]]:
        return self._stream.manager.requests()[self._earlier :]

    def visit(self) -> Visit:
        """The only visit that the desktop had."""
        (visit,) = self._stream.desktop.visits
        return visit


# What the page makes of its parameters does not hang on the scheme.
over_http = pytest.mark.parametrize("manager", ["http"], indirect=True)


@pytest.fixture
def visitor(chromium: Chromium, stream: Stream) -> Visitor:
    return Visitor(chromium, stream)


def test_the_desktop_is_drawn_through_the_prefix(visitor: Visitor, stream: Stream) -> None:
    with visitor.open_as("default") as tab:
        tab.wait_for(DRAWN)
    assert visitor.outcomes(f"{stream.path}/websockify") == [101]
    assert visitor.paths_outside_the_port() == []
    assert visitor.visit().updates == 1


@over_http
def test_a_page_that_waits_connects_when_it_is_told(visitor: Visitor, stream: Stream) -> None:
    with visitor.open_as("plain") as tab:
        tab.wait_for(CAN_CONNECT)
        assert visitor.outcomes(f"{stream.path}/websockify") == []
        tab.value("document.getElementById('noVNC_connect_button').click()")
        tab.wait_for(CONNECTED)
    assert visitor.outcomes(f"{stream.path}/websockify") == [101]


@over_http
@pytest.mark.parametrize(("call", "scaled"), [("default", True), ("plain", False)])
def test_the_desktop_fills_the_page_only_if_it_is_to(
    visitor: Visitor, call: str, scaled: bool
) -> None:
    with visitor.open_as(call) as tab:
        if not scaled:
            tab.wait_for(CAN_CONNECT)
            tab.value("document.getElementById('noVNC_connect_button').click()")
        tab.wait_for(DRAWN)
        assert (tab.value(f"{CANVAS}.getBoundingClientRect().width") > WIDTH) is scaled


@over_http
@pytest.mark.parametrize(("call", "clicks"), [("default", 1), ("view only", 0)])
def test_a_click_reaches_the_desktop_only_if_it_may(
    visitor: Visitor, call: str, clicks: int
) -> None:
    with visitor.open_as(call) as tab:
        tab.wait_for(CONNECTED)
        tab.click(CANVAS)
        # In order, so that a click would be here before the end.
        tab.value("document.getElementById('noVNC_disconnect_button').click()")
        visit = visitor.visit()
        assert visit.ended.wait(fresh.PATIENCE)
    assert visit.clicks == clicks


@over_http
def test_the_auth_key_is_the_password(
    visitor: Visitor, stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream.desktop, "password", PASSWORD)
    with visitor.open_as("auth key") as tab:
        tab.wait_for(CONNECTED)
    assert visitor.visit().authenticated


@over_http
def test_without_its_path_an_older_page_leaves_the_sandbox(
    visitor: Visitor, stream: Stream
) -> None:
    page, _, query = stream.urls["default"].partition("?")
    kept = [part for part in query.split("&") if not part.startswith("path=")]
    with visitor.open(f"{page}?{'&'.join(kept)}") as tab:
        stays = stream.release.resolves_against_the_page
        # The panel is back when it has failed.
        tab.wait_for(CONNECTED if stays else CAN_CONNECT)
    assert visitor.paths_outside_the_port() == ([] if stays else ["/websockify"])
