"""Mocks that programs' own tests put in the place of the SDK's HTTP clients."""

from __future__ import annotations

import pytest

from support import forked

PROGRAM = """
import asyncio
from unittest import mock
import httpx
from packaging.version import Version
import e2b_code_interpreter
from e2b import ConnectionConfig

Real = getattr(httpx, f"{PREFIX}Client")
fakes = {
    "Mock": lambda *args, **kwargs: mock.Mock(),
    "MagicMock": lambda *args, **kwargs: mock.MagicMock(),
    "Mock of the class": lambda *args, **kwargs: mock.Mock(spec=Real),
    "MagicMock of the class": lambda *args, **kwargs: mock.MagicMock(spec=Real),
}
C = getattr(e2b_code_interpreter, f"{PREFIX}Sandbox")
module = f"e2b_code_interpreter.code_interpreter_{'async' if PREFIX else 'sync'}"

def build(fake):
    with mock.patch.object(httpx, f"{PREFIX}Client", fake), \\
            mock.patch(f"{module}.{PREFIX}Client", fake):
        sandbox = C(sandbox_id="box", sandbox_domain=None, envd_version=Version("0.2.10"),
                    envd_access_token="access", traffic_access_token="opaque",
                    connection_config=ConnectionConfig())
        return isinstance(sandbox._client, mock.Mock), sandbox.traffic_access_token

async def main():
    return {name: build(fake) for name, fake in fakes.items()}

result = asyncio.run(main())
"""

KINDS = ("Mock", "MagicMock", "Mock of the class", "MagicMock of the class")


@pytest.mark.parametrize("prefix", ["", "Async"], ids=["sync", "async"])
def test_a_mock_of_a_client_breaks_no_sandbox(prefix: str) -> None:
    variables = {
        "KRUISE_E2B_PATCH": "1",
        "E2B_DOMAIN": "127.0.0.1:9",
        "E2B_API_KEY": "e2b_00",
    }
    built = forked.value(f"PREFIX = {prefix!r}\n{PROGRAM}", variables)
    assert built == {kind: [True, "opaque"] for kind in KINDS}
