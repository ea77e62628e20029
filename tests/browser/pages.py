"""noVNC as a desktop serves it: python pages.py DIRECTORY makes one page for each release.

npm's packages hold noVNC's core alone, without ``vnc.html`` and ``app/ui.js``, which makes the
websocket's URL. PyPI's ``novnc`` has them: of 1.6.0, and of May 2024, between 1.4.0 and 1.5.0,
which both append ``path=`` to the host. From 1.6.0 on, as in e2b-dev/noVNC, it is resolved
against the page. Each core from npm is bundled with the nearest of them.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import NamedTuple

_ESBUILD = "esbuild@0.25.12"
_UI_PACKAGE = "novnc"
_UI = "novnc/resources/novnc_server.zip"


class Release(NamedTuple):
    """noVNC's core on npm, and the release of PyPI's ``novnc`` that has the rest of a page."""

    core: str
    ui: str
    resolves_against_the_page: bool = False


RELEASES = (Release("1.4.0", "1.0.5"), Release("1.5.0", "1.0.5"), Release("1.6.0", "1.3.0", True))

# 1.6.0's CommonJS awaits at its top level, so that nothing can load it as it is.
_UNLOADABLE = "= await _checkWebCodecsH264DecodeSupport()"


def prepare(directory: Path) -> None:
    """Make every page, unless that was done before. Only here the registries are asked."""
    recipe = Path(__file__).read_text("utf-8")
    done = directory / "recipe"
    if done.exists() and done.read_text("utf-8") == recipe:
        return
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    _download(directory)
    for release in RELEASES:
        _make(release, directory)
    done.write_text(recipe, "utf-8")


def _download(directory: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise SystemExit("npm is not installed, which has noVNC: on Debian, apt-get install npm")
    cores = [release.core for release in RELEASES]
    packages = [f"novnc-{core}@npm:@novnc/novnc@{core}" for core in cores]
    quiet = ("--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error", "--fetch-retries=1")
    _run(npm, "install", "--prefix", str(directory), *quiet, *packages, _ESBUILD)
    for ui in {release.ui for release in RELEASES}:
        pip = (sys.executable, "-m", "pip", "download", "--quiet", "--no-deps")
        _run(*pip, "--dest", str(directory / f"ui-{ui}"), f"{_UI_PACKAGE}=={ui}")


def _make(release: Release, directory: Path) -> None:
    page, source = directory / release.core, directory / f"source-{release.core}"
    (wheel,) = (directory / f"ui-{release.ui}").glob("*.whl")
    with zipfile.ZipFile(wheel) as outer, outer.open(_UI) as file, zipfile.ZipFile(file) as inner:
        inner.extractall(page)
    if not (page / "vnc.html").exists():
        (page / "index.html").rename(page / "vnc.html")
    # Beside npm's lib/, under the name by which app/ui.js knows it.
    shutil.copytree(page / "app", source / "app")
    shutil.copytree(directory / "node_modules" / f"novnc-{release.core}" / "lib", source / "lib")
    (source / "core").symlink_to("lib")
    browser = source / "lib" / "util" / "browser.js"
    browser.write_text(browser.read_text("utf-8").replace(_UNLOADABLE, "= false"), "utf-8")
    _run(
        str(directory / "node_modules" / ".bin" / "esbuild"),
        str(source / "app" / "ui.js"),
        "--bundle",
        "--format=esm",
        "--log-level=warning",
        "--allow-overwrite",
        f"--outfile={page / 'app' / 'ui.js'}",
    )


def _run(*command: str) -> None:
    subprocess.run(command, check=True)


if __name__ == "__main__":
    prepare(Path(sys.argv[1]))
