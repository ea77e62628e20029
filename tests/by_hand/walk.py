"""Describe every attribute of every module and class of the SDK: usage, walk.py [PATH ...]

Prints one JSON object, from each attribute's name to a digest of what it holds: of a function its
code and defaults, of anything else its type and repr. The paths are added to ``sys.path``, for an
interpreter that was started without ``site``. PYTHONHASHSEED must be set, for the order of sets.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import pkgutil
import re
import sys
from collections.abc import Iterator
from types import CodeType, FunctionType, ModuleType
from typing import Any

SDKS = ("e2b", "e2b_code_interpreter", "e2b_desktop")


def main(paths: list[str]) -> None:
    sys.path += paths
    for name in SDKS:
        package = importlib.import_module(name)
        for module in pkgutil.walk_packages(package.__path__, f"{name}."):
            importlib.import_module(module.name)
    print(json.dumps({"attributes": dict(attributes()), "modules": sorted(sys.modules)}))


def attributes() -> Iterator[tuple[str, str]]:
    seen: set[int] = set()
    for name, module in sorted(sys.modules.items()):
        if name.partition(".")[0] in SDKS:
            yield from members(name, module, seen)


def members(path: str, holder: Any, seen: set[int]) -> Iterator[tuple[str, str]]:
    for name, value in list(vars(holder).items()):
        if name in ("__builtins__", "__cached__", "__warningregistry__"):
            continue
        # As modules that protobuf has generated keep it; its members are here anyway.
        if value is vars(holder):
            continue
        yield f"{path}.{name}", digest(value)
        ours = getattr(value, "__module__", None) or ""
        if isinstance(value, type) and ours.partition(".")[0] in SDKS and id(value) not in seen:
            seen.add(id(value))
            yield from members(f"{path}.{name}", value, seen)


def digest(value: Any) -> str:
    return hashlib.sha256(describe(value).encode()).hexdigest()[:16]


def describe(value: Any) -> str:
    # Not isinstance, which a wrapper answers as what it wraps.
    kind = type(value)
    if kind is FunctionType:
        state = [value.__qualname__, value.__defaults__, value.__kwdefaults__, vars(value)]
        return f"function {code(value.__code__)} {plain(state)} {cells(value)}"
    if kind in (staticmethod, classmethod):
        return f"{kind.__name__} {describe(value.__func__)}"
    if kind is property:
        return "property " + " ".join(map(describe, (value.fget, value.fset, value.fdel)))
    if issubclass(kind, (type, ModuleType)):
        return f"{kind.__name__} {getattr(value, '__qualname__', value.__name__)}"
    return f"{kind.__module__}.{kind.__qualname__} {plain(value)}"


def code(value: CodeType) -> str:
    inner = [code(c) if isinstance(c, CodeType) else plain(c) for c in value.co_consts]
    return f"{value.co_filename}:{value.co_firstlineno} {value.co_code.hex()} {inner} " + " ".join(
        (*value.co_names, *value.co_varnames)
    )


def cells(function: FunctionType) -> list[str]:
    return [type(cell.cell_contents).__name__ for cell in function.__closure__ or ()]


def plain(value: Any) -> str:
    """Without addresses, which differ between two processes."""
    return re.sub(r"0x[0-9a-f]+", "0x", repr(value))


if __name__ == "__main__":
    main(sys.argv[1:])
