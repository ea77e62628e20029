"""Run a program in a pseudo-terminal of a given width."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import termios
from collections.abc import Mapping, Sequence


def written(
    command: Sequence[str], environment: Mapping[str, str], *, columns: int, rows: int = 24
) -> tuple[bytes, int]:
    """What ``command`` writes to its terminal, and its exit status."""
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    process = subprocess.Popen(
        list(command), env=dict(environment), stdin=its, stdout=its, stderr=its
    )
    os.close(its)
    parts = []
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # how Linux says that the last writer has closed it
            part = b""
        if not part:
            break
        parts.append(part)
    os.close(ours)
    return b"".join(parts), process.wait()
