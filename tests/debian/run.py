"""Debian's newer suites have Python 3.14 and 3.15: `tox -e debian`, or `python -m debian.run`.

Makes a Debian system in a directory, then runs the start-up tests and the start-up benchmark
there, with the newest SDK that can be installed without a compiler. Needs root, debootstrap (from
apt) and a network. Where that is not to be had, it says so in a line and fails; with
``--if-available`` it says so and succeeds.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

from debian.root import Root, Unavailable, make

# pip's own; the tests and the benchmark need no more of the SDK than its newest release.
_TEST_PACKAGES = ("pytest>=8", "pytest-xdist>=3.6", "trustme>=1.1", "packaging", "hypothesis")
_EXTRAS = "[e2b,code-interpreter,desktop]"
_TOOLS = "/tools"
_BINARY = ("--only-binary", ":all:")


def main() -> int:
    options = _parser().parse_args()
    work: Path = options.work_directory.resolve()
    work.mkdir(parents=True, exist_ok=True)
    try:
        root = make(work / options.suite, options.suite, options.mirror, options.fresh)
        pythons = _prepare(root, options.suite)
    except Unavailable as reason:
        print(f"not available: {reason}", file=sys.stderr)
        return 0 if options.if_available else 2

    failed = [series for series in pythons if _test(root, series)]
    if not options.tests_only:
        failed += _measure(root, pythons, options.quick, work / "startup.json")
    print(f"failed: {', '.join(failed)}" if failed else f"passed: Python {', '.join(pythons)}")
    return 1 if failed else 0


def _prepare(root: Root, suite: str) -> list[str]:
    """Install what the suite has of Python, and all that the tests need; returns the series."""
    pythons = root.newer_pythons()
    if not pythons:
        raise Unavailable(f"Debian {suite} has no Python from 3.14 on")
    root.install("valgrind", "libc6-dbg", *(f"python{series}-venv" for series in pythons))
    root.copy_checkout()
    _venv(root, pythons[-1], _TOOLS)
    root.output(f"{_TOOLS}/bin/pip", "install", "--quiet", "uv")
    root.output("rm", "-rf", "/wheel")
    uv = f"{_TOOLS}/bin/uv"
    if root.run(uv, "build", "--quiet", "--wheel", "--out-dir", "/wheel", "/checkout"):
        raise SystemExit("the wheel cannot be built")
    (wheel,) = (root.directory / "wheel").glob("*.whl")
    for series in pythons:
        environment = f"/environments/{series}"
        _venv(root, series, environment)
        ours = f"/wheel/{wheel.name}{_EXTRAS}"
        into = ("--python", f"{environment}/bin/python")
        root.output(uv, "pip", "install", *into, *_BINARY, ours, *_TEST_PACKAGES)
        found = root.output(uv, "pip", "freeze", *into).splitlines()
        sdk = ", ".join(line for line in found if line.startswith(("e2b", "wrapt")))
        print(f"Python {series}: {sdk}", flush=True)
    return pythons


def _venv(root: Root, series: str, directory: str) -> None:
    root.output(f"python{series}", "-m", "venv", "--clear", directory)


def _test(root: Root, series: str) -> bool:
    """Run the start-up tests; true if they fail."""
    python = f"/environments/{series}/bin/python"
    pytest = ("support/loopback.py", f"/environments/{series}/bin/pytest", "-n", "2", "starts")
    return root.run(python, *pytest, at="/checkout/tests") != 0


def _measure(root: Root, pythons: list[str], quick: bool, samples: Path) -> list[str]:
    """Run the benchmark and keep its samples, which the benchmark outside can show."""
    path = f"PATH={_TOOLS}/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    command = ["benchmarks/startup.py", "--pythons", ",".join(pythons), "--save", "/startup.json"]
    status = root.run(
        "env", path, f"{_TOOLS}/bin/python", *command, *["--quick"][: int(quick)], at="/checkout"
    )
    if status:
        return ["the benchmark"]
    shutil.copyfile(root.directory / "startup.json", samples)
    print(f"show it beside others: python benchmarks/startup.py --add {samples}")
    return []


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="The start-up tests on Debian's newer Pythons.")
    parser.add_argument("--work-directory", type=Path, required=True, help="kept between runs")
    parser.add_argument("--suite", default="sid", help="such as sid or forky")
    parser.add_argument("--mirror", help="the first in this machine's apt sources")
    parser.add_argument("--fresh", action="store_true", help="make the root anew")
    parser.add_argument("--tests-only", action="store_true", help="no benchmark")
    parser.add_argument("--quick", action="store_true", help="a rough benchmark")
    parser.add_argument(
        "--if-available", action="store_true", help="where it is not available, succeed"
    )
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
