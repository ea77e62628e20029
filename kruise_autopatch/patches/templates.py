"""Templates of e2b up to 2.9.1, whose own default domain is e2b.dev."""

from __future__ import annotations

import os
from typing import Any

from kruise_autopatch.errors import ConfigurationError
from kruise_autopatch.patches.engine import PatchPoint, bind
from kruise_autopatch.patches.route import NO_DOMAIN

_TEMPLATES = (("e2b.template_sync.main", "Template"), ("e2b.template_async.main", "AsyncTemplate"))
_BUILD_METHODS = ("build", "build_in_background", "get_build_status")


def _require_domain(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    given = bind(wrapped, instance, args, kwargs)
    if not any((given.get("domain"), os.environ.get("E2B_DOMAIN"), os.environ.get("E2B_API_URL"))):
        raise ConfigurationError(*NO_DOMAIN)
    return wrapped(*args, **kwargs)


def _falls_back_to_e2b_dev(function: Any) -> bool:
    return "e2b.dev" in getattr(getattr(function, "__code__", None), "co_consts", ())


POINTS = tuple(
    PatchPoint(
        module,
        f"{template}.{method}",
        _require_domain,
        may_lack="attribute",
        only_if=lambda native: _falls_back_to_e2b_dev(getattr(native, "__func__", native)),
    )
    for module, template in _TEMPLATES
    for method in _BUILD_METHODS
)
