"""Say which modules the tests reach too little of, in lines and branches: `tox -e coverage`.

Usage: covered.py REPORT, which is what ``coverage json`` writes
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

# Percent, of each module.
ENOUGH = 90.0


def main(report: Path) -> int:
    measured = json.loads(report.read_text("utf-8"))
    shares = {
        module: file["summary"]["percent_covered"] for module, file in measured["files"].items()
    }
    lacking = {module: share for module, share in shares.items() if share < ENOUGH}
    for module, share in sorted(lacking.items(), key=lambda pair: pair[1]):
        print(f"{share:5.1f} %, of at least {ENOUGH:.0f}: {module}")
    whole = measured["totals"]["percent_covered"]
    print(f"{whole:5.1f} % of all {len(shares)} modules; {len(lacking)} have less than they should")
    return bool(lacking)


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1])))
