"""Whatever gets round the patches is refused when it is used: it never leads anywhere natively."""

from __future__ import annotations

import pytest

from support import forked
from support.programs import ON, PRIVATE

USE = """
import copy, importlib.util, os, pickle, shutil, sys, tempfile
import kruise_autopatch

def use(make):
    try:
        config = make()
        from e2b.api import ApiClient
        ApiClient(config)
        return config.get_host("s1", "kruise.test", 80)
    except kruise_autopatch.KruiseAutopatchError as error:
        return f"{type(error).__name__}: {error}"
"""

# A configuration that no patched constructor has seen, and what is said of it.
PAST = {
    "a subclass without super": """
import e2b
class Mine(e2b.ConnectionConfig):
    def __init__(self):
        native = e2b.ConnectionConfig(api_key="k")
        self.__dict__.update({k: v for k, v in vars(native).items() if "kruise" not in k})
make = Mine
""",
    "restored without its mark": """
import e2b
def make():
    config = e2b.ConnectionConfig(api_key="k")
    restored = object.__new__(e2b.ConnectionConfig)
    restored.__dict__.update({k: v for k, v in vars(config).items() if "kruise" not in k})
    return restored
""",
}


@pytest.mark.parametrize("way", PAST)
def test_a_client_without_a_decision_is_refused(way: str) -> None:
    found = forked.value(f"{USE}\n{PAST[way]}\nresult = use(make)", ON)
    assert found.startswith("UnpatchedClientError: This ")
    assert "so its route is not known and nothing was sent" in found


def test_copies_and_pickles_keep_their_route() -> None:
    code = f"""{USE}
import e2b
config = e2b.ConnectionConfig(api_key="k")
result = [use(lambda: make(config)) for make in
          (copy.copy, copy.deepcopy, lambda c: pickle.loads(pickle.dumps(c)))]
"""
    assert forked.patched.value(code, ON) == ["kruise.test/kruise/s1/80"] * 3


OTHER_NAMES = {
    "vendored": """
directory = tempfile.mkdtemp()
source = os.path.dirname(importlib.util.find_spec("e2b").origin)
os.mkdir(os.path.join(directory, "vendor"))
shutil.copytree(source, os.path.join(directory, "vendor", "e2b"))
sys.path.insert(0, directory)
from vendor import e2b
""",
    "from a file": """
found = importlib.util.find_spec("e2b")
spec = importlib.util.spec_from_file_location(
    "my_e2b", found.origin, submodule_search_locations=list(found.submodule_search_locations))
e2b = importlib.util.module_from_spec(spec)
sys.modules["my_e2b"] = e2b
spec.loader.exec_module(e2b)
""",
}


@pytest.mark.parametrize("name", OTHER_NAMES)
def test_a_copy_of_the_sdk_under_another_name_builds_no_native_client(name: str) -> None:
    code = f"""{USE}
{OTHER_NAMES[name]}
try:
    result = e2b.ConnectionConfig(api_key="k").api_url
except kruise_autopatch.KruiseAutopatchError as error:
    result = str(error)
"""
    found = forked.patched.value(code, ON)
    # A release whose modules import each other absolutely leads to the installed one.
    assert found == PRIVATE or "is of a copy of e2b under another name" in found


def test_a_copy_works_natively_again_after_unpatch() -> None:
    code = f"""{USE}
{OTHER_NAMES["from a file"]}
kruise_autopatch.unpatch_e2b()
result = e2b.ConnectionConfig(api_key="k").api_url
"""
    assert forked.patched.value(code, ON) == "https://api.kruise.test"


def test_a_mocked_sdk_is_left_alone() -> None:
    # As Sphinx does for autodoc_mock_imports.
    code = """
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType

class Mocked(ModuleType):
    __sphinx_mock__ = True
    __path__ = []
    def __getattr__(self, name):
        return type(name, (), {"__module__": self.__name__})

class Loader:
    def create_module(self, spec):
        return Mocked(spec.name)
    def exec_module(self, module):
        pass

class Finder:
    def find_spec(self, name, path=None, target=None):
        return ModuleSpec(name, Loader(), is_package=True) if name.startswith("e2b") else None

sys.meta_path.insert(0, Finder())
import colorsys
import e2b, e2b.connection_config, e2b_code_interpreter
result = [e2b.Sandbox.__name__, e2b.connection_config.ConnectionConfig.__name__]
"""
    assert forked.value(code, ON) == ["Sandbox", "ConnectionConfig"]


BROKEN_URLS = {
    "https://me:secret@kruise.test/kruise/api": "has user information",
    "https://a b/kruise/api": "contains a space",
    "https://kruise.test:x/kruise/api": "has the port 'x'",
}


@pytest.mark.parametrize("url", BROKEN_URLS)
def test_the_host_of_an_explicit_private_url_is_checked(url: str) -> None:
    variables = {"KRUISE_E2B_PATCH": "1", "E2B_API_URL": url}
    message = forked.error("import e2b; e2b.ConnectionConfig(api_key='k')", variables)
    assert "ConfigurationError: E2B_API_URL: its host " in message
    assert BROKEN_URLS[url] in message
    assert "secret" not in message


def test_a_private_url_of_e2bs_own_cloud_is_native() -> None:
    variables = {"KRUISE_E2B_PATCH": "1", "E2B_API_URL": "https://e2b.app/kruise/api"}
    code = "import e2b; result = e2b.ConnectionConfig(api_key='k').get_host('s1', 'e2b.app', 80)"
    assert forked.patched.value(code, variables) == "80-s1.e2b.app"


@pytest.mark.parametrize("url", ["https://KRUISE.test", "https://kruise.test.:443"])
def test_another_spelling_of_the_host_changes_no_scheme(url: str) -> None:
    variables = {**ON, "E2B_API_URL": f"{url}/kruise/api"}
    code = "import e2b; result = e2b.ConnectionConfig(api_key='k').get_sandbox_url('s1', '')"
    # The scheme is that of the API URL, since it is of the same host.
    assert forked.patched.value(code, variables) == "https://kruise.test/kruise/s1/49983"


@pytest.mark.parametrize("domain", ["https://me:secret@kruise.test", "kruise.test?token=secret"])
def test_no_message_repeats_what_may_be_a_secret(domain: str) -> None:
    variables = {"KRUISE_E2B_PATCH": "1", "E2B_DOMAIN": domain}
    message = forked.error("import e2b; e2b.ConnectionConfig(api_key='k')", variables)
    assert "ConfigurationError: E2B_DOMAIN=" in message
    assert "secret" not in message


@pytest.mark.parametrize("sandbox_id", ["%2e%2e", "%2E%2e", "..", "a/b", "a b", "", "é", "-a"])
def test_an_id_that_no_server_makes_is_refused(sandbox_id: str) -> None:
    code = f"import e2b; e2b.ConnectionConfig(api_key='k').get_host({sandbox_id!r}, '', 80)"
    message = forked.patched.error(code, ON)
    assert f"SandboxAddressError: sandbox id {sandbox_id!r} is none that a server makes" in message


@pytest.mark.parametrize("sandbox_id", ["ns--name", "abc2def3ghi4j", "A.b_c~d-e", "i1"])
def test_every_id_that_a_server_makes_is_taken(sandbox_id: str) -> None:
    code = f"import e2b; print(e2b.ConnectionConfig(api_key='k').get_host({sandbox_id!r}, '', 80))"
    assert forked.patched.output(code, ON) == f"kruise.test/kruise/{sandbox_id}/80"
