"""Carry out ``deploy/image/Dockerfile`` without a container engine.

Each stage is a directory. ``RUN`` runs on this machine, with the absolute paths in it moved into
that directory, with the Python of the stage's image if this machine has it; a stage that begins
with the shell's image gets a static busybox, if there is one.
An instruction that is not known here is an error, so that nothing of the recipe goes untested.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from dockerfile_parse import DockerfileParser

from matrix.releases import interpreters

CHECKOUT = Path(__file__).resolve().parents[2]
IMAGE = CHECKOUT / "deploy" / "image"


# Of what a stage begins with; what has none begins with the Python that the tests run in.
_PYTHON_IMAGE = re.compile(r"\$\{PYTHON\}:(3\.\d+)-slim AS python")


@dataclass
class Stage:
    root: Path
    # What runs there; None if this machine has no such Python.
    python: str | None = sys.executable
    directory: str = "/"
    user: str = "0"
    entrypoint: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)


def build(target: Path) -> Stage:
    """Carry the recipe out in the new directory ``target``; the last stage is the image."""
    target.mkdir()
    context = target / "context"
    copy_context(context)
    stages: dict[str, Stage] = {}
    pythons = interpreters()
    for instruction, value in instructions():
        if instruction == "ARG":
            continue
        if instruction == "FROM":
            name = value.partition(" AS ")[2] or "image"
            stage = stages[name] = Stage(target / name)
            if match := _PYTHON_IMAGE.search(value):
                stage.python = pythons.get(match[1])
            stage.root.mkdir()
            if "SHELL" in value:
                _add_shell(stage.root)
            continue
        _carry_out(instruction, value, stage, stages, context)
    return stages["image"]


def instructions() -> Iterator[tuple[str, str]]:
    with (IMAGE / "Dockerfile").open("rb") as file:
        for entry in DockerfileParser(fileobj=file).structure:
            if entry["instruction"] != "COMMENT":
                yield entry["instruction"], entry["value"]


def copy_context(target: Path) -> None:
    """What ``Dockerfile.dockerignore`` lets an engine see."""
    for line in (IMAGE / "Dockerfile.dockerignore").read_text().splitlines():
        if line.startswith("!"):
            origin = CHECKOUT / line[1:]
            place = target / line[1:]
            place.parent.mkdir(parents=True, exist_ok=True)
            if origin.is_dir():
                shutil.copytree(origin, place, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy2(origin, place)


def _carry_out(
    instruction: str, value: str, stage: Stage, stages: dict[str, Stage], context: Path
) -> None:
    if instruction == "WORKDIR":
        stage.directory = value
        _inside(stage, value).mkdir(parents=True, exist_ok=True)
    elif instruction == "USER":
        stage.user = value
    elif instruction == "ENTRYPOINT":
        stage.entrypoint = json.loads(value)
    elif instruction == "CMD":
        stage.command = json.loads(value)
    elif instruction == "RUN":
        command = re.sub(r"(?<=\s)/", f"{stage.root}/", value)
        if stage.python is not None:
            command = re.sub(r"^python\b", stage.python, command)
            directory = _inside(stage, stage.directory)
            subprocess.run(command, shell=True, cwd=directory, check=True)
    elif instruction == "COPY":
        *options, source, destination = value.split()
        _copy(
            dict(option[2:].split("=") for option in options),
            source,
            destination,
            stage,
            stages,
            context,
        )
    else:
        raise ValueError(f"{instruction} {value}: not known here")


def _copy(
    options: dict[str, str],
    source: str,
    destination: str,
    stage: Stage,
    stages: dict[str, Stage],
    context: Path,
) -> None:
    start = stages[options.pop("from")].root if "from" in options else context
    mode = options.pop("chmod", None)
    if options:
        raise ValueError(f"COPY with {options}: not known here")
    origin = start / source.lstrip("/")
    place = _inside(stage, os.path.join(stage.directory, destination))
    if origin.is_dir():
        shutil.copytree(origin, place, dirs_exist_ok=True)
    else:
        shutil.copy2(origin, place)
    if mode:
        place.chmod(int(mode, 8))


def _inside(stage: Stage, path: str) -> Path:
    return stage.root / os.path.normpath(path).lstrip("/")


def _add_shell(root: Path) -> None:
    """What the image of busybox has, of that which the recipe needs."""
    busybox = shutil.which("busybox")
    if busybox is None:
        return
    (root / "bin").mkdir()
    shutil.copy(busybox, root / "bin" / "busybox")
    (root / "bin" / "busybox").chmod(stat.S_IRWXU | 0o055)
    for name in ("sh", "cp", "mv", "rm"):
        (root / "bin" / name).symlink_to("busybox")
