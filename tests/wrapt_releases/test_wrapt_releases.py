"""What a patched method does must not depend on the release of wrapt.

``tox -e wrapt`` has put each release into a directory of its own.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from support import fresh
from support.programs import ON

RELEASES = os.environ.get("KRUISE_TEST_WRAPT")
pytestmark = pytest.mark.skipif(not RELEASES, reason="needs several releases: tox -e wrapt")
EACH = sorted(Path(RELEASES or ".").glob("wrapt-*")) if RELEASES else []

# The many ways in which a program may call a patched method, with the answers of the native form.
WAYS = """
import copy, functools, json, pickle, wrapt
import e2b
from e2b import ConnectionConfig
from packaging.version import Version
from unittest import mock

class Mine(ConnectionConfig):
    def __init__(self, **options):
        ConnectionConfig.__init__(self, **options)

class Answering(ConnectionConfig):
    def get_host(self, *args, **options):
        return super().get_host(*args, **options)

config = ConnectionConfig(api_key="k")
arguments = ("s1", "kruise.test", 80)
found = {
    "explicit base __init__": Mine(api_key="k").api_url,
    "by name": config.get_host(sandbox_id="s1", sandbox_domain="kruise.test", port=80),
    "mixed": config.get_host("s1", port=80, sandbox_domain="kruise.test"),
    "super": Answering(api_key="k").get_host(*arguments),
    "through the class": ConnectionConfig.get_host(config, *arguments),
    "through map": next(map(ConnectionConfig.get_host, [config], ["s1"], ["kruise.test"], [80])),
    "partial": functools.partial(config.get_host, "s1")("kruise.test", 80),
    "pickled method": pickle.loads(pickle.dumps(config.get_host))(*arguments),
    "pickled function": pickle.loads(pickle.dumps(ConnectionConfig.get_host))(config, *arguments),
    "copied": copy.copy(config.get_host)(*arguments),
    "deep-copied": copy.deepcopy({"f": config.get_host})["f"](*arguments),
    "of a copy": copy.deepcopy(config).get_host(*arguments),
}
with mock.patch.object(ConnectionConfig, "get_host", autospec=True,
                       side_effect=ConnectionConfig.get_host) as spy:
    found["spied on"] = config.get_host(*arguments)
original = ConnectionConfig.get_host
@functools.wraps(original)
def counted(self, *args, **options):
    return original(self, *args, **options)
ConnectionConfig.get_host = counted
found["wrapped again"] = config.get_host(*arguments)
ConnectionConfig.get_host = original
for name, wrong in (("nothing", ()), ("too much", (*arguments, 1, 2))):
    try:
        found[name] = config.get_host(*wrong)
    except TypeError as error:
        found[name] = "get_host() " in str(error) and "TypeError"
box = e2b.Sandbox(sandbox_id="s1", sandbox_domain=None, envd_version=Version("0.2.10"),
                  envd_access_token=None, connection_config=config)
found["sandbox"] = box.get_host(80)
found["file"] = box.download_url("/f").partition("?")[0]
result = [wrapt.__version__, found]
"""

HOST = "kruise.test/kruise/s1/80"
ANSWERS = {
    "explicit base __init__": "http://kruise.test/kruise/api",
    "nothing": "TypeError",
    "too much": "TypeError",
    "file": "http://kruise.test/kruise/s1/49983/files",
}


@pytest.mark.parametrize("directory", EACH, ids=lambda directory: directory.name)
def test_patched_methods_are_called_as_native_ones(directory: Path) -> None:
    version, found = fresh.value(WAYS, {**ON, "PYTHONPATH": str(directory)})
    assert f"wrapt-{version}" == directory.name
    assert found == {name: ANSWERS.get(name, HOST) for name in found}
    assert len(found) > 15


def test_the_releases_are_there() -> None:
    assert len(EACH) >= 6
