"""``patch_e2b``, ``unpatch_e2b`` and ``status``, called from a program."""

from __future__ import annotations

from pathlib import Path

import pytest

from support import forked

IMPORTS = ["kruise_autopatch", "kruise_agents.e2b", "kruise_agents.patch_e2b"]

# Every class and module that is patched, and what its attributes are.
SNAPSHOT = """
def snapshot():
    import e2b.api, e2b.connection_config, e2b.sandbox.main
    import e2b_code_interpreter.code_interpreter_sync as sync
    import e2b_code_interpreter.code_interpreter_async as async_
    import e2b_desktop.main as desktop
    owners = [e2b.api, e2b.api.ApiClient, e2b.connection_config.ConnectionConfig,
              e2b.sandbox.main.SandboxBase, sync.Sandbox, async_.AsyncSandbox, desktop._VNCServer]
    return [dict(vars(owner)) for owner in owners]
"""


API_URL = "import e2b\nresult = e2b.ConnectionConfig(domain='kruise.test').api_url"


def _api_url(statements: str) -> str:
    """After these, in a program that has imported the SDK before."""
    url: str = forked.native.value(f"{statements}\n{API_URL}")
    return url


@pytest.mark.parametrize("module", IMPORTS)
@pytest.mark.parametrize(
    ("call", "scheme"),
    [("()", "https"), ("(True)", "https"), ("(False)", "http"), ("(https=False)", "http")],
)
def test_the_argument_chooses_the_scheme(module: str, call: str, scheme: str) -> None:
    url = _api_url(f"from {module} import patch_e2b; patch_e2b{call}")
    assert url == f"{scheme}://kruise.test/kruise/api"


def test_the_sdk_may_be_imported_later() -> None:
    url = forked.value(f"from kruise_autopatch import patch_e2b; patch_e2b(False)\n{API_URL}")
    assert url == "http://kruise.test/kruise/api"


def test_distributions_that_are_imported_later_are_patched_too() -> None:
    code = """
import kruise_autopatch
kruise_autopatch.patch_e2b(False)
import e2b_code_interpreter, e2b_desktop
names = {patch.name.partition(":")[0] for patch in kruise_autopatch.status().patches}
result = sorted(name for name in names if name.startswith(("e2b_code", "e2b_desk")))
"""
    assert forked.value(code) == [
        "e2b_code_interpreter.code_interpreter_async",
        "e2b_code_interpreter.code_interpreter_sync",
        "e2b_desktop.main",
    ]


def test_the_last_call_wins_as_a_whole() -> None:
    url = _api_url(
        "from kruise_autopatch import patch_e2b; patch_e2b(False); patch_e2b(True)",
    )
    assert url == "https://kruise.test/kruise/api"


def test_a_call_wins_over_the_variables() -> None:
    variables = {"KRUISE_E2B_PATCH": "1", "KRUISE_E2B_HTTPS": "1"}
    call = "from kruise_autopatch import patch_e2b; patch_e2b(False)"
    url = forked.value(f"{call}\n{API_URL}", variables)
    assert url == "http://kruise.test/kruise/api"


def test_no_variable_is_needed_and_none_is_changed() -> None:
    code = (
        "import os; before = dict(os.environ)\n"
        "from kruise_agents.e2b import patch_e2b; patch_e2b(False)\n"
        "result = before == dict(os.environ)"
    )
    assert forked.value(code) is True


def test_unpatching_restores_every_attribute_itself() -> None:
    code = f"""
{SNAPSHOT}
import kruise_autopatch
before = snapshot()
kruise_autopatch.patch_e2b(False)
assert snapshot() != before
kruise_autopatch.unpatch_e2b()
result = [snapshot() == before, str(kruise_autopatch.status())]
"""
    assert forked.native.value(code) == [True, "kruise-autopatch: off"]


def test_unpatching_twice_or_without_a_patch_changes_nothing() -> None:
    code = f"""
{SNAPSHOT}
import kruise_autopatch
before = snapshot()
kruise_autopatch.unpatch_e2b(); kruise_autopatch.unpatch_e2b()
result = snapshot() == before
"""
    assert forked.native.value(code) is True


def test_unpatching_holds_for_later_imports_even_when_switched_on() -> None:
    call = "import kruise_autopatch; kruise_autopatch.unpatch_e2b()"
    url = forked.value(f"{call}\n{API_URL}", {"KRUISE_E2B_PATCH": "1"})
    assert url == "https://api.kruise.test"


def test_patching_again_after_unpatching_works() -> None:
    url = _api_url(
        "from kruise_autopatch import patch_e2b, unpatch_e2b\n"
        "patch_e2b(); unpatch_e2b(); patch_e2b(False)"
    )
    assert url == "http://kruise.test/kruise/api"


def test_a_wrapper_that_somebody_put_on_top_stays_and_ours_below_it_rests() -> None:
    code = """
import e2b, wrapt, kruise_autopatch
kruise_autopatch.patch_e2b(False)
calls = []
def trace(wrapped, instance, args, kwargs):
    calls.append("traced")
    return wrapped(*args, **kwargs)
wrapt.wrap_function_wrapper(e2b.ConnectionConfig, "get_host", trace)
kruise_autopatch.unpatch_e2b()
host = e2b.ConnectionConfig(domain="kruise.test").get_host("s1", "kruise.test", 80)
result = [calls, host]
"""
    assert forked.native.value(code) == [["traced"], "80-s1.kruise.test"]


def test_objects_built_before_patching_are_refused_rather_than_native() -> None:
    code = """
import e2b, kruise_autopatch
config = e2b.ConnectionConfig(domain="kruise.test", api_key="k")
kruise_autopatch.patch_e2b(False)
refused = []
for use in (lambda: config.get_host("s1", "kruise.test", 80), lambda: e2b.ApiClient(config)):
    try:
        use()
    except kruise_autopatch.KruiseAutopatchError as error:
        refused.append(f"{type(error).__name__}: {error}")
kruise_autopatch.unpatch_e2b()
result = [*refused, config.get_host("s1", "kruise.test", 80)]
"""
    *refused, after = forked.native.value(code)
    assert len(refused) == 2
    for message in refused:
        assert message.startswith("UnpatchedClientError: This ConnectionConfig ")
        assert "before patch_e2b was called" in message
        assert message.endswith("Build it again, by its class.")
    assert after == "80-s1.kruise.test"


def test_a_subclass_of_the_configuration_is_patched() -> None:
    code = """
import e2b, kruise_autopatch
class Mine(e2b.ConnectionConfig):
    pass
kruise_autopatch.patch_e2b(False)
result = Mine(domain="kruise.test").api_url
"""
    assert forked.native.value(code) == "http://kruise.test/kruise/api"


def test_configurations_can_be_copied_and_pickled() -> None:
    code = """
import copy, pickle, e2b, kruise_autopatch
kruise_autopatch.patch_e2b(False)
config = e2b.ConnectionConfig(domain="kruise.test")
copies = [copy.copy(config), copy.deepcopy(config), pickle.loads(pickle.dumps(config))]
result = [other.get_host("s1", "x", 80) for other in copies]
"""
    assert forked.native.value(code) == ["kruise.test/kruise/s1/80"] * 3


def test_status_says_who_switched_it_on_and_how() -> None:
    code = """
import kruise_autopatch
waiting = str(kruise_autopatch.status())
import e2b
status = kruise_autopatch.status()
result = [waiting, status.enabled, status.source, status.settings.https,
          {patch.name: patch.state for patch in status.patches}]
"""
    variables = {"KRUISE_E2B_PATCH": "1", "KRUISE_E2B_HTTPS": "0"}
    waiting, enabled, source, https, patches = forked.value(code, variables)
    assert waiting == "kruise-autopatch: on, waiting for e2b"
    assert (enabled, source, https) == (True, "environment", False)
    assert patches["e2b.connection_config:ConnectionConfig.get_host"] == "applied"
    assert set(patches.values()) <= {"applied", "absent"}


def test_status_of_a_program_that_is_off() -> None:
    code = "import kruise_autopatch; result = str(kruise_autopatch.status())"
    assert forked.value(code) == "kruise-autopatch: off"


def test_without_the_sdk_the_call_says_that_it_is_missing() -> None:
    message = forked.error(
        "import sys; sys.modules['e2b'] = None\nfrom kruise_autopatch import patch_e2b; patch_e2b()"
    )
    assert message.startswith("ModuleNotFoundError")
    assert "e2b" in message


def test_a_call_that_fails_leaves_what_was_in_force() -> None:
    code = """
import os, e2b, kruise_autopatch
kruise_autopatch.patch_e2b(False)
os.environ["KRUISE_E2B_SANDBOX_DOMAIN"] = "https://bad"
try:
    kruise_autopatch.patch_e2b(True)
except kruise_autopatch.ConfigurationError as error:
    assert "KRUISE_E2B_SANDBOX_DOMAIN" in str(error)
result = e2b.ConnectionConfig(domain="kruise.test").api_url
"""
    assert forked.native.value(code) == "http://kruise.test/kruise/api"


# What the patch that OpenKruise's own documentation hands out does to the SDK.
HAND_CALLED_PATCH = """
import os
def openkruise_patch(https):
    from e2b import ConnectionConfig
    from e2b.sandbox.main import SandboxBase
    from e2b_code_interpreter.code_interpreter_async import AsyncSandbox
    from e2b_code_interpreter.code_interpreter_sync import Sandbox
    scheme = "https" if https else "http"
    os.environ["E2B_API_URL"] = f"{scheme}://{os.environ['E2B_DOMAIN']}/kruise/api"
    SandboxBase.get_host = lambda self, port: (
        f"{self.sandbox_domain}/kruise/{self.sandbox_id}/{port}")
    ConnectionConfig.get_host = lambda self, sandbox_id, sandbox_domain, port: (
        f"{sandbox_domain}/kruise/{sandbox_id}/{port}")
    if not https:
        ConnectionConfig.get_sandbox_url = lambda self, sandbox_id, sandbox_domain, port=None: (
            f"http://{self.get_host(sandbox_id, sandbox_domain, port or self.envd_port)}")
        for sandbox in (Sandbox, AsyncSandbox):
            sandbox._jupyter_url = property(lambda self: f"http://{self.get_host(49999)}")
"""

URLS_OF_A_SANDBOX = """
def urls():
    import inspect
    from packaging.version import Version
    from e2b import ConnectionConfig
    from e2b_code_interpreter import AsyncSandbox, Sandbox
    found = []
    for kind in (Sandbox, AsyncSandbox):
        config = ConnectionConfig(api_key="k")
        sandbox = kind(sandbox_id="s1", envd_version=Version("0.2.10"), envd_access_token=None,
                       sandbox_domain="localhost", connection_config=config)
        found += [
            config.api_url, sandbox.envd_api_url, sandbox.get_host(3000), sandbox._jupyter_url,
            sandbox.download_url("/f"), sandbox.upload_url("/f"), sandbox.get_mcp_url()]
    return found
"""


@pytest.mark.parametrize("https", [False, True])
def test_openkruises_own_patch_on_top_changes_no_url(https: bool) -> None:
    code = f"""
{HAND_CALLED_PATCH}{URLS_OF_A_SANDBOX}
from kruise_autopatch import patch_e2b
patch_e2b({https})
before = urls()
openkruise_patch({https})
result = [before, urls()]
"""
    before, after = forked.native.value(code, {"E2B_DOMAIN": "kruise.test"})
    assert before[0] == f"{'https' if https else 'http'}://kruise.test/kruise/api"
    assert after == before


# As OpenKruise's contributor page tells people to have it in their project.
@pytest.mark.parametrize("name", ["patch_e2b", "kruise_agents.patch_e2b"])
@pytest.mark.parametrize("https", [False, True])
def test_a_copy_of_openkruises_patch_in_a_project_changes_no_url(
    tmp_path: Path, name: str, https: bool
) -> None:
    copy = tmp_path / f"{name.replace('.', '/')}.py"
    copy.parent.mkdir(exist_ok=True)
    copy.write_text(f"{HAND_CALLED_PATCH}\npatch_e2b = openkruise_patch\n")
    code = f"""
{URLS_OF_A_SANDBOX}
before = urls()
from {name} import patch_e2b
patch_e2b({https})
result = [patch_e2b.__code__.co_filename, before, urls()]
"""
    switches = {"KRUISE_E2B_PATCH": "1", "KRUISE_E2B_HTTPS": str(int(https))}
    found = forked.value(
        code, {**switches, "E2B_DOMAIN": "kruise.test", "PYTHONPATH": str(tmp_path)}
    )
    used, before, after = found
    assert used == str(copy)
    assert before[0] == f"{'https' if https else 'http'}://kruise.test/kruise/api"
    assert after == before


def test_on_top_of_openkruises_own_patch_every_url_is_the_same() -> None:
    code = f"""
{HAND_CALLED_PATCH}{URLS_OF_A_SANDBOX}
from kruise_autopatch import patch_e2b, unpatch_e2b
patch_e2b(False)
before = urls()
unpatch_e2b()
openkruise_patch(False)
patch_e2b(False)
result = [before, urls()]
"""
    before, after = forked.native.value(code, {"E2B_DOMAIN": "kruise.test"})
    assert after == before
