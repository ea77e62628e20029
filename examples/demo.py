"""Run an unmodified e2b program against a local sandbox-manager, and show the URLs it used.

    python examples/demo.py [PROGRAM]

The program, ``hello.py`` beside this file by default, gets nothing but environment variables.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from kruise_autopatch_local import LocalManager


def main(program: Path) -> int:
    with LocalManager() as manager:
        print(f"A local sandbox-manager listens on {manager.url}.\n")
        print(f"$ export {' '.join(f'{k}={v}' for k, v in manager.environment().items())}")
        print(f"$ python {program.name}", flush=True)
        variables = {**os.environ, **manager.environment()}
        status = subprocess.run([sys.executable, str(program)], env=variables).returncode
        print("\nThe requests that the sandbox-manager saw:")
        for request in manager.requests():
            url = f"{request['scheme']}://{request['host']}{request['path']}"
            print(f"  {request['status']} {request['method']:6} {url}")
    return status


if __name__ == "__main__":
    default = Path(__file__).with_name("hello.py")
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else default))
