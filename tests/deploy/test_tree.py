"""The tree that the image holds: the same for everyone, and nothing in it that is not needed."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from deploy.manifests import CHECKOUT

WRITE = """
import os, sys
from pathlib import Path
from build_support import tree
os.umask(int(sys.argv[1], 8))
tree.write(Path(sys.argv[2]), [Path(wheel) for wheel in sys.argv[3:]])
print(tree.digest(Path(sys.argv[2])))
"""


def build_tree(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)


def wheel(path: Path, second: int) -> Path:
    members = {
        "thing/__init__.py": "x = 1\n",
        "thing/_fast.so": "machine code",
        "thing/py.typed": "",
        "thing-stubs/__init__.pyi": "x: int\n",
        "kruise_autopatch/start_up/__init__.py": "",
        "kruise_autopatch.pth": "import os\n",
        "thing-1.0.dist-info/METADATA": "Name: thing\n",
        "thing-1.0.dist-info/licenses/LICENSE": "free\n",
    }
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, second)), content)
    return path


def everything_below(tree: Path) -> dict[str, tuple[int, float, bytes]]:
    found = {}
    for path in [tree, *tree.rglob("*")]:
        about = path.stat()
        content = path.read_bytes() if path.is_file() else b""
        found[str(path.relative_to(tree))] = (about.st_mode, about.st_mtime, content)
    return found


def test_it_is_the_same_whoever_writes_it_and_when(tmp_path: Path) -> None:
    digests = set()
    trees = []
    for umask, second in (("022", 2), ("077", 4)):
        target = tmp_path / umask
        source = wheel(tmp_path / f"{umask}.whl", second)
        done = build_tree("-c", WRITE, umask, target, source)
        assert done.stderr == ""
        digests.add(done.stdout)
        trees.append(everything_below(target))
    assert len(digests) == 1
    assert trees[0] == trees[1]
    assert sorted(trees[0]) == [
        ".",
        "kruise_autopatch",
        "kruise_autopatch/start_up",
        "kruise_autopatch/start_up/__init__.py",
        "licences",
        "licences/thing",
        "licences/thing/LICENSE",
        "thing",
        "thing/__init__.py",
    ]


def test_a_directory_that_exists_is_not_overwritten(tmp_path: Path) -> None:
    done = build_tree("-m", "build_support.tree", tmp_path)
    assert done.returncode == 2
    assert f"{tmp_path} exists; name a directory that does not" in done.stderr


def test_it_holds_our_modules_and_their_needs_and_licences(tree: Path) -> None:
    assert {path.name for path in tree.iterdir()} == {
        *("kruise_autopatch", "kruise_agents", "kruise_agents.py", "wrapt"),
        *("importlib_metadata", "zipp", "licences", "__pycache__"),
    }
    assert {path.name for path in (tree / "licences").iterdir()} == {
        *("kruise_autopatch", "wrapt", "importlib_metadata", "zipp")
    }
    files = [path for path in tree.rglob("*") if path.is_file()]
    suffixes = {path.suffix for path in files if "licences" not in path.parts}
    assert suffixes == {".py", ".pyc"}


def test_any_user_can_read_it(tree: Path) -> None:
    for path in [tree, *tree.rglob("*")]:
        assert oct(path.stat().st_mode & 0o777) == ("0o755" if path.is_dir() else "0o644")


def test_every_python_can_read_every_module(python: str, tree: Path) -> None:
    code = (
        "import pathlib, sys\n"
        "for path in pathlib.Path(sys.argv[1]).rglob('*.py'):\n"
        "    compile(path.read_bytes(), str(path), 'exec')"
    )
    command = [python, "-W", "error", "-c", code, str(tree)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


# --- the copy ----------------------------------------------------------------------------------


def copy(volume: Path, tree: Path, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    """Run the image's script by this machine's shell, with the tree where the image has it."""
    script = (CHECKOUT / "deploy" / "image" / "copy.sh").read_text()
    assert script.count(" /kruise-autopatch ") == 1
    moved = tmp_path / "copy.sh"
    moved.write_text(script.replace(" /kruise-autopatch ", f" {tree} "))
    return subprocess.run(
        ["/bin/sh", moved, volume], capture_output=True, text=True, check=False, umask=0o077
    )


def contents(directory: Path) -> dict[str, bytes]:
    files = [path for path in directory.rglob("*") if path.is_file()]
    return {str(path.relative_to(directory)): path.read_bytes() for path in files}


def test_the_copy_is_whole_and_any_user_can_read_it(tree: Path, tmp_path: Path) -> None:
    volume = tmp_path / "volume"
    volume.mkdir()
    done = copy(volume, tree, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert [path.name for path in volume.iterdir()] == ["tree"]
    assert contents(volume / "tree") == contents(tree)
    test_any_user_can_read_it(volume / "tree")


def test_a_second_copy_replaces_the_first(tree: Path, tmp_path: Path) -> None:
    volume = tmp_path / "volume"
    for left_over in ("tree", "new"):
        (volume / left_over).mkdir(parents=True)
        (volume / left_over / "old.py").touch()
    assert copy(volume, tree, tmp_path).returncode == 0
    assert [path.name for path in volume.iterdir()] == ["tree"]
    assert contents(volume / "tree") == contents(tree)


@pytest.mark.parametrize("reason", ["no volume", "no tree", "half a tree"])
def test_a_copy_that_fails_leaves_nothing_and_does_not_stop_the_pod(
    reason: str, tree: Path, tmp_path: Path
) -> None:
    volume = tmp_path / "volume"
    if reason != "no volume":
        volume.mkdir()
    if reason != "no volume":
        tree = tmp_path / "broken"
    if reason == "half a tree":
        tree.mkdir()
        (tree / "first.py").touch()
        # cp refuses it, even as root, after it has copied the other.
        (tree / ("x" * 255)).touch()
        volume = deep(volume)
    done = copy(volume, tree, tmp_path)
    assert done.returncode == 0
    assert "the application starts without it" in done.stderr
    assert not volume.exists() or list(volume.iterdir()) == []


def deep(volume: Path) -> Path:
    """A directory below ``volume`` where a path of 255 characters more is too long."""
    while len(str(volume)) < os.pathconf("/", "PC_PATH_MAX") - 250:
        volume /= "d" * 40
    volume.mkdir(parents=True)
    return volume
