"""Headless Chromium, driven by the DevTools protocol."""

from __future__ import annotations

import contextlib
import itertools
import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from websockets.sync.client import ClientConnection, connect

from support.fresh import PATIENCE

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

_OPTIONS = (
    "--headless",
    "--no-sandbox",  # which a root user cannot have
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--ignore-certificate-errors",
    "--remote-debugging-port=0",
    # What it would ask of the network by itself.
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-domain-reliability",
    "--disable-extensions",
    "--disable-features=DialMediaRouteProvider,MediaRouter,OptimizationHints,Translate",
    "--disable-quic",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
    "--metrics-recording-only",
    "--no-default-browser-check",
    "--no-first-run",
    "--no-pings",
    "--no-proxy-server",
)


def installed() -> str | None:
    """The program's path."""
    return next(filter(None, map(shutil.which, _NAMES)), None)


@contextlib.contextmanager
def running(program: str, *options: str) -> Iterator[Chromium]:
    """A browser with a new profile; of an option that is given twice, the last one counts."""
    with (
        tempfile.TemporaryDirectory(
            prefix="kruise-chromium-", ignore_cleanup_errors=True
        ) as profile,
        tempfile.TemporaryFile("w+") as errors,
        subprocess.Popen(
            [program, *_OPTIONS, *options, f"--user-data-dir={profile}", "about:blank"],
            stdout=errors,
            stderr=errors,
        ) as process,
    ):
        try:
            with connect(
                _address(process, Path(profile), errors), max_size=None, proxy=None
            ) as socket:
                yield Chromium(socket)
        finally:
            process.terminate()


def _address(process: subprocess.Popen[bytes], profile: Path, errors: IO[str]) -> str:
    """Where the browser listens; it writes that into its profile."""
    file = profile / "DevToolsActivePort"
    patience = time.monotonic() + PATIENCE
    while not (file.exists() and len(lines := file.read_text().splitlines()) == 2):
        if process.poll() is not None or time.monotonic() > patience:
            errors.seek(0)
            raise AssertionError(f"Chromium does not listen: {errors.read()}")
        time.sleep(0.02)
    port, path = lines
    return f"ws://127.0.0.1:{port}{path}"


class Chromium:
    """A browser; each page is a tab of its own."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)

    def call(self, method: str, session: str | None = None, **parameters: Any) -> Any:
        """One command of the protocol, and its result."""
        number = next(self._numbers)
        command = {"id": number, "method": method, "params": parameters}
        if session is not None:
            command["sessionId"] = session
        self._socket.send(json.dumps(command))
        while True:
            message = json.loads(self._socket.recv(timeout=PATIENCE))
            if message.get("id") == number:
                assert "error" not in message, f"{method}: {message['error']}"
                return message["result"]

    @contextlib.contextmanager
    def open(self, url: str) -> Iterator[Tab]:
        """A URL in a new tab."""
        # With storage of its own: noVNC keeps its settings.
        context = self.call("Target.createBrowserContext")
        target = self.call("Target.createTarget", url="about:blank", **context)
        tab = Tab(self, self.call("Target.attachToTarget", flatten=True, **target)["sessionId"])
        outcome = tab.call("Page.navigate", url=url)
        assert "errorText" not in outcome, f"{url}: {outcome['errorText']}"
        try:
            yield tab
        finally:
            self.call("Target.disposeBrowserContext", **context)


class Tab:
    """One page."""

    def __init__(self, browser: Chromium, session: str) -> None:
        self._browser, self._session = browser, session

    def call(self, method: str, **parameters: Any) -> Any:
        return self._browser.call(method, self._session, **parameters)

    def value(self, expression: str) -> Any:
        """What a JavaScript expression evaluates to in the page."""
        outcome = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in outcome, outcome["exceptionDetails"]
        return outcome["result"].get("value")

    def wait_for(self, expression: str) -> None:
        """Until a JavaScript expression is true; one that fails is not yet."""
        patience = time.monotonic() + PATIENCE
        attempt = f"(() => {{ try {{ return {expression} }} catch {{ return false }} }})()"
        while not self.value(attempt):
            if time.monotonic() > patience:
                text = self.value("document.body.innerText")
                raise AssertionError(f"never true: {expression}; the page says {text!r}")
            time.sleep(0.02)

    def click(self, element: str) -> None:
        """Press and release the mouse in the middle of an element, once nothing covers it."""
        middle = (
            f"(box => [box.x + box.width / 2, box.y + box.height / 2])"
            f"({element}.getBoundingClientRect())"
        )
        self.wait_for(f"document.elementFromPoint(...{middle}) === {element}")
        x, y = self.value(middle)
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)
