"""Run the conversation in one environment, and write down what happened, without judging it.

Usage: python -m matrix.probe PYTHON RESULT

``matrix.run`` starts it under ``support/loopback.py``. The local sandbox-manager runs in the
interpreter of this process, the SDK in ``PYTHON``.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from kruise_autopatch_local import LocalManager
from matrix.environments import PROGRAM
from support import fresh, loopback, loopback_tls
from support.checkout import TESTS
from surfaces import crowds, proxies

MODES = ("sync", "async")
SCHEMES = ("http", "https")
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "proxy=")
# Seconds; a conversation takes ten.
_PATIENCE = 120
_ATTEMPTS = 2
# One that the SDK's own check refuses, and one that it accepts.
_KEY, _NATIVE_KEY = "some-api-key", "e2b_00"
# Steps without which the others are not reached.
_ALWAYS = ("import e2b_code_interpreter", "create", "import e2b_desktop", "desktop connect")


def main(python: str, result: Path) -> None:
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
        proxied = [_by_proxy(python, way, files) for way in PROXIES]
        crowded = [crowds.problems(python, mode, "https", files) for mode in MODES]
    stock = [_in_stock(python, run) for run in runs if run["outcome"] and run["outcome"]["errors"]]
    report = {
        "guard": loopback.guard(),
        "escapes": loopback.escapes(),
        "runs": runs,
        "stock": stock,
        "proxies": [problem for problems in proxied for problem in problems],
        "connections": [problem for problems in crowded for problem in problems],
    }
    result.write_text(json.dumps(report, indent=1))


def _converse(
    python: str, mode: str, scheme: str, manager: LocalManager, variables: dict[str, str]
) -> dict[str, Any]:
    for attempt in range(1, _ATTEMPTS + 1):
        before = len(manager.requests())
        run = _program(python, [mode, "variable", scheme, manager.domain, _KEY], variables)
        run["attempts"] = attempt
        run["domain"] = manager.domain
        run["requests"] = [
            {name: request[name] for name in ("method", "scheme", "host", "path", "status")}
            for request in manager.requests()[before:]
        ]
        # Only what broke off is tried again; a wrong answer is an answer.
        if run["outcome"] is not None:
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
    return _program(python, [run["mode"], "debug", run["scheme"], steps, _NATIVE_KEY], {})


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
                timeout=_PATIENCE,
                check=False,
            )
        except subprocess.TimeoutExpired:
            run["problem"] = f"no end after {_PATIENCE} s"
        else:
            lines = done.stdout.splitlines()
            if done.returncode == 0 and lines:
                run["outcome"] = json.loads(lines[-1])
            else:
                run["problem"] = f"exit status {done.returncode}: {done.stderr.strip()[-2000:]}"
    run["seconds"] = round(time.monotonic() - began, 1)
    return run


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
