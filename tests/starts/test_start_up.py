"""What happens before the first line of the user's program."""

from __future__ import annotations

import pytest

from support import fresh

ON = {"KRUISE_E2B_PATCH": "1", "E2B_DOMAIN": "kruise.test"}

STATE = """
import sys
ours = [name for name in sys.modules if name.partition(".")[0] == "kruise_autopatch"]
finders = [getattr(finder, "__name__", "") for finder in sys.meta_path]
"""


@pytest.mark.parametrize("text", [None, "", "0", "false", "Off", " no "])
def test_off_leaves_no_finder_behind(text: str | None) -> None:
    variables = {} if text is None else {"KRUISE_E2B_PATCH": text}
    assert "kruise_autopatch" not in fresh.value(f"{STATE}\nresult = finders", variables)


@pytest.mark.parametrize("text", [None, ""])
def test_unset_loads_nothing_of_ours(text: str | None) -> None:
    variables = {} if text is None else {"KRUISE_E2B_PATCH": text}
    assert fresh.value(f"{STATE}\nresult = ours", variables) == []


@pytest.mark.parametrize("flags", [(), ("-I",), ("-E",), ("-s",), ("-B",), ("-O",)])
def test_on_installs_one_finder_however_often_site_runs_the_line(flags: tuple[str, ...]) -> None:
    code = f"{STATE}\nresult = finders.count('kruise_autopatch')"
    assert fresh.value(code, ON, flags) == 1


def test_the_site_module_is_what_runs_it() -> None:
    assert "kruise_autopatch" not in fresh.value(f"{STATE}\nresult = finders", ON, ["-S"])


def test_on_loads_only_what_start_up_needs() -> None:
    code = "import sys; result = sorted(sys.modules)"
    extra = set(fresh.value(code, ON)) - set(fresh.value(code))
    assert extra == {"kruise_autopatch"}


@pytest.mark.parametrize("text", ["1", "0", "nonsense", "\udcff", "1" * 10_000])
def test_start_up_prints_nothing_whatever_the_value(text: str) -> None:
    done = fresh.run(["-W", "error", "-c", "pass"], {**ON, "KRUISE_E2B_PATCH": text})
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_program_that_never_imports_e2b_lives_on_with_a_misspelt_switch() -> None:
    assert fresh.output("import json; print('alive')", {"KRUISE_E2B_PATCH": "ture"}) == "alive"


def test_an_sdk_that_another_start_up_file_imported_is_patched_too() -> None:
    result = fresh.value(
        "import os, e2b\n"
        "os.environ['KRUISE_E2B_PATCH'] = '1'\n"
        "import kruise_autopatch; kruise_autopatch.start()\n"
        "result = e2b.ConnectionConfig(domain='kruise.test').api_url"
    )
    assert result == "https://kruise.test/kruise/api"


def test_an_sdk_that_is_imported_already_and_cannot_be_patched_builds_no_client() -> None:
    message = fresh.error(
        "import os, e2b\n"
        "os.environ['KRUISE_E2B_PATCH'] = 'nonsense'\n"
        "import kruise_autopatch; kruise_autopatch.start()\n"
        "print('start-up went on', flush=True)\n"
        "e2b.ConnectionConfig(domain='kruise.test')"
    )
    assert "ConfigurationError: KRUISE_E2B_PATCH='nonsense'" in message


def test_an_sdk_that_is_imported_already_builds_no_client_without_wrapt() -> None:
    message = fresh.error(
        "import os, sys, e2b\n"
        "os.environ['KRUISE_E2B_PATCH'] = '1'\n"
        "sys.modules['wrapt'] = None\n"
        "import kruise_autopatch; kruise_autopatch.start()\n"
        "print('start-up went on', flush=True)\n"
        "e2b.ConnectionConfig(domain='kruise.test')"
    )
    assert "CannotPatchError: kruise-autopatch needs wrapt, which cannot be imported" in message


def test_the_environment_is_never_modified() -> None:
    code = (
        "import os; before = dict(os.environ)\n"
        "import e2b, kruise_autopatch\n"
        "e2b.ConnectionConfig()\n"
        "kruise_autopatch.patch_e2b(False); kruise_autopatch.unpatch_e2b()\n"
        "result = before == dict(os.environ)"
    )
    assert fresh.value(code, ON) is True
