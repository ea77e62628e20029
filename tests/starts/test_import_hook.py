"""The finder and the post-import hook, in every way a module can come to be imported."""

from __future__ import annotations

from pathlib import Path

import pytest

from support import forked, fresh
from support.programs import ON, PRIVATE, URL


@pytest.mark.parametrize(
    "statement",
    [
        "import e2b",
        "from e2b import Sandbox",
        "import e2b.connection_config",
        "from e2b.sandbox_async.main import AsyncSandbox",
        "import e2b_code_interpreter",
        "import e2b_desktop",
        "import importlib; importlib.import_module('e2b')",
        "__import__('e2b.api')",
    ],
)
def test_every_way_of_importing_is_patched(statement: str) -> None:
    assert forked.value(f"{statement}\nresult = {URL}", ON) == PRIVATE


@pytest.mark.parametrize("flags", [("-I",), ("-E",), ("-s",), ("-O",), ("-W", "error")])
def test_interpreter_flags_do_not_matter(flags: tuple[str, ...]) -> None:
    if "-W" in flags and fresh.run([*flags, "-c", "import e2b"]).returncode:
        pytest.skip("this release of the SDK warns on import, patched or not")
    assert fresh.value(f"result = {URL}", ON, flags) == PRIVATE


def test_a_module_run_with_dash_m_is_patched(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(f"print({URL})")
    done = fresh.run(["-m", "program"], {**ON, "PYTHONPATH": str(tmp_path)})
    assert done.stdout.strip() == PRIVATE, done.stderr


def test_a_subprocess_is_patched() -> None:
    code = (
        "import subprocess, sys\n"
        f"child = [sys.executable, '-c', \"print({URL})\"]\n"
        "result = subprocess.check_output(child, text=True).strip()"
    )
    assert fresh.value(code, ON) == PRIVATE


@pytest.mark.parametrize("method", ["spawn", "fork", "forkserver"])
def test_multiprocessing_workers_are_patched(method: str, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "import multiprocessing, sys\n"
        "def api_url():\n"
        f"    return {URL}\n"
        "if __name__ == '__main__':\n"
        "    with multiprocessing.get_context(sys.argv[1]).Pool(1) as pool:\n"
        "        print(pool.apply(api_url))\n"
    )
    done = fresh.run([str(program), method], ON)
    assert done.stdout.strip() == PRIVATE, done.stderr


def test_a_worker_forked_after_the_import_is_patched() -> None:
    code = (
        "import os, sys, e2b\n"
        "if os.fork() == 0:\n"
        f"    os._exit(0 if {URL} == {PRIVATE!r} else 1)\n"
        "result = os.wait()[1]"
    )
    assert fresh.value(code, ON) == 0


def test_a_sub_interpreter_gets_a_finder_of_its_own() -> None:
    code = """
try:
    import _interpreters as interpreters
    config = ("legacy",)
except ImportError:
    import _xxsubinterpreters as interpreters
    config = ()
import os
read, write = os.pipe()
interpreter = interpreters.create(*config)
interpreters.run_string(interpreter, f'''
import os, sys
count = sum(getattr(f, "__name__", "") == "kruise_autopatch" for f in sys.meta_path)
os.write({write}, str(count).encode())
''')
os.close(write)
result = os.read(read, 10).decode()
"""
    assert fresh.value(code, ON) == "1"


def test_threads_that_import_at_once_all_find_it_patched() -> None:
    code = f"""
import threading
barrier, seen = threading.Barrier(8), []
def work():
    barrier.wait()
    seen.append({URL})
threads = [threading.Thread(target=work) for _ in range(8)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
result = sorted(set(seen)), len(seen)
"""
    assert fresh.value(code, ON) == [[PRIVATE], 8]


def test_a_finder_that_asks_all_others_is_no_endless_loop() -> None:
    code = f"""
import sys
class AskingFinder:
    def find_spec(self, name, path=None, target=None):
        for other in sys.meta_path:
            spec = None if other is self else other.find_spec(name, path, target)
            if spec is not None:
                return spec
sys.meta_path.insert(0, AskingFinder())
result = {URL}
"""
    assert forked.value(code, ON) == PRIVATE


def test_looking_with_find_spec_imports_nothing_and_spoils_nothing() -> None:
    code = f"""
import importlib.machinery, importlib.util, sys
spec = importlib.util.find_spec("e2b")
assert spec.name == "e2b" and spec.origin.endswith("__init__.py")
assert isinstance(spec.loader, importlib.machinery.SourceFileLoader)
assert "e2b" not in sys.modules
result = {URL}
"""
    assert forked.value(code, ON) == PRIVATE


def test_a_module_made_from_a_spec_by_hand_is_patched() -> None:
    code = f"""
import importlib.util, sys
spec = importlib.util.find_spec("e2b")
module = importlib.util.module_from_spec(spec)
sys.modules["e2b"] = module
spec.loader.exec_module(module)
result = {URL}
"""
    assert forked.value(code, ON) == PRIVATE


def test_a_missing_sdk_is_missing_in_pythons_own_words() -> None:
    code = (
        "import sys\n"
        "sys.path[:] = [entry for entry in sys.path if 'site-packages' not in entry]\n"
        "import e2b"
    )
    # wrapt and the hook are found only where the SDK would be, so load them first.
    message = forked.error(f"import kruise_autopatch.start_up.loader\n{code}", ON)
    assert message == "ModuleNotFoundError: No module named 'e2b'"


def test_the_loader_and_the_spec_are_the_native_ones_after_the_import() -> None:
    code = """
import e2b
result = [type(e2b.__loader__).__name__, type(e2b.__spec__.loader).__name__]
"""
    assert forked.value(code, ON) == ["SourceFileLoader", "SourceFileLoader"]


def test_resources_of_the_sdk_stay_readable() -> None:
    code = "import e2b, inspect; result = 'import' in inspect.getsource(e2b)"
    assert forked.value(code, ON) is True


FAIL_ONCE = """
import sys
sys.modules["httpx"] = None
try:
    import e2b
except ImportError:
    pass
else:
    raise AssertionError("the import should have failed")
del sys.modules["httpx"]
"""


def test_an_import_that_fails_in_the_sdk_is_patched_when_it_is_tried_again() -> None:
    assert fresh.value(f"{FAIL_ONCE}\nresult = {URL}", ON) == PRIVATE


def test_a_hook_that_fails_fails_again_until_its_cause_is_gone() -> None:
    code = f"""
import os, sys
failures = []
os.environ["KRUISE_E2B_HTTPS"] = "nonsense"
for _ in range(3):
    try:
        import e2b
    except Exception as error:
        failures.append(type(error).__name__)
os.environ["KRUISE_E2B_HTTPS"] = "0"
result = [failures, {URL}]
"""
    assert forked.value(code, ON) == [["ConfigurationError"] * 3, PRIVATE]


@pytest.mark.parametrize("module", ["e2b", "e2b.connection_config", "e2b.sandbox.main", "e2b.api"])
def test_a_reloaded_module_is_patched(module: str) -> None:
    code = f"""
import importlib, {module}
importlib.reload({module})
from e2b.connection_config import ConnectionConfig
result = [{URL}, ConnectionConfig(api_key="k").api_url]
"""
    assert forked.value(code, ON) == [PRIVATE, PRIVATE]


def test_an_sdk_that_is_purged_and_imported_again_is_patched() -> None:
    code = f"""
import sys, e2b
first = e2b.ConnectionConfig
for name in [name for name in sys.modules if name.partition(".")[0] == "e2b"]:
    del sys.modules[name]
import e2b
assert e2b.ConnectionConfig is not first
result = {URL}
"""
    assert forked.value(code, ON) == PRIVATE


def test_an_sdk_found_by_another_finder_is_patched() -> None:
    # As an editable install of e2b does it.
    code = f"""
import importlib.util, sys
import importlib.machinery
origin = importlib.machinery.PathFinder.find_spec("e2b").origin
class EditableFinder:
    def find_spec(self, name, path=None, target=None):
        if name == "e2b":
            return importlib.util.spec_from_file_location(name, origin)
sys.meta_path.insert(1, EditableFinder())
result = {URL}
"""
    assert forked.value(code, ON) == PRIVATE


@pytest.mark.parametrize(
    "statement", ["import e2b", "import kruise_autopatch; kruise_autopatch.patch_e2b()"]
)
def test_wrapt_missing_is_an_error_that_names_it(statement: str) -> None:
    message = forked.error(f"import sys; sys.modules['wrapt'] = None; {statement}", ON)
    assert "CannotPatchError: kruise-autopatch needs wrapt, which cannot be" in message
    assert "pip install" in message


def test_other_imports_and_other_questions_to_finders_load_nothing_of_ours() -> None:
    code = """
import http.client, importlib.metadata, sys

importlib.metadata.version("wrapt")
importlib.invalidate_caches()
result = [name for name in sys.modules if name.startswith("kruise_autopatch")]
"""
    assert fresh.value(code, ON) == ["kruise_autopatch"]


def test_a_module_whose_name_only_begins_like_the_sdks_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "application").mkdir()
    for name in ("__init__", "connection_configuration"):
        (tmp_path / "application" / f"{name}.py").write_text("")
    code = (
        "import sys, application.connection_configuration\n"
        "result = 'kruise_autopatch.start_up.loader' in sys.modules"
    )
    assert forked.value(code, {**ON, "PYTHONPATH": str(tmp_path)}) is False


def test_patched_methods_keep_their_name_and_signature() -> None:
    code = """
import inspect, e2b
patched = inspect.signature(e2b.ConnectionConfig.get_host)
result = [list(patched.parameters), e2b.ConnectionConfig.get_host.__name__]
"""
    assert forked.value(code, ON) == forked.value(code)
