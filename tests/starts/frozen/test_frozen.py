"""Programs that PyInstaller and Nuitka have built: run by ``tox -e frozen``, which takes minutes.

A built program has no site-packages, so Python runs no start-up file in it.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from support import fresh
from support.programs import NATIVE, OFF, ON, PRIVATE

pytest.importorskip("PyInstaller", reason="only in the tox environment `frozen`")

# Three programs in one, since building takes long: the first argument says which.
PROGRAM = """
import sys
way = sys.argv[1]
if way == "patch_e2b":
    from kruise_autopatch import patch_e2b
    patch_e2b(https=False)
elif way == "start":
    import kruise_autopatch
    kruise_autopatch.start()
import e2b
print(e2b.ConnectionConfig(api_key="k").api_url)
"""

BUILDERS = {
    "PyInstaller": ("PyInstaller", "--log-level=ERROR", "--distpath=built"),
    "Nuitka": ("nuitka", "--standalone", "--quiet", "--output-dir=built"),
}
PATHS = {"PyInstaller": "built/program/program", "Nuitka": "built/program.dist/program.bin"}


@pytest.fixture(scope="module", params=BUILDERS)
def program(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("frozen")
    (directory / "program.py").write_text(PROGRAM)
    command = [sys.executable, "-m", *BUILDERS[request.param], "program.py"]
    subprocess.run(command, cwd=directory, env=fresh.environment(), check=True)
    return directory / PATHS[request.param]


@pytest.mark.parametrize(
    ("way", "variables", "url"),
    [
        ("none", ON, NATIVE),
        ("patch_e2b", OFF, PRIVATE),
        ("start", ON, PRIVATE),
        ("start", OFF, NATIVE),
    ],
)
def test_a_built_program_is_patched_by_hand_only(
    program: Path, way: str, variables: dict[str, str], url: str
) -> None:
    environment = fresh.environment(variables)
    printed = subprocess.check_output([program, way], env=environment, text=True)
    assert printed.strip() == url
