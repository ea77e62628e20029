"""Start-up files of other packages, that Python runs before ours or after."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from support import fresh
from support.installations import SITE_PACKAGES, Environment
from support.programs import ON, PRIVATE, URL

pytest.importorskip("autowrapt", reason="only in the tox environment `starts`")

# In the order in which Python runs them: by name. Ours is kruise_autopatch.pth.
NAMES = ["aa_other.pth", "zz_other.pth"]


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    environment = Environment(tmp_path / "environment")
    # Found before the first start-up file is run.
    (environment.site_packages / "00_libraries.pth").write_text(f"{SITE_PACKAGES}\n")
    return environment


def run(environment: Environment, code: str, variables: dict[str, str]) -> list[str]:
    calling = (
        "import subprocess, sys\n"
        f"sys.exit(subprocess.run([{environment.python!r}, '-c', {code!r}]).returncode)"
    )
    done = fresh.run(["-c", calling], variables)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


LINES = {
    "truststore": "import truststore; truststore.inject_into_ssl()",
    "ddtrace": "import ddtrace.auto",
    "gevent": "import gevent.monkey; gevent.monkey.patch_all()",
    "wrapt": "import wrapt; wrapt.register_post_import_hook(lambda module: None, 'e2b')",
    "e2b itself": "import e2b",
    "the code interpreter": "import e2b_code_interpreter",
}
QUIET = {"DD_TRACE_ENABLED": "false", "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false"}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("other", LINES)
def test_what_another_start_up_file_does_leaves_the_sdk_patched(
    environment: Environment, other: str, name: str
) -> None:
    (environment.site_packages / name).write_text(f"{LINES[other]}\n")
    assert run(environment, f"print({URL})", {**ON, **QUIET}) == [PRIVATE]


# What autowrapt is to call: when e2b is imported, and when plistlib is, where it imports e2b.
HOOKS = """
calls = []
def on_e2b(module):
    calls.append("e2b")
def on_plistlib(module):
    import e2b
    calls.append("plistlib")
"""


@pytest.mark.parametrize("name", NAMES)
def test_autowrapt_s_hooks_and_ours_are_both_called(environment: Environment, name: str) -> None:
    for suffix in (".pth", ".start"):
        file = SITE_PACKAGES / f"autowrapt-init{suffix}"
        shutil.copy(file, (environment.site_packages / name).with_suffix(suffix))
    (environment.site_packages / "my_hooks.py").write_text(HOOKS)
    metadata = environment.site_packages / "my_hooks-1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: my-hooks\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text(
        "[mine]\ne2b = my_hooks:on_e2b\nplistlib = my_hooks:on_plistlib\n"
    )
    bootstrap = {**ON, "AUTOWRAPT_BOOTSTRAP": "mine"}
    code = f"import e2b, my_hooks; print({URL}, my_hooks.calls)"
    assert run(environment, code, bootstrap) == [f"{PRIVATE} ['e2b']"]
    code = f"import plistlib, my_hooks; print({URL}, my_hooks.calls)"
    assert run(environment, code, bootstrap) == [f"{PRIVATE} ['e2b', 'plistlib']"]
