"""``run --env-file``: what a ``.env`` file has, before Python starts.

Read by python-dotenv, of which the file's syntax is: a reader of our own would disagree with the
program's. It is not a dependency, since nothing needs it that does not name a file.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from kruise_autopatch.errors import ConfigurationError


def added(environment: Mapping[str, str], path: str | None) -> Mapping[str, str]:
    """``environment`` with what a file has beside it; what is set already stays, even if empty.

    As ``load_dotenv()`` has it. Raises :class:`ConfigurationError`.
    """
    if path is None:
        return environment
    # It would take a file that is not there for an empty one.
    if not os.path.isfile(path):
        raise ConfigurationError(f"--env-file={path!r}: there is no such file", "correct the path.")
    try:
        from dotenv import dotenv_values
    except ImportError:
        raise ConfigurationError(
            "--env-file needs python-dotenv, which is not installed here",
            'run pip install "kruise-autopatch[dotenv]".',
        ) from None
    try:
        values = dotenv_values(path)
    except (OSError, UnicodeError) as error:
        raise ConfigurationError(f"--env-file={path!r} cannot be read: {error}") from None
    # A name without a value sets nothing.
    return {**{name: text for name, text in values.items() if text is not None}, **environment}
