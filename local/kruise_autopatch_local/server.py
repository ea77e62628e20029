"""Running the application: sockets, signals, and a clean end."""

from __future__ import annotations

import asyncio
import logging
import os
import shlex
import socket
import sys
import tempfile
import threading

import uvicorn

from . import environment
from .app import App
from .connections import Connection
from .control_plane.api import ControlPlane
from .control_plane.api_keys import ApiKeys
from .data_plane.gateway import Gateway
from .data_plane.traffic_tokens import TrafficTokens
from .doorkeeper import Doorkeeper
from .options import Options
from .own.faults import Faults
from .own.front import Front
from .own.page import Page
from .own.routes import OwnRoutes
from .own.visitors import Visitors
from .request_log import RequestLog
from .sandbox import isolation
from .sandbox.isolation import IsolationError
from .sandbox.nursery import Nursery, Serve
from .sandbox.pods import Pods
from .sandbox.sandboxes import Sandboxes
from .streaming import forgiving


class Server(uvicorn.Server):
    """Says where it listens once it does, and ends its sandboxes before its connections.

    In the other order, a stream of a command that never ends would hold up the end.
    """

    def __init__(
        self, config: uvicorn.Config, sandboxes: Sandboxes, greeting: list[str], link: str
    ) -> None:
        super().__init__(config)
        self._sandboxes = sandboxes
        self._greeting = greeting
        self._link = link

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            # For people: what is read by programs stands on standard output.
            print(f"kruise-autopatch-local: to watch, open {self._link}", file=sys.stderr)
            print("\n".join(self._greeting), flush=True)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await self._sandboxes.close()
        await super().shutdown(sockets)

    def stop(self) -> None:
        self.should_exit = True


def run(options: Options, api_key: str) -> None:
    """Serve until SIGTERM, SIGINT or, if asked for, the end of stdin."""
    # Before the first thread, and before anything that an agent is not to have open.
    nursery = Nursery.start(_load_agent)
    logging.getLogger("uvicorn.error").addFilter(_is_a_surprise)
    listening = _listen(options.host, options.port)
    host, port = listening.getsockname()[:2]
    domain = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    url = f"{'https' if options.certfile else 'http'}://{domain}"
    variables = environment.leading_to(url, api_key)
    exports = [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]
    greeting = [url, *exports]

    directory = _make_directory()
    try:
        kind = isolation.choose(options.isolation, directory)
    except (IsolationError, OSError) as error:
        isolation.remove(directory)
        raise SystemExit(f"error: {error}") from error
    print(f"kruise-autopatch-local: {kind.described()}", file=sys.stderr, flush=True)
    pods = Pods(directory, kind, nursery, options.warm)
    sandboxes = Sandboxes(directory, pods, options.templates, options.persistent_contents)
    tokens = TrafficTokens(options.token_validity, options.token_leeway, options.token_outage)
    keys = ApiKeys(api_key)
    api = ControlPlane(sandboxes, tokens, keys, options.e2b_domain, newer=options.newer)
    gateway = Gateway(sandboxes, tokens, options.gateway)
    doorkeeper = Doorkeeper([options.e2b_domain] if options.e2b_domain else [])
    faults = Faults(sandboxes, tokens)
    log = RequestLog(App(sandboxes, api, gateway, doorkeeper, faults), options.request_log)
    visitors = Visitors(url)
    page = Page(url, variables, visitors, sandboxes, log)
    config = uvicorn.Config(
        forgiving(Front(log, doorkeeper, OwnRoutes(keys, faults, visitors, page))),
        loop="asyncio",
        http=Connection,
        lifespan="on",
        log_level="warning",
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        ssl_certfile=options.certfile,
        ssl_keyfile=options.keyfile,
        timeout_graceful_shutdown=3,
        # Longer than clients keep connections that they do not use: none is to be closed just as
        # its next request comes.
        timeout_keep_alive=300,
    )
    try:
        config.load()
    except OSError as error:  # ssl.SSLError is one.
        isolation.remove(directory)
        raise SystemExit(f"error: cannot use the certificate or its key: {error}") from error
    server = Server(config, sandboxes, greeting, visitors.new_link())
    if options.exit_with_stdin:
        threading.Thread(target=_stop_with_stdin, args=(server,), daemon=True).start()
    try:
        asyncio.run(server.serve(sockets=[listening]))
    except KeyboardInterrupt:
        pass
    finally:
        listening.close()
        if os.path.isdir(directory):
            # Only after a failure to start: the shutdown removes it otherwise.
            asyncio.run(sandboxes.close())


def _load_agent() -> Serve:
    from . import agent

    return agent.serve


def _make_directory() -> str:
    try:
        return tempfile.mkdtemp(prefix="kruise-local-")
    except OSError as error:
        raise SystemExit(
            f"error: cannot make a directory in {tempfile.gettempdir()}: {error.strerror}; "
            "set TMPDIR to one that can be written to"
        ) from error


def _is_a_surprise(record: logging.LogRecord) -> bool:
    """That a reply was not completed is how we tell a client that its sandbox has ended."""
    return "without completing response" not in record.getMessage()


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With the protocol named, asyncio knows it for TCP and sets TCP_NODELAY; without, the kernel
    # holds back every reply for 40 ms.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as error:
        listening.close()
        raise SystemExit(f"error: cannot listen on {host}:{port}: {error}") from error
    return listening


def _stop_with_stdin(server: Server) -> None:
    while sys.stdin.buffer.read(4096):
        pass
    server.stop()
