"""Provoke every refusal that a server can give, and print what the SDK makes of it.

Usage: every_error.py sync|async, with the server named by the environment. The server answers as
the marks in the requests say: ``s404json`` is 404 with a JSON body. Prints one JSON object, from
the operation and the mark to the type and the message of the error.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import sys
from typing import Any

import e2b
from packaging.version import Version

STATUSES = (400, 401, 403, 404, 409, 413, 429, 500, 502, 503, 504, 507)
KINDS = ("json", "text")

Sandbox: Any = e2b.AsyncSandbox if sys.argv[1] == "async" else e2b.Sandbox

CONTROL = {
    "create": lambda mark: Sandbox.create(mark),
    "get_info": lambda mark: Sandbox.get_info(mark),
    "kill": lambda mark: Sandbox.kill(mark),
    "set_timeout": lambda mark: Sandbox.set_timeout(mark, 60),
    "connect": lambda mark: Sandbox.connect(mark, timeout=60),
    "pause": lambda mark: Sandbox.beta_pause(mark),
    "list": lambda mark: Sandbox.list(e2b.SandboxQuery(metadata={"mark": mark})).next_items(),
}
DATA = {
    "files.read": lambda sandbox, mark: sandbox.files.read(f"/{mark}"),
    "files.list": lambda sandbox, mark: sandbox.files.list(f"/{mark}"),
    "commands.run": lambda sandbox, mark: sandbox.commands.run(mark),
}


async def outcome(action: Any, *arguments: Any) -> list[str]:
    try:
        value = action(*arguments)
        value = await value if inspect.isawaitable(value) else value
    except Exception as error:
        return [f"{type(error).__module__}.{type(error).__name__}", str(error)]
    return ["no error", repr(value)]


async def main() -> None:
    found = {}
    sandbox = Sandbox(
        sandbox_id="s1",
        envd_version=Version("0.2.10"),
        envd_access_token=None,
        sandbox_domain=None,
        connection_config=e2b.ConnectionConfig(),
    )
    for status in STATUSES:
        for kind in KINDS:
            mark = f"s{status}{kind}"
            for name, action in CONTROL.items():
                found[f"{name} {mark}"] = await outcome(action, mark)
            for name, use in DATA.items():
                found[f"{name} {mark}"] = await outcome(use, sandbox, mark)
    print(json.dumps(found), flush=True)
    # See surfaces/conversation.py.
    os._exit(0)


asyncio.run(main())
