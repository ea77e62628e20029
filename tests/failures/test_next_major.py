"""The next major version of the SDK, simulated: right or closed, and never a native request.

Every request goes by way of a proxy that leads to one server, whatever name it is asked for.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import pytest
from packaging.version import Version

from support import forked, native, next_major
from support.native import Native

pytestmark = pytest.mark.skipif(
    Version(version("e2b")) < Version(next_major.SINCE), reason="the changes are of a newer release"
)

# What a client does, step by step, and what comes of each: a URL, "done", or an error.
PROGRAM = """
import asyncio, inspect, json, os
from kruise_autopatch import KruiseAutopatchError

OPTIONS = {"proxy": os.environ["KRUISE_TEST_PROXY"]}
came_of = {}

async def step(name, call):
    try:
        value = call()
        value = await value if inspect.isawaitable(value) else value
        came_of[name] = value if isinstance(value, str) else "done"
        return value
    except KruiseAutopatchError as error:
        came_of[name] = f"closed: {error}"
    except Exception as error:
        came_of[name] = f"failed: {type(error).__name__}: {error}"

async def converse(kind):
    import e2b, e2b_code_interpreter
    cls = getattr(e2b_code_interpreter, kind)
    def said(name):
        return f"{kind}, {name}"
    await step(said("api_url"), lambda: getattr(e2b.ConnectionConfig(**OPTIONS), "api_url", ""))
    await step(said("list"), lambda: cls.list(**OPTIONS).next_items())
    box = await step(said("create"), lambda: cls.create(**OPTIONS))
    if box is None:
        return
    await step(said("get_host"), lambda: "https://" + box.get_host(80))
    await step(said("envd_api_url"), lambda: box.envd_api_url)
    await step(said("download_url"), lambda: box.download_url("/tmp/a"))
    await step(said("get_mcp_url"), lambda: box.get_mcp_url())
    await step(said("jupyter"), lambda: box._jupyter_url)
    volumes = e2b.volume.connection_config
    await step(said("volumes"), lambda: volumes.VolumeConnectionConfig().api_url)
    await step(said("write"), lambda: box.files.write("/tmp/a", "hello"))
    await step(said("files"), lambda: box.files.list("/tmp"))
    await step(said("commands"), lambda: box.commands.run("true"))
    if "run_code" in os.environ["KRUISE_TEST_STEPS"]:
        await step(said("run_code"), lambda: box.run_code("1"))
    await step(said("kill"), lambda: cls.kill(box.sandbox_id, **OPTIONS))

async def main():
    for kind in ("Sandbox", "AsyncSandbox"):
        await step(f"{kind}, all", lambda: converse(kind))
    print(json.dumps(came_of), flush=True)
    os._exit(0)

asyncio.run(main())
"""


@pytest.fixture(scope="module")
def server() -> Iterator[Native]:
    with native.serving(api_key="some-api-key") as serving:
        yield serving


class Outcome(NamedTuple):
    """What came of each step, and the URLs that were asked."""

    came_of: dict[str, str]
    asked: list[str]

    @property
    def closed(self) -> set[str]:
        return {text for text in self.came_of.values() if text.startswith("closed: ")}

    @property
    def failed(self) -> set[str]:
        return {text for text in self.came_of.values() if text.startswith("failed: ")}

    @property
    def urls(self) -> list[str]:
        return [*self.asked, *(text for text in self.came_of.values() if "https://" in text[:8])]


def outcome(
    change: str, server: Native, directory: Path, variables: Mapping[str, str] | None = None
) -> Outcome:
    before = len(server.manager.requests())
    copy = next_major.install(next_major.CHANGES[change], directory)
    ours = {**copy, **server.variables, "KRUISE_E2B_PATCH": "1", "KRUISE_TEST_STEPS": ""}
    done = forked.run(["-c", PROGRAM], {**ours, **(variables or {})})
    assert done.returncode == 0, done.stderr
    asked = [f"{r['scheme']}://{r['host']}{r['path']}" for r in server.manager.requests()[before:]]
    return Outcome(json.loads(done.stdout.splitlines()[-1]), asked)


# How each change comes out: right, or closed with an error that names the release.
RIGHT = ""
OUTCOMES = {
    "nothing": RIGHT,
    "fields dropped": RIGHT,
    "the API's URL a property": r"of e2b 3\.0\.0 cannot keep its API's URL \(",
    "the API's URL no field": r"of e2b 3\.0\.0 has no api_url\.",
    "fields renamed": RIGHT,
    "functions of a module": r"e2b 3\.0\.0 makes the URL https://49983-.* is not patched",
    "functions instead of methods": r"e2b 3\.0\.0 cannot be fully patched: .*get_host is missing",
    "a function for links": r"e2b 3\.0\.0 makes the URL https://49983-.* is not patched",
    "a function for Jupyter": r"e2b 3\.0\.0 makes the URL https://49999-.*/execute in",
    "a function instead of Jupyter's property": (
        r"e2b_code_interpreter \S+ cannot be fully patched: .*_jupyter_url is missing"
    ),
    "new ports": RIGHT,
    "a port as a constant": r"of e2b 3\.0\.0 has no envd_port\.",
    "another host for the API": RIGHT,
    "a frozen configuration": r"of e2b 3\.0\.0 cannot keep its route \(",
    "a configuration with slots": r"of e2b 3\.0\.0 cannot keep its route \(",
    "all at once": r"of e2b 3\.0\.0 cannot keep its route \(",
}


@pytest.mark.parametrize("change", next_major.CHANGES)
def test_it_is_right_or_closed(server: Native, tmp_path: Path, change: str) -> None:
    running = {"KRUISE_TEST_STEPS": "run_code"} if "function for" in change else {}
    found = outcome(change, server, tmp_path, running)
    private = f"https://{server.domain}/kruise/"
    assert [url for url in found.urls if not url.startswith(private)] == []
    expected = OUTCOMES[change]
    if expected == RIGHT:
        assert not found.closed
        assert {"Sandbox, kill", "AsyncSandbox, kill"} <= found.came_of.keys()
    else:
        assert found.closed
        assert not [text for text in found.closed if not re.search(expected, text)]
    # Nothing listens at ports that nobody has seen yet.
    assert not found.failed or change == "new ports", found.failed


def test_new_ports_are_asked_for(server: Native, tmp_path: Path) -> None:
    found = outcome("new ports", server, tmp_path)
    ports = {
        match[1] for url in found.urls if (match := re.search(r"/kruise/[^/]+--[^/]+/(\d+)", url))
    }
    assert ports == {"80", "49984", "49985", "49986"}


@pytest.mark.parametrize(
    "change", ["fields dropped", "the API's URL no field", "functions of a module"]
)
def test_native_urls_are_left_as_such_a_release_makes_them(
    server: Native, tmp_path: Path, change: str
) -> None:
    found = outcome(change, server, tmp_path, {"KRUISE_E2B_PROTOCOL": "native"})
    assert not found.closed
    assert not found.failed
    assert {"Sandbox, kill", "AsyncSandbox, kill"} <= found.came_of.keys()
    assert found.came_of["Sandbox, download_url"].startswith("https://49983-")
    assert [url for url in found.asked if "/kruise/" in url] == []


CONFIGURATION = "import e2b\nresult = e2b.ConnectionConfig({arguments}).api_url"
ON = {"KRUISE_E2B_PATCH": "1", "E2B_DOMAIN": "kruise.test"}


@pytest.mark.parametrize("variable", ["E2B_API_URL", "E2B_SANDBOX_URL"])
def test_a_variable_that_the_release_does_not_read_is_not_ignored(
    tmp_path: Path, variable: str
) -> None:
    copy = next_major.install(next_major.CHANGES["fields dropped"], tmp_path)
    variables = {**copy, **ON, variable: "https://other.test"}
    code = CONFIGURATION.format(arguments="")
    error = forked.error(code, variables)
    assert f"{variable} is set, but e2b 3.0.0 is not known to read it; nothing was sent" in error
    # Who is none of OpenKruise's is left alone.
    native = CONFIGURATION.format(arguments="domain='e2b.app'")
    assert forked.value(native, variables) == "https://api.e2b.app"


def test_a_volume_urls_variable_is_not_ignored_either(tmp_path: Path) -> None:
    copy = next_major.install(next_major.CHANGES["fields dropped"], tmp_path)
    code = "from e2b.volume import connection_config as c; c.VolumeConnectionConfig()"
    error = forked.error(code, {**copy, **ON, "E2B_VOLUME_API_URL": "https://other.test"})
    assert "E2B_VOLUME_API_URL is set, but e2b 3.0.0 is not known to read it" in error


@pytest.mark.parametrize(
    ("arguments", "variables"),
    [("base_url='https://other.test'", {}), ("", {"E2B_BASE_URL": "https://other.test"})],
)
def test_an_explicit_url_by_another_name_is_not_overwritten(
    tmp_path: Path, arguments: str, variables: dict[str, str]
) -> None:
    copy = next_major.install(next_major.CHANGES["fields renamed"], tmp_path)
    error = forked.error(CONFIGURATION.format(arguments=arguments), {**copy, **ON, **variables})
    assert (
        "e2b 3.0.0 has the API's URL https://other.test from somewhere that is not known" in error
    )
