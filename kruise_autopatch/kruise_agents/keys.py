"""``from kruise_agents.keys import encode_for_e2b_sdk``."""

from kruise_autopatch.api_keys import encode_api_key, is_encoded

__all__ = ["encode_for_e2b_sdk"]


def encode_for_e2b_sdk(raw: str) -> str:
    """The encoded form of an API key; a key that has it already stays as it is.

    OpenKruise's tutorial puts the result into ``os.environ``, where a child process that does the
    same finds it.
    """
    return raw if is_encoded(raw) else encode_api_key(raw)
