"""The variables that lead an SDK, patched by kruise-autopatch, to a server."""

from __future__ import annotations


def leading_to(url: str, api_key: str) -> dict[str, str]:
    scheme, _, domain = url.partition("://")
    return {
        "KRUISE_E2B_PATCH": "1",
        "KRUISE_E2B_HTTPS": "1" if scheme == "https" else "0",
        "E2B_DOMAIN": domain,
        "E2B_API_KEY": api_key,
    }
