"""How a switch such as ``KRUISE_E2B_PATCH`` is spelled. Imported at start-up: no imports here."""

ON = ("1", "true", "yes", "on")
OFF = ("0", "false", "no", "off", "")


def is_off(text: str) -> bool:
    """Whether ``text`` plainly says off. A misspelt value is not off: it must be reported."""
    return text.strip().lower() in OFF
