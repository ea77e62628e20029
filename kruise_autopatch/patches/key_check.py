"""The SDK's own check of an API key: e2b 2.25.0 to 2.45.1 refuse any that is not ``e2b_<hex>``."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import kruise_autopatch.patches.carried as carried
from kruise_autopatch.errors import IncompatibleSDKError
from kruise_autopatch.patches.engine import PatchPoint, bind
from kruise_autopatch.protocol import without_secrets

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kruise_autopatch.settings import CurrentSettings

_any_key = ContextVar("kruise_autopatch_any_key", default=False)


def points(settings: CurrentSettings) -> Sequence[PatchPoint]:
    """``settings`` is asked whenever an API client is built."""

    def init_api_client(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> None:
        config = bind(wrapped, instance, args, kwargs)["config"]
        # Every request to the API begins here: without a mark on its configuration, none is made.
        ours = carried.asks_openkruise(config)
        token = _any_key.set(not settings(None).validate_key and ours)
        try:
            wrapped(*args, **kwargs)
        finally:
            _any_key.reset(token)
        if carried.of(config) is not None and _base_url(instance) != config.api_url:
            raise IncompatibleSDKError(
                f"{carried.release()} asks the API at {without_secrets(_base_url(instance))},"
                f" not at {without_secrets(config.api_url)}; nothing was sent",
                carried.ANOTHER_RELEASE,
            )
        # Requests are made with this client alone.
        carried.attach(instance, carried.any_of(config))

    return (
        PatchPoint("e2b.api", "ApiClient.__init__", init_api_client, ("config",)),
        PatchPoint("e2b.api", "validate_api_key", _validate_api_key, (), "attribute"),
    )


def _base_url(api_client: Any) -> str:
    return str(getattr(api_client, "_base_url", ""))


def _validate_api_key(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> None:
    if not _any_key.get():
        wrapped(*args, **kwargs)
