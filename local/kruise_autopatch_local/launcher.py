"""`LocalManager`: the local sandbox-manager in a process of its own, for a `with` statement.

Only the standard library is needed here; the server's dependencies are needed by the
interpreter that runs it, which may be another one.
"""

from __future__ import annotations

import json
import os
import queue
import secrets
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from types import TracebackType
from typing import Any

import kruise_autopatch

from . import environment
from .control import Control, Fault
from .options import Options

# Seconds; a throttled Pod may need some minutes. That it has ended is noticed at once.
_START_TIMEOUT = 300
_STOP_TIMEOUT = 120

_SITE_PACKAGES = ("site-packages", "dist-packages")


class LocalManagerError(RuntimeError):
    """The local sandbox-manager did not start."""


class LocalManager:
    """Starts a local sandbox-manager, and stops it on exit.

    It keeps sandboxes apart where it can, but it is no boundary against hostile code.

        with LocalManager() as manager:
            subprocess.run([...], env={**os.environ, **manager.environment()})
    """

    def __init__(
        self,
        *,
        python: str = sys.executable,
        api_key: str | None = Options.api_key,
        templates: Sequence[str] = Options.templates,
        e2b_domain: str | None = Options.e2b_domain,
        certfile: str | None = Options.certfile,
        keyfile: str | None = Options.keyfile,
        request_log: bool = True,
        token_validity: float = Options.token_validity,
        token_leeway: float = Options.token_leeway,
        isolation: str = Options.isolation,
        warm: int = Options.warm,
        persistent_contents: Sequence[str] = Options.persistent_contents,
        gateway: str = Options.gateway,
        newer: bool = Options.newer,
    ) -> None:
        # Nobody else on this machine is to guess it, or to read it in a list of processes.
        self.api_key = api_key or f"local-{secrets.token_hex(16)}"
        self._directory = tempfile.TemporaryDirectory(prefix="kruise-local-log-")
        self._log = os.path.join(self._directory.name, "requests.jsonl") if request_log else None
        self._outage = os.path.join(self._directory.name, "token-outage")
        options = Options(
            templates=templates,
            e2b_domain=e2b_domain,
            certfile=certfile,
            keyfile=keyfile,
            request_log=self._log,
            token_validity=token_validity,
            token_leeway=token_leeway,
            token_outage=self._outage,
            exit_with_stdin=True,
            isolation=isolation,
            warm=warm,
            persistent_contents=persistent_contents,
            gateway=gateway,
            newer=newer,
        )
        command = [python, "-m", "kruise_autopatch_local", *options.arguments()]
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115
        try:
            # The open pipe is what tells the server that this process still lives.
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                env={**_server_environment(), "KRUISE_LOCAL_API_KEY": self.api_key},
            )
        except OSError as error:
            self._errors.close()
            self._remove_log()
            raise LocalManagerError(f"Cannot run {python}: {error}") from error
        self._lines: queue.Queue[bytes] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        try:
            self.url = self._first_line()
        except BaseException:
            self.close()
            raise
        self.domain = self.url.partition("://")[2]
        self._control = Control(self.url, self.api_key)

    def environment(self) -> dict[str, str]:
        """The variables that lead an SDK, patched by kruise-autopatch, to this server."""
        return environment.leading_to(self.url, self.api_key)

    def requests(self, *, since: int = 0) -> list[dict[str, Any]]:
        """Every request that the server has begun to answer, in that order.

        `since` leaves out those that were there at an earlier `mark()`.
        """
        if self._log is None:
            raise ValueError("the requests are not logged: LocalManager(request_log=False)")
        if not os.path.exists(self._log):
            return []
        with open(self._log, "rb") as log:
            if since:
                # To the end of the line that was being written at the mark.
                log.seek(since - 1)
                log.readline()
            # A line without its end is still being written.
            return [json.loads(line) for line in log if line.endswith(b"\n")]

    def mark(self) -> int:
        """Now, for `requests(since=...)`."""
        if self._log is None or not os.path.exists(self._log):
            return 0
        return os.path.getsize(self._log)

    def page_link(self) -> str:
        """A new link to the page that shows what goes on here; it can be opened once."""
        link: str = self._control.ask("POST", "links")["url"]
        return link

    def fault(
        self, kind: str, *, seconds: float = 0.0, path: str = "*", times: int | None = None
    ) -> Fault:
        """For tests: within a `with` block, let something go wrong, as it may on a cluster.

        `kind` is one of those in docs/local-manager.md. It meets the requests whose path matches
        the pattern `path`, all of them or so many `times`; the result's `met` counts them.
        """
        return Fault(
            self._control, {"kind": kind, "seconds": seconds, "path": path, "times": times}
        )

    def refuse_tokens(self, status: int, retry_after: int | None = None) -> None:
        """For tests: answer this to whoever asks for a traffic token, until `issue_tokens`."""
        answer = f"{status}" if retry_after is None else f"{status} {retry_after}"
        with open(f"{self._outage}.new", "w", encoding="ascii") as file:
            file.write(answer)
        os.replace(f"{self._outage}.new", self._outage)

    def issue_tokens(self) -> None:
        """For tests: end what `refuse_tokens` began."""
        if os.path.exists(self._outage):
            os.remove(self._outage)

    def close(self) -> None:
        """Stop the server; it kills its sandboxes and removes their directories."""
        process = self._process
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(_STOP_TIMEOUT)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        # Closing what another thread reads from is an error.
        self._reader.join()
        for stream in (process.stdin, process.stdout, self._errors):
            if stream is not None and not stream.closed:
                stream.close()
        self._remove_log()

    def __enter__(self) -> LocalManager:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _remove_log(self) -> None:
        self._directory.cleanup()

    def _first_line(self) -> str:
        try:
            line = self._lines.get(timeout=_START_TIMEOUT).decode().strip()
        except queue.Empty:
            raise self._failure(f"said nothing within {_START_TIMEOUT} s") from None
        if not line:
            raise self._failure(f"ended with exit code {self._process.wait()}")
        return line

    def _read(self) -> None:
        output = self._process.stdout
        assert output is not None
        self._lines.put(output.readline())
        # The rest is read too, so that the pipe never fills up.
        for _ in output:
            pass

    def _failure(self, what: str) -> LocalManagerError:
        self._errors.seek(0)
        errors = self._errors.read().decode(errors="replace").strip()
        return LocalManagerError(
            f"The local sandbox-manager {what}. Its standard error:\n{errors or '(empty)'}"
        )


def _server_environment() -> dict[str, str]:
    """Our environment without the patch's settings, with the way to both of our packages.

    The server must not be patched itself, and must be found even if the packages are not
    installed but lie in directories on `sys.path`. A site-packages directory is left alone:
    it may hold packages that another interpreter cannot load.
    """
    variables = {
        name: value for name, value in os.environ.items() if not name.startswith("KRUISE_E2B_")
    }
    files = (__file__, str(kruise_autopatch.__file__))
    homes = [os.path.dirname(os.path.dirname(os.path.abspath(file))) for file in files]
    paths = [home for home in homes if os.path.basename(home) not in _SITE_PACKAGES]
    if paths:
        paths.append(variables.get("PYTHONPATH", ""))
        variables["PYTHONPATH"] = os.pathsep.join(path for path in paths if path)
    return variables
