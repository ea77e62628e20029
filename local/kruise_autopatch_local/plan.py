"""What the manager decides about a sandbox, and the processes inside are told."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict, dataclass

# The account that the SDKs work as, unless they are told another one.
USER = "user"
HOME = "/home/user"

# The directory that the kernels' `python` and `pip` are in.
PROGRAMS = os.path.dirname(os.path.abspath(sys.executable))

# What the manager says through an agent's lifeline.
FREEZE, THAW = b"f", b"t"


@dataclass(frozen=True)
class Plan:
    """Everything that envd and the code interpreter of one sandbox need to know."""

    token: str
    environment: dict[str, str]
    # The private home directory, and the one for temporary files.
    home: str
    temporary: str
    # Has namespaces of its own: the file system inside is not the host's.
    isolated: bool
    # Has accounts of its own, so that a process can be another user's.
    accounts: bool

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Plan:
        return cls(**json.loads(text))
