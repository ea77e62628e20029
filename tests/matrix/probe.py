"""Run the conversation in one environment, and write down what happened, without judging it.

Usage: python -m matrix.probe PYTHON RESULT [MORE ...]

``MORE`` are those of ``MORE`` that are wanted beside the conversations by private URLs.
``matrix.run`` starts it under ``support/loopback.py``. The local sandbox-manager runs in the
interpreter of this process, the SDK in ``PYTHON``.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kruise_autopatch_local import LocalManager
from matrix.environments import PROGRAM
from support import fresh, loopback, loopback_tls, native
from support.checkout import TESTS
from surfaces import crowds, proxies
from tokens import redirects

# Conversations by native URLs, and requests that are answered with redirects.
NATIVE, REDIRECTS = MORE = ("native", "redirects")
PRIVATE = "private"
MODES = ("sync", "async")
SCHEMES = ("http", "https")
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "proxy=")
_ATTEMPTS = 2
# What is kept of each.
_OF_REQUESTS = ("method", "scheme", "host", "path", "status")
# One that the SDK's own check refuses, and one that it accepts.
_KEY, _NATIVE_KEY = "some-api-key", "e2b_00"
# Steps without which the others are not reached.
_ALWAYS = ("import e2b_code_interpreter", "create", "import e2b_desktop", "desktop connect")


def main(python: str, result: Path, more: Sequence[str]) -> None:
    runs = []
    with tempfile.TemporaryDirectory() as directory:
        files = loopback_tls.issue(Path(directory))
        for scheme in SCHEMES:
            # Its static domain is what older servers answer: nobody must go there.
            with LocalManager(
                api_key=_KEY,
                templates=["mcp-gateway"],
                e2b_domain="localhost",
                **(loopback_tls.https(files) if scheme == "https" else {}),
            ) as manager:
                variables = {**manager.environment(), "SSL_CERT_FILE": files["authority"]}
                for mode in MODES:
                    runs.append(_converse(python, mode, scheme, manager, variables))
        if NATIVE in more:
            runs += [_converse_natively(python, mode) for mode in MODES]
        proxied = [_by_proxy(python, way, files) for way in PROXIES]
        crowded = {mode: crowds.held(python, mode, "https", files) for mode in MODES}
    redirected = [redirects.problems(python, mode) for mode in MODES if REDIRECTS in more]
    stock = [_in_stock(python, run) for run in runs if run["outcome"] and run["outcome"]["errors"]]
    report = {
        "guard": loopback.guard(),
        "escapes": loopback.escapes(),
        "runs": runs,
        "stock": stock,
        "proxies": [problem for problems in proxied for problem in problems],
        "connections": [problem for crowd in crowded.values() for problem in crowd.problems],
        "spoken": {mode: crowd.spoken for mode, crowd in crowded.items()},
        "together": {mode: crowd.together for mode, crowd in crowded.items()},
    }
    if REDIRECTS in more:
        report["redirects"] = [problem for problems in redirected for problem in problems]
    result.write_text(json.dumps(report, indent=1))


def _converse(
    python: str, mode: str, scheme: str, manager: LocalManager, variables: dict[str, str]
) -> dict[str, Any]:
    for attempt in range(1, _ATTEMPTS + 1):
        before = len(manager.requests())
        run = _program(python, [mode, "variable", scheme, manager.domain, _KEY], variables)
        run["protocol"] = PRIVATE
        run["attempts"] = attempt
        run["domain"] = manager.domain
        run["requests"] = [
            {name: request[name] for name in _OF_REQUESTS}
            for request in manager.requests()[before:]
        ]
        # Only what broke off is tried again; a wrong answer is an answer.
        if run["outcome"] is not None:
            break
    return run


def _converse_natively(python: str, mode: str) -> dict[str, Any]:
    """The same by native URLs; they and the requests stand in their private form."""
    with native.serving(api_key=_KEY, templates=["mcp-gateway"]) as server:
        variables = {**server.variables, "KRUISE_E2B_PATCH": "1", "KRUISE_E2B_PROTOCOL": "native"}
        for attempt in range(1, _ATTEMPTS + 1):
            before = len(server.manager.requests())
            run = _program(python, [mode, "native", "https", server.domain, _KEY], variables)
            run.update(protocol=NATIVE, attempts=attempt, domain=server.domain, requests=[])
            if run["outcome"] is None:
                continue
            urls = run["outcome"]["urls"]
            try:
                run["outcome"]["urls"] = {n: server.private_form(url) for n, url in urls.items()}
                requests = server.requests()[before:]
            except (AssertionError, ValueError) as error:
                run["outcome"], run["problem"] = None, f"not by a native URL: {error}"
                break
            run["requests"] = [{name: r[name] for name in _OF_REQUESTS} for r in requests]
            break
    return run


def _by_proxy(python: str, way: str, certificates: dict[str, str]) -> list[str]:
    try:
        return proxies.problems(python, way, certificates)
    except (RuntimeError, subprocess.TimeoutExpired) as error:
        return [f"{way}: {error}"]


def _in_stock(python: str, run: dict[str, Any]) -> dict[str, Any]:
    """What the steps that failed do with the switch off."""
    steps = json.dumps([*_ALWAYS, *run["outcome"]["errors"]])
    arguments = [run["mode"], "debug", run["scheme"], steps, _NATIVE_KEY]
    return {**_program(python, arguments, {}), "protocol": run["protocol"]}


def _program(python: str, arguments: list[str], variables: dict[str, str]) -> dict[str, Any]:
    mode, _, scheme, *_ = arguments
    run: dict[str, Any] = {"mode": mode, "scheme": scheme, "outcome": None, "problem": ""}
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as elsewhere:
        try:
            done = subprocess.run(
                [python, str(PROGRAM), *arguments],
                env=fresh.environment({**variables, "PYTHONPATH": str(TESTS)}),
                cwd=elsewhere,
                capture_output=True,
                text=True,
                timeout=fresh.PATIENCE,
                check=False,
            )
        except subprocess.TimeoutExpired:
            run["problem"] = f"no end after {fresh.PATIENCE} s"
        else:
            lines = done.stdout.splitlines()
            if done.returncode == 0 and lines:
                run["outcome"] = json.loads(lines[-1])
            else:
                run["problem"] = f"exit status {done.returncode}: {done.stderr.strip()[-2000:]}"
    run["seconds"] = round(time.monotonic() - began, 1)
    return run


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3:])
