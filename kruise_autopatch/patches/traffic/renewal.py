"""Ask the control plane for a traffic token, with the SDK's own clients.

Loaded when the first one is asked for.
"""

from __future__ import annotations

import copy
import time
from typing import Any
from urllib.parse import urlsplit

from kruise_autopatch.patches import carried
from kruise_autopatch.protocol import API_PATH, headers
from kruise_autopatch.tokens.reply import LONGEST, Answer
from kruise_autopatch.tokens.state import PATIENCE

# A compressed reply could be of any length.
_HEADERS = {"accept-encoding": "identity"}


def fetch(config: Any, sandbox_id: str) -> Answer:
    from e2b.api.client_sync import get_api_client

    until = time.monotonic() + PATIENCE
    api_client = get_api_client(_for_one_request(config))
    client, route = api_client.get_httpx_client(), _route(config, api_client, sandbox_id)
    body = b""
    try:
        with client.stream("POST", route, headers=_HEADERS, timeout=_timeout(config)) as response:
            if response.status_code == 200:
                for chunk in response.iter_raw():
                    body += chunk
                    # Each chunk begins a new time-out of httpx.
                    if time.monotonic() > until:
                        raise TimeoutError("the reply does not end")
                    if len(body) > LONGEST:
                        break
            return _answer(response, body)
    finally:
        if hasattr(client._transport, "_thread_local"):
            # 2.28.1 to 2.37: it belongs to this thread, which ends.
            client.close()


async def afetch(config: Any, sandbox_id: str) -> Answer:
    from e2b.api.client_async import get_api_client

    api_client = get_api_client(_for_one_request(config))
    client, route = api_client.get_async_httpx_client(), _route(config, api_client, sandbox_id)
    body = b""
    async with client.stream("POST", route, headers=_HEADERS, timeout=_timeout(config)) as response:
        if response.status_code == 200:
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > LONGEST:
                    break
        return _answer(response, body)


def _route(config: Any, api_client: Any, sandbox_id: str) -> str:
    """Below the API's URL: of all its routes, the server has this one on the private path alone."""
    route = headers.traffic_token_route(sandbox_id)
    is_native = carried.of(config) is None and not urlsplit(api_client._base_url).path.strip("/")
    return f"{API_PATH}{route}" if is_native else route


def _for_one_request(config: Any) -> Any:
    config = copy.copy(config)
    # When to ask again is the state machine's business; the SDK retries since 2.52.
    config.retries = 0
    # Our patch sees to this as long as it is in force; 2.29.1 to 2.45.1 can be told.
    config.validate_api_key = False
    return config


def _timeout(config: Any) -> float:
    return min(PATIENCE, config.get_request_timeout() or PATIENCE)


def _answer(response: Any, body: bytes) -> Answer:
    return Answer(response.status_code, body, response.headers.get("retry-after"))
